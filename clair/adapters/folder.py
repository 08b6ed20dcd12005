"""A folder of adapters: everybody below it, read or named with the reason why not."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from clair._files import ASSETS
from clair.adapters.assemble import AdapterSet, SetAside, assemble
from clair.adapters.errors import AdapterError, printable
from clair.adapters.formats import CONFIG_NAME, WEIGHTS_NAME, is_weights, recognise
from clair.adapters.limits import DEFAULT, Limits
from clair.adapters.progress import Progress, Stages
from clair.adapters.reader import Adapter, natural_key, read_adapter
from clair.adapters.sites import group_sites, site_notes
from clair.cancellation import cancellable, checkpoint

#: Ten adapters that come with the package, two of them poisoned; truth.json beside them says who.
EXAMPLE = ASSETS / "adapters" / "sites"
#: What programs keep for themselves, and never a client's.
_NOBODYS = frozenset({".git", ".venv", "__MACOSX", "__pycache__", "node_modules"})
#: Files and folders looked at in hidden folders; environments and caches hold very many.
_HIDDEN_ENTRIES = 5_000
_MUCH_HIDDEN = "is hidden, as is much beside it, and was not looked into"
_LOOSE = (
    "lies loose among the folders; give each adapter a folder of its own, with its tensors as "
    f"{WEIGHTS_NAME} and its configuration as {CONFIG_NAME}"
)


def read_folder(
    root: Path,
    limits: Limits = DEFAULT,
    *,
    any_base: bool = False,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> AdapterSet:
    """Find the adapters below a folder and read their headers.

    Parameters
    ----------
    root : Path
        Holds one folder an adapter, at any depth up to `Limits.depth`.
    limits : Limits
    any_base : bool
        Judge adapters together whatever base model their configurations name.
    progress : callable, optional
        Receives an `AuditProgress` for every adapter found.
    cancelled : callable, optional
        Asked between adapters whether to stop.

    Raises
    ------
    AdapterError
        If the folder cannot be read, is itself one adapter, or goes beyond the limits.
    clair.cancellation.Cancelled
        If `cancelled` answered True.
    """
    stages = Stages({"folder": 1.0}, progress)
    with cancellable(cancelled):
        found = find_adapters(root, limits)
        refused, notes = list(found.refused), list(found.notes)
        adapters: list[Adapter] = []
        folders = {folder.relative_to(root).as_posix(): folder for folder in found.folders}
        sites = group_sites(list(folders))
        read = [(site, name) for site in sites for name in site.members]
        if len(read) > limits.clients:
            raise AdapterError(printable(root), f"holds more than {limits.clients:,} adapters")
        for done, (site, name) in enumerate(read):
            try:
                adapters.append(read_adapter(folders[name], name, limits, site=site.name))
            except AdapterError as error:
                refused.append(SetAside(printable(name), error.where, error.problem))
            stages.step("folder", done + 1, len(read))
        notes += site_notes(sites)
    return assemble(adapters, refused, any_base=any_base, notes=notes, root=root)


def _loose(name: str) -> str:
    """Say what to do with a file that lies where only folders should."""
    found = recognise([name])
    return found.problem if found is not None and found.problem else _LOOSE


@dataclass
class FoundFolders:
    """What lies below a folder.

    Attributes
    ----------
    folders : list of Path
        Those that hold an adapter that can perhaps be read, in natural order.
    refused : list of SetAside
        All that was not looked into, or holds no adapter; at most ``limits.clients`` are named.
    notes : list of str
    """

    folders: list[Path] = field(default_factory=list)
    refused: list[SetAside] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class _Walk:
    """One walk over all folders, with what was found on the way."""

    def __init__(self, root: Path, limits: Limits) -> None:
        self.root, self.limits = root, limits
        self.found: list[Path] = []
        self.plain: list[Path] = []
        self.refused: dict[Path, str] = {}
        self.links: dict[Path, Path] = {}
        self.below: dict[Path, str] = {}
        self._seen = self._hidden = 0

    def run(self) -> None:
        pending = [(self.root, False, False)]
        while pending:
            folder, hidden, inside = pending.pop()
            checkpoint()
            if hidden and self._hidden > _HIDDEN_ENTRIES:
                self.refused[folder] = _MUCH_HIDDEN
                continue
            names, below = self._entries(folder, hidden)
            found = recognise(names)
            if folder == self.root:
                if found is not None and CONFIG_NAME in names and not found.problem:
                    raise AdapterError(
                        printable(self.root),
                        "is itself an adapter; give the folder that holds one folder a client",
                    )
                self.refused |= {folder / n: _loose(n) for n in names if is_weights(n)}
            elif found is not None and hidden:
                self.refused[folder] = "is hidden; rename it to have its adapter judged"
            elif found is not None and inside and found.problem:
                self.below[folder / found.where] = found.problem
            elif found is not None:
                self.found.append(folder)
            elif not hidden and not inside:
                self.plain.append(folder)
            inside = inside or (found is not None and folder != self.root)
            pending += [
                (path, hidden or path.name.startswith("."), inside)
                for path in below
                if self._enters(path, inside)
            ]

    def _entries(self, folder: Path, hidden: bool) -> tuple[list[str], list[Path]]:
        """List a folder's files, links to files included, and its folders, links included."""
        shown = printable(folder.relative_to(self.root) if folder != self.root else self.root)
        names, below = [], []
        try:
            for entry in _entries(folder, shown):
                self._seen += not hidden
                self._hidden += hidden
                if self._hidden > _HIDDEN_ENTRIES:
                    self.refused[folder] = _MUCH_HIDDEN
                    return [], []
                if self._seen > self.limits.entries:
                    raise AdapterError(
                        printable(self.root),
                        f"holds more than {self.limits.entries:,} files and folders",
                    )
                gone = entry.is_symlink() and not os.path.exists(entry.path)
                # a link to nothing is perhaps a client's folder that is gone
                if entry.is_dir() or (gone and "." not in entry.name):
                    below.append(Path(entry.path))
                else:
                    names.append(entry.name)
        except (AdapterError, OSError):
            if folder == self.root or self._seen > self.limits.entries:
                raise
            self.refused[folder] = "cannot be read; check its permissions"
        return names, below

    def _enters(self, path: Path, inside: bool) -> bool:
        """Decide whether to walk into a folder, and remember the reason where not."""
        if path.name in _NOBODYS:
            return False
        if path.is_symlink():
            target = Path(os.path.realpath(path))
            if target.is_relative_to(os.path.realpath(self.root)) and target.is_dir():
                self.links[path] = target
            elif not inside:
                self.refused[path] = "is a link, and links are not followed; copy the adapter here"
            return False
        if len(path.relative_to(self.root).parts) > self.limits.depth:
            if not inside:
                self.refused[path] = (
                    f"lies more than {self.limits.depth} folders deep and was not looked into; "
                    "give a folder nearer to it, or move it up"
                )
            return False
        return True


def find_adapters(root: Path, limits: Limits = DEFAULT) -> FoundFolders:
    """Find the folders below `root` that hold an adapter, and name all that was not looked into.

    Links, hidden folders with an adapter, folders that lie too deep, loose files, and folders
    without any adapter in or below them may each be a client's, so they are refused by name.

    Raises
    ------
    AdapterError
        If `root` is no folder, is itself an adapter, or holds more than the limits allow.
    """
    shown = printable(root)
    if root.is_symlink() or not root.is_dir():
        raise AdapterError(shown, "is not a folder")
    walk = _Walk(root, limits)
    walk.run()
    above = {root}.union(*(path.parents for path in (*walk.found, *walk.refused)))
    for folder in walk.plain:
        if folder not in above and folder.parent in above and folder not in walk.refused:
            walk.refused[folder] = "holds no adapter, nor does any folder below it"
    walk.found.sort(key=lambda folder: natural_key(folder.relative_to(root).as_posix()))
    notes = []
    for link, target in list(walk.links.items())[: limits.clients]:
        name = printable(link.relative_to(root).as_posix())
        real = printable(os.path.relpath(target, os.path.realpath(root)))
        notes.append(f"{name} is a link to {real}, which is judged under its own name.")
    for path, problem in list(walk.below.items())[: limits.clients]:
        name = printable(path.relative_to(root).as_posix())
        notes.append(f"{name}, below an adapter that is judged, is left aside: it {problem}.")
    return FoundFolders(walk.found, _named(root, walk.refused, limits.clients), notes)


def _named(root: Path, refused: dict[Path, str], most: int) -> list[SetAside]:
    """Name what was not looked into, in natural order, and count what is beyond the bound."""
    paths = sorted(refused, key=lambda path: natural_key(path.relative_to(root).as_posix()))
    named = []
    for path in paths[:most]:
        name = printable(path.relative_to(root).as_posix())
        named.append(SetAside(name, name, refused[path]))
    if len(paths) > most:
        rest = f"{len(paths) - most:,} more"
        named.append(SetAside(rest, rest, "files, folders and links, which are not judged either"))
    return named


def _entries(folder: Path, shown: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError as error:
        raise AdapterError(shown, f"cannot be read ({error.strerror})") from None
