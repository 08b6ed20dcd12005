"""What a file is that is not what its name says, told by its first bytes."""

from __future__ import annotations

HEAD = 64

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (
        b"version https://git-lfs",
        "is a Git LFS pointer, not the file itself, which was not downloaded: run git lfs pull",
    ),
    (b"GGUF", "is a GGUF file, which llama.cpp reads; give the PEFT adapter it was made from"),
    (b"\x1f\x8b", "is a gzip archive; unpack it first"),
    (b"\x93NUMPY", "is a NumPy file; save the adapter as safetensors"),
    (b"\x89HDF", "is an HDF5 file; save the adapter as safetensors"),
)
_PICKLED = (
    "is a pickle or zip file under a wrong name; pickles can run code, so save the adapter as "
    "safetensors"
)


def what_is(head: bytes) -> str:
    """Say what a file is that should hold JSON or tensors; "" if its beginning does not tell.

    Parameters
    ----------
    head : bytes
        The first `HEAD` bytes, or all if there are fewer.
    """
    if not head:
        return "is empty (0 bytes): it was not written or not copied to the end"
    for magic, words in _MAGIC:
        if head.startswith(magic):
            return words
    if head.startswith(b"PK") or (head[:1] == b"\x80" and head[1:2] < b"\x06"):
        return _PICKLED
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return (
            "is a web page, not the file itself: the download was refused, perhaps for want of a "
            "login; download it again"
        )
    if not any(head):
        return "begins with zeros only: it was not written or not copied to the end"
    return ""
