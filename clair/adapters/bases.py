"""Who has which base model, by what identifies it: its name, or else modules and shapes.

A name may be a repository's, a path on somebody's machine or in the Hub's cache, a quantised
copy's, or missing. Where a name says nothing, the layers and shapes that an adapter changes have to
do.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from clair.adapters.errors import printable
from clair.adapters.formats import CONFIG_NAME
from clair.adapters.reader import Adapter, site_of

_CACHE = re.compile(r"models--(.+)")
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_GENERIC = re.compile(
    r"(the_?|my_?)?((base|llm|foundation|pretrained|hf|merged|final|original|local|full|input)[-_]?)?"
    r"(model|models|base|llm|checkpoint|ckpt|weights|output|outputs|out|snapshot|snapshots|merged|"
    r"final|latest|main|hf|data|pretrained|init|tmp|workspace|home)"
    r"([-_]?(dir|path|folder|hf))?([-_]?v?\d+)?|(checkpoint|step|epoch|run)[-_]?\d+|\d+|\.*"
)
_QUANTISED = re.compile(
    r"([-_.](unsloth|bnb|nf4|fp4|int4|int8|fp8|4[-_]?bits?|8[-_]?bits?|gptq|awq|hqq|eetq|aqlm|exl2|"
    r"marlin|quantized|quantised|dynamic|bf16|fp16|mlx|w4a16|w8a8|q4|q8))+$"
)
_SNAPSHOT = re.compile(r"snapshots[/\\]([0-9a-f]{7,})")
_LAYER = re.compile(r"(.*?)\.(\d{1,6})\.")
#: What to do where names of base models keep adapters apart.
ADVICE = "if it is the same model under another name, judge them together with --any-base"
_LENGTH = 90


def model_of(name: str) -> str:
    """Find what identifies a base model in what a configuration says; "" if nothing does.

    Examples
    --------
    >>> model_of("/home/x/.cache/huggingface/hub/models--acme--Tiny-7B/snapshots/0f1e2d3c4b5a")
    'tiny-7b'
    >>> model_of("unsloth/tiny-7b-unsloth-bnb-4bit"), model_of("/mnt/llama/model"), model_of("")
    ('tiny-7b', '', '')
    """
    last = ""
    parts = name.replace("\\", "/").casefold().strip().split("/")
    for part in reversed(parts):
        cached = _CACHE.fullmatch(part)
        if cached:
            last = cached[1].rsplit("--", 1)[-1]
            break
        if part and not last:
            last = part
    if _COMMIT.fullmatch(last) and any(c.isdigit() for c in last):
        return ""
    last = last.rsplit("--", 1)[-1]
    repository = len(parts) == 2 and all(parts) and not _GENERIC.fullmatch(parts[0])
    if _GENERIC.fullmatch(last) and not repository:
        return ""
    return _QUANTISED.sub("", last) or last


def same_base(
    adapters: Sequence[Adapter],
) -> tuple[list[Adapter], list[tuple[Adapter, str, str]], str, list[str], str]:
    """Keep the adapters of the base model that most sites have.

    Returns
    -------
    kept : list of Adapter
    aside : list of (Adapter, str, str)
        The others, with the file that says so and the reason.
    base : str
        The common model's name as most configurations write it.
    notes : list of str
        Where the kept ones' names differ.
    problem : str
        Why there is no majority; "" if there is one.
    """
    models = [model_of(adapter.config.base_model) for adapter in adapters]
    sites: dict[str, set[str]] = defaultdict(set)
    for adapter, model in zip(adapters, models, strict=True):
        if model:
            sites[model].add(site_of(adapter))
    counts = Counter({model: len(found) for model, found in sites.items()})
    common = ""
    if counts:
        (common, most), *others = counts.most_common()
        if others and others[0][1] == most:
            return list(adapters), [], "", [], _no_majority(adapters, models)
    kept: list[Adapter] = []
    aside: list[tuple[Adapter, str, str]] = []
    for adapter, model in zip(adapters, models, strict=True):
        if model in ("", common):
            kept.append(adapter)
            continue
        usual = _written(adapters, models, common)
        words = (
            f"is for base model {_shown(adapter.config.base_model)}, while "
            f"{counts[common]} are for {_shown(usual)}; {ADVICE}"
        )
        aside.append((adapter, CONFIG_NAME, words))
    kept = _same_layers(kept, aside)
    one_name = common or len({adapter.config.base_model for adapter in kept}) == 1
    base = _written(adapters, models, common) if one_name else ""
    return kept, aside, base, _notes(kept, base if common else ""), ""


def _written(adapters: Sequence[Adapter], models: Sequence[str], model: str) -> str:
    """Find how most configurations write a model's name."""
    pairs = zip(adapters, models, strict=True)
    names = Counter(a.config.base_model for a, one in pairs if one == model)
    return names.most_common(1)[0][0] if names else ""


def _no_majority(adapters: Sequence[Adapter], models: Sequence[str]) -> str:
    listed = []
    for model in dict.fromkeys(models):
        who = [a for a, one in zip(adapters, models, strict=True) if one == model]
        names = ", ".join(printable(a.name, 40) for a in who[:4])
        more = f" and {len(who) - 4} more" if len(who) > 4 else ""
        name = _shown(_written(adapters, models, model)) if model else "no model by name"
        listed.append(f"{name} ({len(who)}: {names}{more})")
    return (
        "the adapters belong to different base models and none has a majority: "
        f"{'; '.join(listed)}. Give the adapters of one model only; {ADVICE}."
    )


def _same_layers(adapters: list[Adapter], aside: list[tuple[Adapter, str, str]]) -> list[Adapter]:
    """Set aside adapters without a name of a base model that have more layers than the others."""
    named = [a for a in adapters if model_of(a.config.base_model)] or adapters
    depths: dict[str, Counter[int]] = defaultdict(Counter)
    for adapter in named:
        for stack, depth in _depths(adapter).items():
            depths[stack][depth] += 1
    kept = []
    for adapter in adapters:
        problem = ""
        for stack, depth in _depths(adapter).items():
            usual = depths[stack].most_common(2)
            clear = len(usual) == 1 or (usual and usual[0][1] > usual[1][1])
            if clear and depth > max(depths[stack]) and not model_of(adapter.config.base_model):
                problem = (
                    f"names no base model and has {depth} layers in {printable(stack)}, where the "
                    f"others have {usual[0][0]}: it is another model; {ADVICE}"
                )
        if problem:
            aside.append((adapter, CONFIG_NAME, problem))
        else:
            kept.append(adapter)
    return kept


def _depths(adapter: Adapter) -> dict[str, int]:
    """Find the number of layers that an adapter reaches, by stack of layers."""
    found: dict[str, int] = {}
    for name in adapter.modules:
        match = _LAYER.match(name)
        if match:
            found[match[1]] = max(found.get(match[1], 0), int(match[2]) + 1)
    return found


def _notes(kept: Sequence[Adapter], common: str) -> list[str]:
    by_name: dict[str, list[str]] = defaultdict(list)
    for adapter in kept:
        by_name[adapter.config.base_model].append(printable(adapter.name))
    if len(by_name) < 2:
        return []
    unnamed = {name: who for name, who in by_name.items() if not model_of(name)}
    notes = []
    if unnamed:
        listed = "; ".join(f"{_shown(n)} ({_listed(who)})" for n, who in _first(unnamed))
        with_what = f"with those for {_shown(common)} " if common else ""
        notes.append(
            "What some configurations give as the base model does not identify it: "
            f"{listed}. They are judged {with_what}because modules, shapes and layers agree; make "
            "sure that it is the same model."
        )
    twins = {n: who for n, who in by_name.items() if n not in unnamed and _copy_of(n)}
    if twins:
        listed = "; ".join(f"{_shown(n)} ({_listed(who)})" for n, who in _first(twins))
        notes.append(f"Quantised or renamed copies are taken for the original model: {listed}.")
    found = (_SNAPSHOT.search(name) for name in by_name)
    commits = {match[1] for match in found if match}
    if len(commits) > 1:
        notes.append(f"The base model is named in {len(commits)} revisions, taken for one model.")
    return notes


def _copy_of(name: str) -> bool:
    last = re.split(r"[/\\]", name.casefold().rstrip("/\\"))[-1]
    return bool(_QUANTISED.search(last))


def _first(names: Mapping[str, list[str]]) -> list[tuple[str, list[str]]]:
    return list(names.items())[:4]


def _listed(who: Sequence[str]) -> str:
    return ", ".join(who[:3]) + (f" and {len(who) - 3} more" if len(who) > 3 else "")


def _shown(name: str) -> str:
    """Write a base model's name with its end, which tells paths apart."""
    cached = re.search(r"models--([^/\\]+)", name)
    if cached:
        return printable(cached[1].replace("--", "/"), _LENGTH)
    if not name:
        return "none named"
    return printable(name if len(name) <= _LENGTH else f"…{name[1 - _LENGTH :]}", _LENGTH)
