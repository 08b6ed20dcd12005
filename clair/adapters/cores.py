"""Reading a set of adapters module by module, and finding who can be compared with whom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from clair.adapters.assemble import MIN_CLIENTS, AdapterSet, SetAside
from clair.adapters.compress import Factors, ModuleCore, compress
from clair.adapters.errors import AdapterError, printable
from clair.adapters.progress import Stages
from clair.adapters.reader import Adapter, site_of
from clair.adapters.votes import near_copies
from clair.cancellation import checkpoint
from clair.executors import Workers

# Fourth powers of products of two entries in this range neither overflow nor underflow.
TINY, HUGE = 1e-15, 1e15


@dataclass(frozen=True)
class ReadSet:
    """The updates of a set of adapters, compressed.

    Attributes
    ----------
    cores : dict of str to ModuleCore
        Modules that at least four voters changed, of all adapters.
    voters : ndarray of int
        Indices of the adapters that have their site's vote, in order.
    groups : dict of int to list of int
        By voter: further adapters of its site, and near copies of it. They share its vote.
    lonely : tuple of int
        Adapters that changed only modules that too few others changed.
    notes : tuple of str
        Who repeats whom.
    """

    cores: dict[str, ModuleCore]
    voters: np.ndarray
    groups: dict[int, list[int]]
    lonely: tuple[int, ...]
    notes: tuple[str, ...]


def read_set(
    adapters: AdapterSet, aside: list[SetAside], stages: Stages, helper: Workers | None = None
) -> ReadSet:
    """Read all factors and compress them; add who cannot be used to `aside`.

    A helper that sees the files reads some of the modules.

    Raises
    ------
    AdapterError
        If fewer than four sites, or no module of four sites, are left.
    """
    cores, changed, failed = _compress_all(adapters, aside, stages, helper)
    usable_adapters = changed.any(axis=0)
    by_site: dict[str, list[int]] = {}
    for k in np.flatnonzero(usable_adapters):
        by_site.setdefault(site_of(adapters.adapters[k]), []).append(int(k))
    voters = np.array([found[0] for found in by_site.values()], dtype=int)
    _require_enough(voters, by_site, adapters, aside)
    usable = _usable(changed, voters)
    chosen = {n: core for (n, core), use in zip(cores.items(), usable, strict=True) if use}
    copies, notes = near_copies(chosen, voters, [a.name for a in adapters.adapters])
    groups = {found[0]: found[1:] for found in by_site.values()}
    for voter, others in copies.items():
        groups[voter] += [k for other in others for k in (other, *groups.pop(other))]
    voters = np.array([k for k in voters if k in groups], dtype=int)
    if len(voters) < MIN_CLIENTS:
        raise AdapterError("adapters", f"{' '.join(notes)} {_too_few(len(voters), 'vote')}")
    usable = _usable(changed, voters)
    chosen = {n: core for (n, core), use in zip(cores.items(), usable, strict=True) if use}
    if not chosen:
        raise AdapterError(
            "adapters",
            f"no module is changed by at least {MIN_CLIENTS} of the adapters: with fewer it cannot "
            "be told who differs from the others.",
        )
    compared = changed[usable].any(axis=0)
    lonely = [k for k in range(len(compared)) if not compared[k] and k not in failed]
    final = [
        [k for k in (voter, *others) if compared[k]]
        for voter, others in groups.items()
        if compared[[voter, *others]].any()
    ]
    final.sort()
    return ReadSet(
        chosen,
        np.array([members[0] for members in final], dtype=int),
        {members[0]: members[1:] for members in final},
        tuple(lonely),
        tuple(notes),
    )


def _usable(changed: np.ndarray, voters: np.ndarray) -> np.ndarray:
    found: np.ndarray = changed[:, voters].sum(axis=1) >= MIN_CLIENTS
    return found


def _require_enough(
    voters: np.ndarray,
    by_site: dict[str, list[int]],
    adapters: AdapterSet,
    aside: list[SetAside],
) -> None:
    if len(voters) >= MIN_CLIENTS:
        return
    zero = sum(_ZERO in entry.problem for entry in aside)
    if not len(voters) and zero and zero == len(adapters.adapters):
        words = "they were not trained, or were saved before training"
        raise AdapterError("adapters", f"the updates of all {zero} adapters are zero: {words}.")
    several = sum(map(len, by_site.values())) > len(voters)
    raise AdapterError("adapters", _too_few(len(voters), "site" if several else "adapter"))


def require_enough(n_clients: int) -> None:
    """Refuse fewer clients than it takes to tell who differs."""
    if n_clients < MIN_CLIENTS:
        raise AdapterError("adapters", _too_few(n_clients, "adapter"))


def _too_few(n: int, of_what: str) -> str:
    what = {
        "adapter": f"{n} usable adapter{'s' * (n != 1)} found",
        "site": f"usable adapters come from {n} site{'s' * (n != 1)}, each with one vote",
        "vote": "Where all go on from one common adapter, subtract it first, or else that leaves "
        f"{n} vote{'s' * (n != 1)}",
    }[of_what]
    return (
        f"{what}, and at least {MIN_CLIENTS} are needed: with fewer it cannot be told who differs "
        "from the others."
    )


_ZERO = "its update is zero in every module"


def _compress_all(
    adapters: AdapterSet, aside: list[SetAside], stages: Stages, helper: Workers | None
) -> tuple[dict[str, ModuleCore], np.ndarray, set[int]]:
    """Compress every module; tell who changed it, (n_modules, n_adapters), and who failed."""
    names = list(adapters.modules)
    if helper is not None and not helper.files:
        helper = None
    # A helper has to start first, so it gets two modules of five.
    turn = [helper is not None and i % 5 in (1, 3) for i in range(len(names))]
    theirs = [name for name, away in zip(names, turn, strict=True) if away]
    mine = [name for name, away in zip(names, turn, strict=True) if not away]
    asked = None if helper is None else helper.submit(compress_modules, adapters, theirs)

    def told(done: int) -> None:
        stages.step("read", done, len(mine))

    found, failures = compress_modules(adapters, mine, told)
    if helper is not None and asked is not None:
        others, more = helper.result(asked)
        found, failures = {**found, **others}, more | failures
    aside.extend(failures[k] for k in sorted(failures))
    failed = set(failures)
    cores = {name: found[name] for name in names}
    changed = np.array([core.energy > 0 for core in cores.values()], dtype=bool)
    changed = changed.reshape(len(cores), len(adapters.adapters))
    for k, adapter in enumerate(adapters.adapters):
        shared = any(name in adapters.modules for name in adapter.modules)
        if k not in failed and shared and not changed[:, k].any():
            failed.add(k)
            name = printable(adapter.name)
            aside.append(SetAside(name, name, _why_zero(adapter)))
    changed[:, list(failed)] = False
    return cores, changed, failed


def compress_modules(
    adapters: AdapterSet, names: Sequence[str], told: Callable[[int], None] = lambda done: None
) -> tuple[dict[str, ModuleCore], dict[int, SetAside]]:
    """Read and compress some modules of all adapters.

    Parameters
    ----------
    adapters : AdapterSet
    names : sequence of str
        Of modules.
    told : callable
        Called with the number of modules done.

    Returns
    -------
    cores : dict of str to ModuleCore
    failures : dict of int to SetAside
        Adapters of which something could not be used, by position.
    """
    failures: dict[int, SetAside] = {}
    cores: dict[str, ModuleCore] = {}
    for done, name in enumerate(names):
        factors: list[Factors] = []
        for k, adapter in enumerate(adapters.adapters):
            pair: Factors = None
            if k not in failures and name in adapter.modules:
                try:
                    checkpoint()
                    pair = _checked_factors(adapter, name)
                except AdapterError as error:
                    failures[k] = SetAside(printable(adapter.name), error.where, error.problem)
            factors.append(pair)
        cores[name] = compress(factors, adapters.modules[name])
        told(done + 1)
    return cores, failures


def _why_zero(adapter: Adapter) -> str:
    if not any(module.scaling for module in adapter.modules.values()):
        return "lora_alpha is 0, which multiplies its update by zero"
    return f"{_ZERO} judged: it was not trained, or was wiped"


def _checked_factors(adapter: Adapter, name: str) -> tuple[np.ndarray, np.ndarray]:
    B, A = adapter.factors(name)
    for factor in (B, A):
        largest = float(np.abs(factor).max())
        if largest > HUGE or 0 < largest < TINY:
            raise AdapterError(
                f"{printable(adapter.name)}: {printable(name)}",
                f"has entries as large as {largest:.0e}, which no training produces"
                if largest > HUGE
                else f"has no entry larger than {largest:.0e}, which no training produces",
            )
    return B, A
