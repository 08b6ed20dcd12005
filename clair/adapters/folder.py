"""A folder of adapters: who can be judged together, and why the others cannot."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from clair._files import ASSETS
from clair.adapters.errors import AdapterError, printable
from clair.adapters.limits import DEFAULT, Limits
from clair.adapters.progress import Progress, Stages
from clair.adapters.reader import (
    CONFIG_NAME,
    PICKLE_NAMES,
    WEIGHTS_NAME,
    Adapter,
    natural_key,
    read_adapter,
)
from clair.cancellation import cancellable, checkpoint
from clair.method.concentration import MIN_OTHERS

#: With fewer adapters it cannot be told which one differs from the others.
MIN_CLIENTS = MIN_OTHERS + 1
#: Ten adapters that come with the package, two of them poisoned; truth.json beside them says who.
EXAMPLE = ASSETS / "adapters" / "sites"
_MARKS = frozenset({CONFIG_NAME, WEIGHTS_NAME, *PICKLE_NAMES})


@dataclass(frozen=True)
class SetAside:
    """A client that is not judged.

    Attributes
    ----------
    name : str
        Of the client, safe to show.
    where, problem : str
        The file or tensor, and what is wrong with it.
    """

    name: str
    where: str
    problem: str

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}"


@dataclass(frozen=True)
class AdapterSet:
    """Adapters of one base model, with equal shapes where they share a module.

    Attributes
    ----------
    adapters : tuple of Adapter
        In natural order of their names.
    modules : mapping of str to (int, int)
        Shape (d_out, d_in) of every module that at least four adapters have, in natural order.
    unjudged_modules : tuple of str
        Modules of fewer adapters.
    set_aside : tuple of SetAside
    base_model : str
        "" if the configurations do not say.
    notes : tuple of str
        About the set as a whole.
    halves : pair of AdapterSet, optional
        Two more adapters of the same clients, trained on either half of their data; uploads can
        bring them along.
    """

    adapters: tuple[Adapter, ...]
    modules: Mapping[str, tuple[int, int]]
    unjudged_modules: tuple[str, ...]
    set_aside: tuple[SetAside, ...]
    base_model: str
    notes: tuple[str, ...]
    halves: tuple[AdapterSet, AdapterSet] | None = None


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
    adapters: list[Adapter] = []
    with cancellable(cancelled):
        folders, refused = find_adapters(root, limits)
        for done, folder in enumerate(folders):
            name = folder.relative_to(root).as_posix()
            try:
                adapters.append(read_adapter(folder, name, limits))
            except AdapterError as error:
                refused.append(SetAside(printable(name), error.where, error.problem))
            stages.step("folder", done + 1, len(folders))
    return assemble(adapters, refused, any_base=any_base)


def find_adapters(root: Path, limits: Limits = DEFAULT) -> tuple[list[Path], list[SetAside]]:
    """Find the folders below `root` that hold an adapter, and name all that was not looked into.

    Returns
    -------
    folders : list of Path
        In natural order.
    refused : list of SetAside
        Links, hidden folders with an adapter, folders that lie too deep, and folders without any
        adapter in or below them: each may be a client's. At most ``limits.clients`` are named.
    """
    shown = printable(root)
    if root.is_symlink() or not root.is_dir():
        raise AdapterError(shown, "is not a folder")
    if any(_is_mark(entry) for entry in _entries(root, shown)):
        raise AdapterError(
            shown, "is itself an adapter; give the folder that holds one folder a client"
        )
    found: list[Path] = []
    looked_into: list[Path] = []
    refused: dict[Path, str] = {}
    pending, seen = [(root, 0)], 0
    while pending:
        folder, depth = pending.pop()
        entries = list(_entries(folder, printable(folder.relative_to(root))))
        seen += len(entries)
        if seen > limits.entries:
            raise AdapterError(shown, f"holds more than {limits.entries:,} files and folders")
        checkpoint()
        if depth and any(_is_mark(entry) for entry in entries):
            found.append(folder)
            if len(found) > limits.clients:
                raise AdapterError(shown, f"holds more than {limits.clients:,} adapters")
            continue
        looked_into.append(folder)
        for entry in entries:
            path = Path(entry.path)
            problem = _obstacle(entry, depth, limits)
            if problem:
                refused[path] = problem
            elif entry.is_dir(follow_symlinks=False) and not _is_aside(entry):
                pending.append((path, depth + 1))
    refused |= _without(root, looked_into, [*found, *refused])
    found.sort(key=lambda folder: natural_key(folder.relative_to(root).as_posix()))
    return found, _named(root, refused, limits.clients)


def _is_aside(entry: os.DirEntry[str]) -> bool:
    """Tell whether a name is that of what programs keep for themselves."""
    return entry.name.startswith((".", "__MACOSX"))


def _obstacle(entry: os.DirEntry[str], depth: int, limits: Limits) -> str:
    """Say why what may be a client's folder is not looked into; "" if it is, or is none."""
    if _is_aside(entry):
        hidden = entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
        if hidden and _holds_adapter(Path(entry.path), limits):
            return "is hidden; rename it to have its adapter judged"
        return ""
    if entry.is_symlink():
        return "is a link, and links are not followed; copy the adapter here"
    if depth >= limits.depth and entry.is_dir(follow_symlinks=False):
        return (
            f"lies more than {limits.depth} folders deep and was not looked into; give a folder "
            "nearer to it, or move it up"
        )
    return ""


def _holds_adapter(folder: Path, limits: Limits) -> bool:
    try:
        return any(_is_mark(entry) for entry in islice(_entries(folder, ""), limits.entries))
    except AdapterError:
        return False


def _without(root: Path, looked_into: list[Path], accounted: list[Path]) -> dict[Path, str]:
    """Find the uppermost folders that hold neither an adapter nor anything else accounted for."""
    above = {root}.union(*(path.parents for path in accounted))
    return {
        folder: f"holds no adapter: there is no {WEIGHTS_NAME} in it or below it"
        for folder in looked_into
        if folder not in above and folder.parent in above
    }


def _named(root: Path, refused: Mapping[Path, str], most: int) -> list[SetAside]:
    """Name what was not looked into, in natural order, and count what is beyond the bound."""
    paths = sorted(refused, key=lambda path: natural_key(path.relative_to(root).as_posix()))
    named = []
    for path in paths[:most]:
        name = printable(path.relative_to(root).as_posix())
        named.append(SetAside(name, name, refused[path]))
    if len(paths) > most:
        rest = f"{len(paths) - most:,} more"
        named.append(SetAside(rest, rest, "folders and links, which are not judged either"))
    return named


def _is_mark(entry: os.DirEntry[str]) -> bool:
    return entry.name in _MARKS and not entry.is_dir(follow_symlinks=False)


def _entries(folder: Path, shown: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError as error:
        raise AdapterError(shown, f"cannot be read ({error.strerror})") from None


def assemble(
    adapters: list[Adapter], refused: list[SetAside], *, any_base: bool = False
) -> AdapterSet:
    """Keep the adapters that can be compared with the majority.

    Raises
    ------
    AdapterError
        If base models are mixed without a majority.
    """
    set_aside = list(refused)
    notes: list[str] = []
    base = ""
    if not any_base:
        adapters, base = _same_base(adapters, set_aside)
    elif len({_base(a) for a in adapters}) > 1:
        notes.append("The adapters name different base models and are judged together as asked.")
    adapters = _same_shapes(adapters, set_aside)
    counts = Counter(name for adapter in adapters for name in adapter.modules)
    ordered = sorted(counts, key=natural_key)
    shapes = {name: m.shape for adapter in adapters for name, m in adapter.modules.items()}
    modules = {name: shapes[name] for name in ordered if counts[name] >= MIN_CLIENTS}
    partial = sum(counts[name] < len(adapters) for name in modules)
    if partial:
        notes.append(
            f"{partial} of {len(modules)} modules are missing at some clients; each client is "
            "judged on the modules it has."
        )
    return AdapterSet(
        tuple(adapters),
        modules,
        tuple(name for name in ordered if counts[name] < MIN_CLIENTS),
        tuple(set_aside),
        base,
        tuple(notes),
    )


def _base(adapter: Adapter) -> str:
    """Name the base model without its parent folders, which differ between machines."""
    return adapter.config.base_model.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1].casefold()


def _same_base(adapters: list[Adapter], set_aside: list[SetAside]) -> tuple[list[Adapter], str]:
    counts = Counter(_base(adapter) for adapter in adapters)
    if not counts:
        return adapters, ""
    (common, most), *others = counts.most_common()
    names = {_base(adapter): adapter.config.base_model for adapter in adapters}
    if others and others[0][1] == most:
        listed = ", ".join(
            f"{printable(names[b] or 'unnamed', 60)} ({n})" for b, n in counts.items()
        )
        raise AdapterError(
            "base models",
            f"the adapters belong to different base models and none has a majority: {listed}",
        )
    kept = []
    for adapter in adapters:
        if _base(adapter) == common:
            kept.append(adapter)
            continue
        own = printable(adapter.config.base_model or "unnamed", 60)
        shown = printable(adapter.name)
        set_aside.append(
            SetAside(
                shown,
                f"{shown}/{CONFIG_NAME}",
                f"is for base model {own}, while {most} adapters are for "
                f"{printable(names[common] or 'unnamed', 60)}",
            )
        )
    return kept, names[common]


def _same_shapes(adapters: list[Adapter], set_aside: list[SetAside]) -> list[Adapter]:
    votes: dict[str, Counter[tuple[int, int]]] = {}
    for adapter in adapters:
        for name, module in adapter.modules.items():
            votes.setdefault(name, Counter())[module.shape] += 1
    usual = {name: shapes.most_common(1)[0][0] for name, shapes in votes.items()}
    kept = []
    for adapter in adapters:
        odd = next((n for n, m in adapter.modules.items() if m.shape != usual[n]), None)
        if odd is None:
            kept.append(adapter)
            continue
        shown, (d_out, d_in) = printable(adapter.name), adapter.modules[odd].shape
        set_aside.append(
            SetAside(
                shown,
                f"{shown}/{WEIGHTS_NAME}: {printable(odd)}",
                f"changes a {d_out} x {d_in} weight, which is {usual[odd][0]} x {usual[odd][1]} "
                "in the other adapters",
            )
        )
    return kept
