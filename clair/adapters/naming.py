"""One name for one module, whatever prefix each client's libraries wrote before it.

The same layer is ``model.layers.0.q_proj`` in one version of transformers,
``model.language_model.layers.0.q_proj`` in another, ``layers.0.q_proj`` from AutoModel, and has
``base_model.model.`` before it twice where a wrapped model was wrapped again. Names are matched
where that is unambiguous, and left alone elsewhere.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from clair.adapters.errors import printable
from clair.adapters.layouts import KOHYA
from clair.adapters.reader import Adapter, natural_key, site_of

#: Levels that wrappers and versions of libraries add or leave out.
_NEUTRAL = frozenset(
    {
        *("base_model", "model", "language_model", "module", "base_layer", "_orig_mod"),
        *("_fsdp_wrapped_module", "_checkpoint_wrapped_module", "processor"),
    }
)
_FLAT_PREFIX = re.compile(r"(lora_(unet|transformer|te\d?|prior)|lycoris|lora)_")
_TOWER = re.compile(r"encoder|decoder|vision|visual|vit|audio|speech|image|text|unet|talker")
_COMPONENT = re.compile(r"^(unet|transformer|text_encoder(_2)?)_")
_STACK = re.compile(r"(?:^|\.)([A-Za-z_]\w*\.\d+\..+)$")


def plain_name(module: str) -> str:
    """Leave out the levels of a name that tell nothing.

    Examples
    --------
    >>> plain_name("base_model.model.model.language_model.layers.0.self_attn.q_proj")
    'layers.0.self_attn.q_proj'
    """
    kept = [part for part in module.split(".") if part not in _NEUTRAL]
    return ".".join(kept) or module


def match_names(adapters: Sequence[Adapter]) -> tuple[list[Adapter], list[str]]:
    """Give modules that are the same one the same name, the one most sites use.

    Parameters
    ----------
    adapters : sequence of Adapter

    Returns
    -------
    adapters : list of Adapter
        Each with its modules under the common names.
    notes : list of str
        Whose names were matched.
    """
    renamed = [_plain(adapter) for adapter in adapters]
    dotted = [k for k, adapter in enumerate(adapters) if adapter.layout != KOHYA]
    groups = camps([set(renamed[k].values()) for k in dotted])
    sizes = [len({site_of(adapters[dotted[i]]) for i in group}) for group in groups]
    largest = groups[sizes.index(max(sizes))] if groups else []
    common = _shapes([(adapters[dotted[i]], renamed[dotted[i]]) for i in largest])
    for group in groups:
        for i in group if group is not largest else ():
            renamed[dotted[i]] = _by_stack(adapters[dotted[i]], renamed[dotted[i]], common)
    known = _shapes([(adapters[k], renamed[k]) for k in dotted])
    for k, adapter in enumerate(adapters):
        if adapter.layout == KOHYA:
            renamed[k] = _unflattened(renamed[k], known)
    usual = _usual_names(adapters, renamed)
    result: list[Adapter] = []
    told: dict[tuple[str, str], list[str]] = defaultdict(list)
    for adapter, names in zip(adapters, renamed, strict=True):
        final = {own: usual[name] for own, name in names.items()}
        if len(set(final.values())) < len(final):
            final = {own: own for own in names}
        changed = next((own for own in final if final[own] != own), None)
        if changed is not None:
            told[printable(changed, 90), printable(final[changed], 90)].append(adapter.name)
            modules = {final[own]: entry for own, entry in adapter.modules.items()}
            ordered = dict(sorted(modules.items(), key=lambda item: natural_key(item[0])))
            adapter = replace(adapter, modules=ordered)
        result.append(adapter)
    return result, [_note(own, usual_name, who) for (own, usual_name), who in told.items()]


def _note(own: str, usual: str, who: Sequence[str]) -> str:
    more = f" and {len(who) - 4} more" if len(who) > 4 else ""
    listed = ", ".join(printable(name) for name in who[:4]) + more
    return f"Names of modules were matched: {own} at {listed} is {usual} at most others."


def _plain(adapter: Adapter) -> dict[str, str]:
    """Map an adapter's names to plain ones, and to themselves where two would become one."""
    names = {own: plain_name(own) for own in adapter.modules}
    counts = Counter(names.values())
    return {own: plain if counts[plain] == 1 else own for own, plain in names.items()}


def camps(names: Sequence[set[str]]) -> list[list[int]]:
    """Group the sets that are linked by common names; in order, as positions, empty sets left out.

    Examples
    --------
    >>> camps([{"a"}, {"b"}, {"a", "c"}, set(), {"c"}])
    [[0, 2, 4], [1]]
    """
    above = list(range(len(names)))

    def first(k: int) -> int:
        while above[k] != k:
            above[k] = above[above[k]]
            k = above[k]
        return k

    owner: dict[str, int] = {}
    for k, own in enumerate(names):
        for name in own:
            a, b = sorted((first(k), first(owner.setdefault(name, k))))
            above[b] = a
    members: dict[int, list[int]] = defaultdict(list)
    for k, own in enumerate(names):
        if own:
            members[first(k)].append(k)
    return sorted(members.values())


def _shapes(
    named: Sequence[tuple[Adapter, Mapping[str, str]]],
) -> dict[str, tuple[int, int]]:
    """List the modules of some adapters under their new names, with a shape for each."""
    return {
        name: adapter.modules[own].shape for adapter, names in named for own, name in names.items()
    }


def _unflattened(names: Mapping[str, str], others: Mapping[str, object]) -> dict[str, str]:
    """Find the dotted names for kohya's, which join all levels by underscores."""
    table: dict[str, set[str]] = defaultdict(set)
    for other in others:
        flat = other.replace(".", "_")
        inside = _COMPONENT.sub("", flat, count=1)
        for known in (flat, f"model_{flat}", inside, f"model_{inside}"):
            table[known].add(other)
    found = {}
    for own, name in names.items():
        match = table.get(_FLAT_PREFIX.sub("", own, count=1), set())
        found[own] = next(iter(match)) if len(match) == 1 else name
    return found if len(set(found.values())) == len(found) else dict(names)


def _by_stack(
    adapter: Adapter, names: Mapping[str, str], others: Mapping[str, tuple[int, int]]
) -> dict[str, str]:
    """Match names from the numbered layer on, if that, the shapes and the tower leave no doubt."""
    table: dict[str, set[str]] = defaultdict(set)
    for other in others:
        table[_from_stack(other)].add(other)
    found = {}
    for own, name in names.items():
        match = {other for other in table[_from_stack(name)] if _tower(other) == _tower(name)}
        if len(match) == 1 and others[next(iter(match))] == adapter.modules[own].shape:
            found[own] = next(iter(match))
        else:
            found[own] = name
    return found if len(set(found.values())) == len(found) else dict(names)


def _tower(name: str) -> set[str]:
    """List the levels before the numbered layer that say which part of a model this is."""
    before = name[: len(name) - len(_from_stack(name))]
    return set(_TOWER.findall(before))


def _from_stack(name: str) -> str:
    match = _STACK.search(name)
    return match[1] if match else name


def _usual_names(
    adapters: Sequence[Adapter], renamed: Sequence[Mapping[str, str]]
) -> dict[str, str]:
    """Find the name that most sites give each module."""
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    seen = set()
    for adapter, names in zip(adapters, renamed, strict=True):
        for own, name in names.items():
            vote = site_of(adapter), own, name
            if vote not in seen:
                seen.add(vote)
                votes[name][own] += 1
    usual: dict[str, str] = {}
    taken: set[str] = set()
    for name, owns in votes.items():
        best = min(owns, key=lambda own: (-owns[own], natural_key(own)))
        usual[name] = name if best in taken else best
        taken.add(usual[name])
    return usual
