"""From adapters one by one to a set that can be compared, and who stays out of it and why."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clair.adapters.bases import same_base
from clair.adapters.errors import printable
from clair.adapters.naming import camps, match_names
from clair.adapters.reader import Adapter, natural_key, site_of
from clair.method.concentration import MIN_OTHERS

#: With fewer adapters it cannot be told which one differs from the others.
MIN_CLIENTS = MIN_OTHERS + 1
_LISTED = 4


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
        By site, in natural order of their names; the first of each site has its vote.
    modules : mapping of str to (int, int)
        Shape (d_out, d_in) of every module that at least four sites have, in natural order.
    unjudged_modules : tuple of str
        Modules of fewer sites, and those on whose shape there is no majority.
    set_aside : tuple of SetAside
    base_model : str
        "" if the configurations do not say.
    notes : tuple of str
        About the set as a whole.
    problem : str
        Why nothing here can be judged; "" otherwise.
    root : Path, optional
        The folder that was read.
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
    problem: str = ""
    root: Path | None = None
    halves: tuple[AdapterSet, AdapterSet] | None = None


def assemble(
    adapters: Sequence[Adapter],
    refused: Sequence[SetAside],
    *,
    any_base: bool = False,
    notes: Sequence[str] = (),
    root: Path | None = None,
) -> AdapterSet:
    """Keep the adapters that can be compared with the majority of sites.

    Parameters
    ----------
    adapters : sequence of Adapter
    refused : sequence of SetAside
        Who is left out already.
    any_base : bool
        Do not compare the names of base models.
    notes : sequence of str
        What is known of the set already.
    root : Path, optional

    Returns
    -------
    AdapterSet
        With a `problem` if base models are mixed without a majority.
    """
    set_aside, said = list(refused), list(notes)
    kept, base, problem = list(adapters), "", ""
    if any_base:
        if len({adapter.config.base_model for adapter in kept}) > 1:
            said.append("The adapters name different base models and are judged together as asked.")
    else:
        kept, aside, base, told, problem = same_base(kept)
        said += told
        for adapter, file, words in aside:
            name = printable(adapter.name)
            set_aside.append(SetAside(name, f"{name}/{file}", words))
    kept, told = match_names(kept)
    said += told
    kept, tied, told = _same_shapes(kept, set_aside)
    said += told
    if tied and not kept:
        problem = f"{told[0]} Give the adapters of one model only."
    return _described(kept, tied, set_aside, base, said, problem, root)


def _described(
    adapters: list[Adapter],
    tied: list[str],
    set_aside: list[SetAside],
    base: str,
    notes: list[str],
    problem: str,
    root: Path | None,
) -> AdapterSet:
    owners: dict[str, set[str]] = defaultdict(set)
    shapes: dict[str, tuple[int, int]] = {}
    for adapter in adapters:
        for name, module in adapter.modules.items():
            owners[name].add(site_of(adapter))
            shapes[name] = module.shape
    ordered = sorted(owners, key=natural_key)
    modules = {name: shapes[name] for name in ordered if len(owners[name]) >= MIN_CLIENTS}
    n_sites = len({site_of(adapter) for adapter in adapters})
    partial = sum(len(owners[name]) < n_sites for name in modules)
    if partial:
        notes.append(
            f"{partial} of {len(modules)} modules are missing at some clients; each client is "
            "judged on the modules it has."
        )
    notes += _camps(adapters, modules)
    lonely = [name for name in ordered if len(owners[name]) < MIN_CLIENTS]
    return AdapterSet(
        tuple(adapters),
        modules,
        tuple(sorted({*lonely, *tied}, key=natural_key)),
        tuple(set_aside),
        base,
        tuple(notes),
        problem,
        root,
    )


def _votes(adapters: Sequence[Adapter]) -> dict[str, Counter[tuple[int, int]]]:
    """Count the sites that give a module a shape."""
    found: dict[str, dict[tuple[int, int], set[str]]] = defaultdict(lambda: defaultdict(set))
    for adapter in adapters:
        for name, module in adapter.modules.items():
            found[name][module.shape].add(site_of(adapter))
    return {
        name: Counter({shape: len(sites) for shape, sites in shapes.items()})
        for name, shapes in found.items()
    }


def _same_shapes(
    adapters: list[Adapter], set_aside: list[SetAside]
) -> tuple[list[Adapter], list[str], list[str]]:
    """Leave out modules of another shape than most sites have, or adapters that have many.

    Returns
    -------
    kept : list of Adapter
    tied : list of str
        Modules on whose shape there is no majority; nobody is judged on them.
    notes : list of str
    """
    usual: dict[str, tuple[int, int]] = {}
    tied: list[str] = []
    for name, shapes in _votes(adapters).items():
        (shape, most), *others = shapes.most_common()
        if others and others[0][1] == most:
            tied.append(name)
        usual[name] = shape
    notes = _ties(adapters, tied)
    kept = []
    for adapter in adapters:
        odd = [n for n, m in adapter.modules.items() if n not in tied and m.shape != usual[n]]
        left = [n for n in adapter.modules if n not in odd and n not in tied]
        if 2 * len(odd) >= len(adapter.modules) or not left:
            set_aside.append(_another_model(adapter, odd, tied, usual))
            continue
        skipped = dict(adapter.skipped)
        for name in odd:
            skipped[name] = f"is {_size(adapter, name)}, and {_by(usual[name])} in most adapters"
        modules = {name: adapter.modules[name] for name in left}
        kept.append(replace(adapter, modules=modules, skipped=skipped))
    return kept, tied, notes


def _another_model(
    adapter: Adapter, odd: Sequence[str], tied: Sequence[str], usual: Mapping[str, tuple[int, int]]
) -> SetAside:
    shown = printable(adapter.name)
    if not odd:
        problem = f"changes only modules on whose shape there is no majority ({printable(tied[0])})"
        return SetAside(shown, shown, problem)
    return SetAside(
        shown,
        f"{shown}: {printable(odd[0])}",
        f"changes a {_size(adapter, odd[0])} weight, which is {_by(usual[odd[0]])} in most other "
        f"adapters; so many of its modules ({len(odd)} of {len(adapter.modules)}) have another "
        "shape that it is for another model",
    )


def _ties(adapters: Sequence[Adapter], tied: Sequence[str]) -> list[str]:
    """Say which modules have no majority on their shape, and who has which."""
    splits: dict[str, list[str]] = defaultdict(list)
    for name in tied:
        who: dict[tuple[int, int], list[str]] = defaultdict(list)
        for adapter in adapters:
            if name in adapter.modules:
                who[adapter.modules[name].shape].append(printable(adapter.name))
        splits["; ".join(f"{_by(s)} at {_some(names)}" for s, names in who.items())].append(name)
    notes = []
    for split, names in list(splits.items())[:_LISTED]:
        more = f" and of {len(names) - 1} more modules" if len(names) > 1 else ""
        notes.append(
            f"There is no majority on the shape of {printable(names[0])}{more}: {split}. Nobody is "
            "judged there, and everybody on other modules."
        )
    return notes


def _camps(adapters: Sequence[Adapter], modules: Mapping[str, object]) -> list[str]:
    """Say where groups of clients have no judged module in common."""
    found = camps([{name for name in a.modules if name in modules} for a in adapters])
    if len(found) < 2:
        return []
    listed = [_some([printable(adapters[k].name) for k in camp]) for camp in found[:_LISTED]]
    return [
        f"The clients fall into {len(found)} camps that have no module in common: "
        f"{'; '.join(listed)}. Each is judged among its own."
    ]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def _size(adapter: Adapter, name: str) -> str:
    return _by(adapter.modules[name].shape)


def _by(shape: tuple[int, int]) -> str:
    return f"{shape[0]} x {shape[1]}"
