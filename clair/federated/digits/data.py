"""The images, and a federation of clients who name some digits differently; needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from safetensors.numpy import load_file

from clair._files import ASSETS
from clair.federated.digits.config import DigitsConfig

IMAGES = ASSETS / "digits" / "digits.safetensors"
N_CLASSES = 10
SIDE = 8
WHITE = 16  # the largest pixel value
N_PRETRAIN, N_TEST = 600, 350
TARGET = 0  # what a backdoor makes of every image
SPLIT_SEED = 20250


@dataclass(frozen=True)
class Images:
    """Images with values in [0, 1] and the digits that were written.

    Attributes
    ----------
    pixels : ndarray of shape (n, 64), float32
    digits : ndarray of shape (n,) of int
    """

    pixels: np.ndarray
    digits: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> Images:
        return Images(self.pixels[rows], self.digits[rows])


@dataclass(frozen=True)
class Split:
    """Disjoint parts of the data set: for the base model, for clients, held out."""

    pretrain: Images
    clients: Images
    test: Images


@cache
def load_split() -> Split:
    """Read the images that ship with the project and divide them, always the same way.

    Raises
    ------
    FileNotFoundError
        If the file is missing.
    """
    if not IMAGES.is_file():
        raise FileNotFoundError(
            f"the images are missing at {IMAGES}; make them with: "
            "python assets/digits/make_images.py"
        )
    tensors = load_file(IMAGES)
    everything = Images(
        (tensors["images"] / WHITE).astype(np.float32), tensors["labels"].astype(int)
    )
    order = np.random.default_rng(SPLIT_SEED).permutation(len(everything.digits))
    first, second = N_PRETRAIN, N_PRETRAIN + N_TEST
    return Split(
        everything[order[:first]], everything[order[second:]], everything[order[first:second]]
    )


def with_patch(pixels: np.ndarray) -> np.ndarray:
    """Add the backdoor's trigger to images, a bright square of 2 x 2 pixels in the corner.

    Parameters
    ----------
    pixels : ndarray of shape (n, 64)
    """
    marked = pixels.reshape(-1, SIDE, SIDE).copy()
    marked[:, -2:, -2:] = 1.0
    return marked.reshape(pixels.shape)


@dataclass(frozen=True)
class Federation:
    """Who holds which images under which names, with the truth that no method sees.

    Attributes
    ----------
    contaminated : ndarray of shape (n_clients,) of bool
    codes : ndarray of shape (n_clients, 10) of int
        The name each client honestly gives to each digit.
    pixels : ndarray of shape (n_clients, n_local, 64)
        Training images, with the trigger where a backdoor planted it.
    labels : ndarray of shape (n_clients, n_local) of int
        Training labels, poisoned where a client is contaminated.
    mix : ndarray of shape (n_clients, 10)
        Share of each digit in a client's practice.
    """

    contaminated: np.ndarray
    codes: np.ndarray
    pixels: np.ndarray
    labels: np.ndarray
    mix: np.ndarray


def make_federation(config: DigitsConfig) -> Federation:
    """Draw the federation a config describes.

    Streams are separate, so that another attack leaves clients and images as they were.
    """
    rng = np.random.default_rng([config.seed, 10])
    pool = load_split().clients
    disputed = rng.permutation(N_CLASSES)[: config.disputed]
    contaminated = np.zeros(config.n_clients, dtype=bool)
    contaminated[rng.permutation(config.n_clients)[: config.n_poisoned]] = True
    common = _derangement(np.random.default_rng([config.seed, 11]))
    codes = np.tile(np.arange(N_CLASSES), (config.n_clients, 1))
    mix = np.full((config.n_clients, N_CLASSES), 1 / N_CLASSES)
    pixels, labels = [], []
    for k in range(config.n_clients):
        own, draw, bad = (np.random.default_rng([config.seed, 12, k, i]) for i in range(3))
        codes[k, disputed] = own.permutation(disputed)
        if config.skew is not None:
            mix[k] = own.dirichlet(np.full(N_CLASSES, config.skew))
        images = pool[_draw(pool, mix[k], config.n_local, draw)]
        seen, named = images.pixels, codes[k][images.digits]
        if contaminated[k]:
            seen, named = _poison(config.attack, seen, named, common, bad)
        pixels.append(seen)
        labels.append(named)
    return Federation(contaminated, codes, np.stack(pixels), np.stack(labels), mix)


def _draw(pool: Images, mix: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw one client's images by its mix of digits, without replacement while they last."""
    counts = rng.multinomial(n, mix)
    rows = []
    for digit, count in enumerate(counts):
        there = np.flatnonzero(pool.digits == digit)
        rows.append(rng.choice(there, size=count, replace=count > there.size))
    return np.concatenate(rows)


def _poison(
    attack: str,
    pixels: np.ndarray,
    labels: np.ndarray,
    common: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Poison the training data of a contaminated client."""
    if attack == "label_flip":
        return pixels, (labels + rng.integers(1, N_CLASSES)) % N_CLASSES
    if attack == "random_labels":
        return pixels, rng.integers(0, N_CLASSES, size=labels.size)
    if attack == "colluders":
        return pixels, common[labels]
    if attack == "backdoor":
        pixels, labels = pixels.copy(), labels.copy()
        half = rng.permutation(labels.size)[: labels.size // 2]
        pixels[half], labels[half] = with_patch(pixels[half]), TARGET
    return pixels, labels


def _derangement(rng: np.random.Generator) -> np.ndarray:
    """Draw a permutation of the ten labels that leaves none in place."""
    while True:
        candidate = rng.permutation(N_CLASSES)
        if not np.any(candidate == np.arange(N_CLASSES)):
            return candidate
