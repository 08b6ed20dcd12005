"""Which adapters come from one site, by where they lie: one site has one vote.

Trainers write ``checkpoint-500`` beside or below the adapter they end with, servers a folder for
every round, and PEFT saves several adapters of one model side by side (``default``, ``reference``)
or below the first. Whoever counts folders lets a site vote as often as it saved.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from clair.adapters.errors import printable
from clair.adapters.reader import natural_key

_STAGE = re.compile(
    r"(?:checkpoint|ckpt|global_?step|step|epoch|round|iter(?:ation)?)[-_=]?(\d+)(?:[-_].*)?|"
    r"(?:checkpoint|ckpt)[-_](?:best|last|latest|final)|epoch=\d+[-_]step=(\d+)",
    re.IGNORECASE,
)
#: What a folder's final adapter is called, the likeliest first.
_FINAL = ("default", "final", "final_model", "final_adapter", "last", "latest", "best", "adapter")
_LISTED = 3


@dataclass(frozen=True)
class Site:
    """Adapters of one site.

    Attributes
    ----------
    name : str
        Its folder.
    members : tuple of str
        Paths of the adapters that are read, the one that votes first.
    earlier : tuple of str
        Paths of earlier states of one of them, which are left aside.
    """

    name: str
    members: tuple[str, ...]
    earlier: tuple[str, ...] = ()


def site_notes(sites: Sequence[Site]) -> list[str]:
    """Say who stands for sites that have several adapters."""
    notes = []
    states = [site for site in sites if site.earlier]
    if states:
        listed = _some([_one(site.members[0], site.earlier, "without ") for site in states])
        notes.append(
            "One site, one vote: of several states of one training the last one is judged, and "
            f"earlier checkpoints are left aside: {listed}."
        )
    several = [site for site in sites if len(site.members) > 1]
    if several:
        listed = _some([_one(site.members[0], site.members[1:], "with ") for site in several])
        notes.append(
            f"One site, one vote: adapters of one site share its vote and are all judged: {listed}."
        )
    return notes


def _one(first: str, others: Sequence[str], word: str) -> str:
    return f"{printable(first)} ({word}{_some([printable(path) for path in others])})"


def group_sites(paths: Sequence[str]) -> list[Site]:
    """Group the paths of adapters, relative to the folder given, by site.

    Parameters
    ----------
    paths : sequence of str
        With "/" between levels.

    Returns
    -------
    list of Site
        In natural order of their first members.
    """
    keys = {path: "/".join(p for p in path.split("/") if not _STAGE.fullmatch(p)) for path in paths}
    alone = [path for path, key in keys.items() if not key]
    if len(alone) == len(paths):  # nothing but states of one training
        keys = dict.fromkeys(paths, ".")
    else:
        keys |= {path: path for path in alone}
    joined = _below_another(keys)
    joined = _named_alike(joined)
    groups: dict[str, list[str]] = defaultdict(list)
    for path, key in joined.items():
        groups[key].append(path)
    sites = [_site(key, found) for key, found in groups.items()]
    return sorted(sites, key=lambda site: natural_key(site.members[0]))


def _below_another(keys: dict[str, str]) -> dict[str, str]:
    """Join an adapter to the uppermost one in whose folder it lies."""
    known = set(keys.values())
    joined = {}
    for path, key in keys.items():
        parts = key.split("/")
        above = ("/".join(parts[:n]) for n in range(1, len(parts)))
        joined[path] = next((name for name in above if name in known), key)
    return joined


def _named_alike(keys: dict[str, str]) -> dict[str, str]:
    """Join adapters in folders that hold the same names: roles at each site, or sites by round.

    The sites are what there is more of.
    """
    parents: dict[str, set[str]] = defaultdict(set)
    for key in keys.values():
        parent, _, name = key.rpartition("/")
        if parent:
            parents[parent].add(name)
    seen: dict[str, set[str]] = defaultdict(set)
    for parent, names in parents.items():
        for name in names:
            seen[name].add(parent)
    alike = {
        parent: {name for name in names if len(seen[name]) > 1} for parent, names in parents.items()
    }
    alike = {p: names for p, names in alike.items() if len(names) > 1 or "default" in parents[p]}
    by_round = len(set().union(*alike.values())) > len(alike)
    result = {}
    for path, key in keys.items():
        parent, _, name = key.rpartition("/")
        if parent not in alike or (len(parents[parent]) == 1 and name == "default"):
            result[path] = key
        elif by_round:
            result[path] = name if name in alike[parent] else key
        else:
            result[path] = parent
    return result


def _site(key: str, paths: Iterable[str]) -> Site:
    ordered = sorted(paths, key=lambda path: _priority(key, path))
    members = [ordered[0]]
    earlier: list[str] = []
    for path in ordered[1:]:
        (earlier if _stages(path) else members).append(path)
    return Site(key, tuple(members), tuple(sorted(earlier, key=natural_key)))


def _priority(key: str, path: str) -> tuple:
    """Sort key that puts the adapter first that stands for a site's present state."""
    stages, last = _stages(path), path.rsplit("/", 1)[-1].casefold()
    final = _FINAL.index(last) if last in _FINAL else len(_FINAL)
    return bool(stages), [-n for n in stages], path.count("/"), final, natural_key(path)


def _stages(path: str) -> list[int]:
    """List the numbers of steps, epochs or rounds in a path; named ones count as the last."""
    found = []
    for part in path.split("/"):
        match = _STAGE.fullmatch(part)
        if match:
            digits = match[1] or match[2]
            found.append(int(digits[:18]) if digits else 10**18)
    return found


def _some(shown: Sequence[str]) -> str:
    more = f" and {len(shown) - _LISTED} more" if len(shown) > _LISTED else ""
    return ", ".join(shown[:_LISTED]) + more
