"""Uploaded zips and loose files, unpacked into a folder of our own without trusting them.

Only the files an adapter consists of are written, each adapter's into a folder made here. Sizes
are counted while unpacking, because an archive may announce a wrong size.
"""

from __future__ import annotations

import itertools
import re
import stat
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from clair.adapters.assemble import AdapterSet, SetAside, assemble
from clair.adapters.errors import AdapterError, printable
from clair.adapters.formats import CONFIG_NAME, WEIGHTS_NAME, Found, is_weights, recognise
from clair.adapters.limits import MIB, Limits
from clair.adapters.reader import Adapter, natural_key, read_adapter
from clair.adapters.sites import group_sites, site_notes
from clair.cancellation import Cancelled, cancellable, checkpoint

#: What a visitor may upload; tighter than what a user may audit on a machine of their own.
UPLOAD_LIMITS = Limits(
    header_bytes=4 * MIB,
    config_bytes=MIB // 4,
    file_bytes=64 * MIB,
    tensors=10_000,
    rank=256,
    clients=64,
    entries=4_000,
    depth=16,
    pattern_steps=500_000,
    core_bytes=768 * MIB,
    seconds=60.0,
    written_bytes=256 * MIB,
)
UPLOAD_BYTES = 64 * MIB
UNPACKED_BYTES = 256 * MIB

#: Folders, or names of zips, that hold the clients' half adapters.
HALVES = ("half-a", "half-b")

_CHUNK = 1 << 18
_DIRECTORY_BYTES = MIB
_END_OF_DIRECTORY, _ZIP64_LOCATOR = b"PK\x05\x06", b"PK\x06\x07"
_LOCATOR_BYTES, _END_BYTES, _COMMENT_BYTES = 20, 22, (1 << 16) - 1
# Other methods inflate a whole block, of any size, before its first byte can be counted.
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_PATH_LENGTH = 1_000
_NOBODYS = frozenset({"__MACOSX", ".git", "__pycache__"})
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_DRIVE = re.compile(r"[A-Za-z]:[/\\]")


@dataclass
class _Unpacker:
    """Adapters found so far: client name to folder, and what could not be used."""

    target: Path
    limits: Limits
    left: int
    folders: dict[str, Path] = field(default_factory=dict)
    refused: list[SetAside] = field(default_factory=list)
    made: int = 0

    def refuse(self, where: str, problem: str) -> None:
        self.refused.append(SetAside(printable(where), printable(where), problem))

    def folder(self, client: str) -> Path:
        if client not in self.folders:
            if len(self.folders) >= self.limits.clients:
                raise AdapterError("upload", f"holds more than {self.limits.clients} adapters")
            self.made += 1
            self.folders[client] = self.target / f"{self.made:06d}"
            self.folders[client].mkdir(parents=True)
        return self.folders[client]

    def copy(self, source: BinaryIO, path: Path, shown: str) -> None:
        bound = self.limits.config_bytes if path.name == CONFIG_NAME else self.limits.file_bytes
        written = 0
        with open(path, "wb") as file:
            while chunk := source.read(_CHUNK):
                checkpoint()
                written += len(chunk)
                self.left -= len(chunk)
                if written > bound:
                    raise AdapterError(shown, f"unpacks to more than {bound:,} bytes")
                if self.left < 0:
                    raise AdapterError(
                        shown, f"the upload unpacks to more than {UNPACKED_BYTES // MIB} MB in all"
                    )
                file.write(chunk)


def read_uploads(
    uploads: Sequence[tuple[str, BinaryIO]],
    target: Path,
    limits: Limits = UPLOAD_LIMITS,
    *,
    any_base: bool = False,
    cancelled: Callable[[], bool] | None = None,
) -> AdapterSet:
    """Unpack what a visitor sent and read the adapters in it.

    Parameters
    ----------
    uploads : sequence of (name, binary file)
        Zips of one or more adapters; or pairs ``X.safetensors`` and ``X.json``; or several
        ``.safetensors`` with one ``.json`` for all of them. Adapters in zips or folders named
        half-a and half-b are halves of the others under the same names.
    target : Path
        Empty folder, owned and deleted by the caller.
    limits : Limits
    any_base : bool
        See `clair.adapters.folder.assemble`.
    cancelled : callable, optional
        Asked while unpacking and between adapters whether to stop.

    Raises
    ------
    AdapterError
        If the upload as a whole goes beyond the limits, or base models are mixed evenly.
    clair.cancellation.Cancelled
        If `cancelled` answered True.
    """
    if sum(_size(file) for _, file in uploads) > UPLOAD_BYTES:
        raise AdapterError("upload", f"is larger than {UPLOAD_BYTES // MIB} MB in all")
    with cancellable(cancelled):
        return _read_uploads(uploads, target, limits, any_base)


def _read_uploads(
    uploads: Sequence[tuple[str, BinaryIO]], target: Path, limits: Limits, any_base: bool
) -> AdapterSet:
    unpacker = _Unpacker(target, limits, UNPACKED_BYTES)
    loose: list[tuple[str, BinaryIO]] = []
    for name, file in uploads:
        if name.lower().endswith(".zip"):
            _unpack_zip(unpacker, name, file)
        else:
            loose.append((name, file))
    _pair(unpacker, loose)
    groups: dict[str, list[str]] = {"": [], **{half: [] for half in HALVES}}
    for path in sorted(unpacker.folders, key=natural_key):
        groups[_half_of(path)].append(path)
    first, second = HALVES
    if bool(groups[first]) != bool(groups[second]):
        there, missing = (first, second) if groups[first] else (second, first)
        unpacker.refuse(there, f"came without {missing}; halves are used together only")
    whole = _read_group(unpacker, groups[""], limits, unpacker.refused, any_base)
    if not (groups[first] and groups[second]):
        return whole
    # A problem with a half changes no verdict; the audit names the clients without usable halves.
    halves = [_read_group(unpacker, groups[half], limits, [], any_base) for half in HALVES]
    return replace(whole, halves=(halves[0], halves[1]))


def _half_of(path: str) -> str:
    """Name the half folder in a client's path; "" if there is none."""
    folders = [part.casefold() for part in path.split("/")[:-1]]
    return next((part for part in folders if part in HALVES), "")


def _read_group(
    unpacker: _Unpacker,
    paths: Sequence[str],
    limits: Limits,
    refused: list[SetAside],
    any_base: bool,
) -> AdapterSet:
    adapters: list[Adapter] = []
    extra = _folders_of_all(paths)
    clients = {"/".join(path.split("/")[extra:]): path for path in paths}
    sites = group_sites(list(clients))
    for site in sites:
        for client in site.members:
            checkpoint()
            folder = unpacker.folders[clients[client]]
            try:
                adapters.append(read_adapter(folder, client, limits, site=site.name))
            except AdapterError as error:
                refused.append(SetAside(printable(client), error.where, error.problem))
    return assemble(adapters, refused, any_base=any_base, notes=site_notes(sites))


def _folders_of_all(paths: Sequence[str]) -> int:
    """Count the leading folders that all paths share, which tell no clients apart."""
    parts = [path.split("/")[:-1] for path in paths]
    together = zip(*parts, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda names: len(set(names)) == 1, together))


def _size(file: BinaryIO) -> int:
    size = file.seek(0, 2)
    file.seek(0)
    return size


def _unpack_zip(unpacker: _Unpacker, name: str, file: BinaryIO) -> None:
    """Unpack one archive; a problem with it rejects this archive, not the others."""
    shown = printable(name)
    stem = PurePosixPath(name.replace("\\", "/")).stem or "zip"
    before = dict(unpacker.folders)
    try:
        _check_directory(file, shown)
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            _check_entries(entries, shown, unpacker.limits)
            wanted, others = _wanted(entries, stem)
            for where, problem in others:
                unpacker.refuse(f"{shown}: {printable(where)}", problem)
            for client, info in wanted:
                _unpack(unpacker, archive, info, client, shown, before)
            if unpacker.folders == before and not unpacker.refused:
                raise AdapterError(shown, "holds no adapter")
    except AdapterError as error:
        unpacker.folders = before
        unpacker.refused.append(SetAside(shown, error.where, error.problem))
        if unpacker.left < 0:
            raise
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError):
        unpacker.folders = before
        unpacker.refuse(shown, "is damaged, or not a zip file")
    except Cancelled:
        raise
    except Exception as error:
        # Decompressors raise errors of their own (zlib.error, LZMAError, ...).
        unpacker.folders = before
        unpacker.refuse(shown, f"cannot be unpacked ({type(error).__name__})")


def _unpack(
    unpacker: _Unpacker,
    archive: zipfile.ZipFile,
    info: zipfile.ZipInfo,
    client: str,
    shown: str,
    before: Mapping[str, Path],
) -> None:
    """Unpack one file of an adapter."""
    where = f"{shown}: {printable(info.filename)}"
    if info.compress_type not in _METHODS:
        raise AdapterError(
            where,
            f"is packed by method {info.compress_type}; only stored and deflated files are "
            "unpacked, as ordinary zip programs write them",
        )
    if client in before:
        raise AdapterError(shown, f"two uploads hold a client {printable(client)}")
    with archive.open(info) as source:
        name = PurePosixPath(info.filename.replace("\\", "/")).name
        path = unpacker.folder(client) / (name if _PLAIN.fullmatch(name) else "x.safetensors")
        unpacker.copy(source, path, where)  # type: ignore[arg-type]


def _check_directory(file: BinaryIO, shown: str) -> None:
    """Bound the table of contents before it is parsed into objects."""
    size = _size(file)
    file.seek(max(0, size - _LOCATOR_BYTES - _END_BYTES - _COMMENT_BYTES))
    tail = file.read()
    file.seek(0)
    at = tail.rfind(_END_OF_DIRECTORY)
    if at < 0 or len(tail) < at + _END_BYTES:
        raise AdapterError(shown, "is damaged, or not a zip file")
    # A zip64 record would point to another table, of another length, than the one bounded here.
    if tail[max(0, at - _LOCATOR_BYTES) : at].startswith(_ZIP64_LOCATOR):
        raise AdapterError(
            shown, "is a zip64 archive, a format for more than 4 GB; pack it as an ordinary zip"
        )
    length = int.from_bytes(tail[at + 12 : at + 16], "little")
    if length > _DIRECTORY_BYTES:
        raise AdapterError(shown, "has a table of contents that is too long")


def _check_entries(entries: Sequence[zipfile.ZipInfo], shown: str, limits: Limits) -> None:
    if len(entries) > limits.entries:
        raise AdapterError(shown, f"holds {len(entries):,} files, more than {limits.entries:,}")
    seen: set[str] = set()
    for info in entries:
        where = f"{shown}: {printable(info.filename)}"
        parts = info.filename.replace("\\", "/").split("/")
        if info.filename.startswith(("/", "\\")) or ".." in parts or _DRIVE.match(info.filename):
            raise AdapterError(where, "its path leads out of the archive")
        far = len(parts) > limits.depth or len(info.filename) > _PATH_LENGTH
        if far and is_weights(parts[-1]):
            raise AdapterError(
                where,
                f"lies more than {limits.depth} folders deep or has a path of more than "
                f"{_PATH_LENGTH:,} characters",
            )
        if stat.S_ISLNK(info.external_attr >> 16):
            raise AdapterError(where, "is a link, and links are not followed")
        if info.flag_bits & 0x1:
            raise AdapterError(where, "is encrypted")
        if info.filename in seen:
            raise AdapterError(where, "is in the archive twice")
        seen.add(info.filename)


def _wanted(
    entries: Sequence[zipfile.ZipInfo], stem: str
) -> tuple[list[tuple[str, zipfile.ZipInfo]], list[tuple[str, str]]]:
    """Find the entries that belong to adapters, and name the folders that hold none.

    Returns
    -------
    wanted : list of (client, entry)
    others : list of (str, str)
        Files and folders that are not read, and why.
    """
    folders: dict[PurePosixPath, dict[str, zipfile.ZipInfo]] = {}
    for info in entries:
        path = PurePosixPath(info.filename.replace("\\", "/"))
        if _NOBODYS.isdisjoint(path.parts):
            inside = folders.setdefault(path if info.is_dir() else path.parent, {})
            if not info.is_dir():
                inside[path.name] = info
    found = {folder: recognise(files) for folder, files in folders.items()}
    whole = {f: one for f, one in found.items() if one is not None and not one.problem}
    wanted: list[tuple[str, zipfile.ZipInfo]] = []
    for folder, one in whole.items():
        own = "" if folder == PurePosixPath(".") else folder.as_posix()
        client = stem if len(whole) == 1 else f"{stem}/{own}".rstrip("/")
        wanted += [(client, folders[folder][name]) for name in one.files]
    return wanted, _not_read(found, set(whole))


def _not_read(
    found: Mapping[PurePosixPath, Found | None], whole: set[PurePosixPath]
) -> list[tuple[str, str]]:
    """Name what is not read: adapters of other formats, and folders without any below them."""
    others: list[tuple[str, str]] = []
    above = {PurePosixPath(".")}
    for folder, one in found.items():
        if one is not None:
            above |= {folder, *folder.parents}
        if one is not None and one.problem and whole.isdisjoint(folder.parents):
            others.append(((folder / one.where).as_posix(), one.problem))
    empty = {folder for folder, one in found.items() if one is None} - above
    for folder in sorted(empty):
        if empty.isdisjoint(folder.parents) and whole.isdisjoint(folder.parents):
            others.append((folder.as_posix(), "holds no adapter"))
    return others


def _pair(unpacker: _Unpacker, loose: Sequence[tuple[str, BinaryIO]]) -> None:
    """Pair loose tensor files and configurations that belong together by name, and copy them."""
    tensors: dict[str, BinaryIO] = {}
    configs: dict[str, BinaryIO] = {}
    for name, file in loose:
        stem, dot, kind = name.replace("\\", "/").rsplit("/", 1)[-1].rpartition(".")
        table = {"safetensors": tensors, "json": configs}.get(kind.lower() if dot else "")
        if table is None:
            unpacker.refuse(name, "is neither .zip nor .safetensors nor .json")
        elif stem in table:
            unpacker.refuse(
                name,
                "was uploaded twice under this name; name the files site1.safetensors, site1.json, "
                "and so on, or put each adapter into a zip",
            )
        else:
            table[stem] = file
    shared = next(iter(configs.values())) if len(configs) == 1 else None
    for stem, file in tensors.items():
        other = "adapter_config" if stem == "adapter_model" else stem
        config = configs.get(other, shared)
        name = f"{stem}.safetensors"
        if stem in unpacker.folders:
            unpacker.refuse(name, f"two uploads hold a client {printable(stem)}")
            continue
        folder = unpacker.folder(stem)
        try:
            unpacker.copy(file, folder / WEIGHTS_NAME, printable(name))
            if config is not None:
                config.seek(0)
                unpacker.copy(config, folder / CONFIG_NAME, printable(f"{other}.json"))
        except AdapterError as error:
            del unpacker.folders[stem]
            unpacker.refused.append(SetAside(printable(stem), error.where, error.problem))
            if unpacker.left < 0:
                raise
    if configs and not tensors:
        unpacker.refuse(next(iter(configs)) + ".json", "came without a .safetensors file")
