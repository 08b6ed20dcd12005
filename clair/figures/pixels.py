"""Matrices as small PNG images: far lighter for a browser than a heatmap of many cells."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np

from clair.figures.palette import rgb

MAX_CELLS = 16


def png(rgba: np.ndarray) -> bytes:
    """Encode an image.

    Parameters
    ----------
    rgba : ndarray of uint8, shape (height, width, 4)

    Returns
    -------
    bytes
        A PNG file (RGBA, 8 bit).
    """
    height, width, _ = rgba.shape
    rows = np.zeros((height, 1 + 4 * width), dtype=np.uint8)
    rows[:, 1:] = rgba.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 3)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )


def data_uri(rgba: np.ndarray) -> str:
    """Write the image as a ``data:`` address."""
    return "data:image/png;base64," + base64.b64encode(png(rgba)).decode("ascii")


def thin(blocks: np.ndarray, cells: int = MAX_CELLS) -> np.ndarray:
    """Keep at most `cells` evenly spaced rows and columns of every block.

    Entries are picked, not averaged: averaging would blur the noise and the structure that a reader
    should compare.

    Parameters
    ----------
    blocks : ndarray of shape (n_clients, d_out, d_in)
    """
    rows = _spread(blocks.shape[1], cells)
    columns = _spread(blocks.shape[2], cells)
    return blocks[:, rows][:, :, columns]


def _spread(length: int, cells: int) -> np.ndarray:
    return np.unique(np.linspace(0, length - 1, min(cells, length)).round().astype(int))


def strip(blocks: np.ndarray, limit: float, positive: str, negative: str) -> np.ndarray:
    """Draw client blocks side by side as one picture on a transparent ground.

    Opacity is the size of an entry relative to `limit`, and hue is its sign. So the same picture
    works on light and dark paper, and a block of zeros cannot be seen.

    Parameters
    ----------
    blocks : ndarray of shape (n_clients, rows, columns)
    limit : float
        Absolute value drawn opaque, > 0.
    positive, negative : str
        Hex colours of the two signs.

    Returns
    -------
    ndarray of uint8, shape (scale * rows, n_clients * (scale * columns + gap), 4)
    """
    n_clients, rows, columns = blocks.shape
    scale = max(2, min(8, 1600 // (n_clients * columns)))
    strength = np.clip(np.abs(blocks) / limit, 0, 1)
    tiles = np.empty((n_clients, rows, columns, 4), dtype=np.uint8)
    tiles[..., :3] = np.where((blocks >= 0)[..., None], rgb(positive), rgb(negative))
    # 32 steps of opacity: finer ones cannot be seen and compress badly.
    tiles[..., 3] = np.round(strength * 31) * (255 / 31)
    large = tiles.repeat(scale, axis=1).repeat(scale, axis=2)
    gap = max(2, round(0.06 * scale * columns))
    padded = np.pad(large, ((0, 0), (0, 0), (0, gap), (0, 0)))
    return np.ascontiguousarray(padded.transpose(1, 0, 2, 3)).reshape(scale * rows, -1, 4)
