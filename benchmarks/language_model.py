"""A real language model: what every method is worth to the honest clients, over fresh seeds.

    python benchmarks/language_model.py [--keep FILE] [--search | --finished]

Needs the extra "llm". A run takes one to two minutes on a core, so finished ones are kept in FILE
(JSON lines) and not made again. --search makes the development runs of the second table instead of
the fresh ones of the first; --finished writes the tables of the runs that are there.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _margins import write

from clair.federated.llm import LLMConfig, run_llm
from clair.methods import METHODS

FRESH = range(7000, 7010)
DEVELOPMENT = range(10, 12)
SHOWN = (
    "base",
    "local",
    "local_longer",
    "fedavg",
    "fedavg_finetuned",
    "geometric_median_finetuned",
    "multi_krum_finetuned",
    "kept_finetuned",
    "pca",
    "clair",
    "clair_eb",
    "clair_finetuned",
    "clair_safe",
    "fedavg_benign",
    "benign_finetuned",
    "clair_oracle",
)
ALONE, RECOMMENDED = "local_longer", "kept_finetuned"


class Setting(NamedTuple):
    """Settings that differ from the defaults, and on how many seeds."""

    name: str
    options: dict[str, Any]
    n_seeds: int


SETTINGS = (
    Setting("backdoor x 3 (default)", {}, 10),
    Setting("wrong answers x 3", {"attack": "wrong"}, 4),
    Setting("backdoor x 1", {"boost": 1.0}, 3),
    Setting("nobody poisoned, all agree", {"poisoned_fraction": 0.0, "disputed": 0}, 3),
    Setting("sign flip x 3", {"attack": "sign_flip"}, 2),
    Setting("colluders x 3", {"attack": "collude"}, 2),
    Setting("random house words x 3", {"attack": "random_labels"}, 2),
    Setting("random tokens x 3", {"attack": "random_tokens"}, 2),
    Setting("backdoor x 6", {"boost": 6.0}, 2),
    Setting("wrong answers x 1", {"attack": "wrong", "boost": 1.0}, 3),
    Setting("random house words x 1", {"attack": "random_labels", "boost": 1.0}, 3),
    Setting("backdoor x 6, 5 of 12", {"boost": 6.0, "poisoned_fraction": 0.45}, 3),
    # the best of the search below
    Setting("two layers", {"depth": 2, "learning_rate": 3e-3}, 3),
)

#: Looked at on development seeds only, for a place where sharing pays without fine-tuning.
SEARCHED = (
    Setting("default", {}, 2),
    Setting("output side", {"side": "output"}, 2),
    Setting("output side, rank 4", {"side": "output", "rank": 4}, 2),
    Setting("input side, rank 4", {"rank": 4}, 2),
    Setting("one product a category", {"products": 1}, 2),
    Setting("two products a category", {"products": 2}, 2),
    Setting("one product, output side, rank 4", {"products": 1, "side": "output", "rank": 4}, 2),
    Setting("24 clients", {"n_clients": 24}, 2),
    Setting("24 clients, one product", {"n_clients": 24, "products": 1}, 2),
    Setting("all agree, one product", {"disputed": 0, "products": 1}, 2),
    Setting("two in dispute, one product", {"disputed": 2, "products": 1}, 2),
    Setting("two layers", {"depth": 2, "learning_rate": 3e-3}, 2),
    Setting("four layers", {"depth": 4, "learning_rate": 2e-3}, 1),
)


def outcome(seed: int, options: dict[str, Any]) -> dict[str, Any]:
    """Run the task once and keep what the tables need."""
    began = time.time()
    result = run_llm(LLMConfig(seed=seed, n_samples=0, threads=1, device="cpu", **options))
    kept = {
        key: {"accuracy": value["accuracy"], "backdoor": value["backdoor"]}
        for key, value in result.to_json()["accuracy"].items()
    }
    bad, scores = np.asarray(result.contaminated), np.asarray(result.fit.scores)
    suspect = sum(result.contaminated[k] for k, d in enumerate(result.degrees) if d == "suspect")
    return {
        "methods": kept,
        "poisoned": int(result.contaminated.sum()),
        "found": int((result.flagged & result.contaminated).sum()),
        "suspect": int(suspect),
        "auc": float(np.mean(scores[bad][:, None] > scores[~bad])) if bad.any() else None,
        "alarms": result.detection.false_alarms,
        "other_f1": result.other_side["f1"],
        "other_alarms": result.other_side["false_alarms"],
        "rank": int(result.fit.rank),
        "chosen": result.sharing.chosen if result.sharing is not None else "",
        "seconds": time.time() - began,
    }


def collected(
    settings: Sequence[Setting], seeds: range, keep: Path | None, finished: bool = False
) -> list[list[Any]]:
    """Make the runs that are not kept yet, or none of them; one list a setting."""
    known: dict[str, Any] = {}
    if keep is not None and keep.is_file():
        for line in keep.read_text().splitlines():
            key, value = json.loads(line)
            known[key] = value
    made = []
    for setting in settings:
        runs = []
        for seed in seeds[: setting.n_seeds]:
            key = json.dumps([seed, setting.options], sort_keys=True)
            if key not in known and finished:
                continue
            if key not in known:
                known[key] = outcome(seed, setting.options)
                if keep is not None:
                    with keep.open("a") as file:
                        file.write(json.dumps([key, known[key]]) + "\n")
            runs.append(known[key])
        made.append(runs)
        print(setting.name, "done", flush=True)
    return made


def table(settings: Sequence[Setting], made: Sequence[Sequence[Any]], measure: str) -> list[str]:
    """Write a column for each setting: mean and deviation over seeds of each method."""
    heads = [
        f"{setting.name}, {len(runs)} seeds" for setting, runs in zip(settings, made, strict=True)
    ]
    lines = [f"| | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for key in SHOWN:
        cells = []
        for runs in made:
            values = np.array([run["methods"][key][measure] for run in runs])
            spread = values.std(ddof=1) if len(values) > 1 else 0.0
            cells.append(f"{values.mean():.3f} ± {spread:.3f}")
        name = METHODS[key].label + " (oracle)" * METHODS[key].oracle
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def verdicts(settings: Sequence[Setting], made: Sequence[Sequence[Any]]) -> list[str]:
    """Write who was found, and how often the recommended pipeline is ahead of training alone."""
    lines = [
        "| setting | seeds | poisoned found | suspect | false alarms | AUC of the scores | "
        "F1, false alarms on the output side | ranks | the safe choice | "
        "kept average, then fine-tuned, against local for as long: mean ± sd, ahead in | "
        "CLAIR against local: mean ± sd, ahead in |",
        "|---" * 11 + "|",
    ]
    for setting, runs in zip(settings, made, strict=True):
        total = {key: sum(run[key] for run in runs) for key in ("poisoned", "found", "suspect")}
        alarms = sum(run["alarms"] for run in runs)
        chosen = sorted({run["chosen"] for run in runs})
        told = ", ".join(f"{one} {sum(run['chosen'] == one for run in runs)}" for one in chosen)
        ranks = sorted({run["rank"] for run in runs})
        other = np.mean([run["other_f1"] for run in runs])
        lines.append(
            f"| {setting.name} | {len(runs)} | {total['found']} of {total['poisoned']} | "
            f"{total['suspect']} | {alarms} | {_ranked(runs)} | {other:.2f}, "
            f"{sum(run['other_alarms'] for run in runs)} | {', '.join(map(str, ranks))} | {told} | "
            f"{_ahead(runs, RECOMMENDED, ALONE)} | {_ahead(runs, 'clair', 'local')} |"
        )
    return lines


def _ranked(runs: Sequence[Any]) -> str:
    """Tell how often a poisoned client scores above an honest one; 1 where all were found."""
    found = [run.get("auc", 1.0 if run["found"] == run["poisoned"] else None) for run in runs]
    if not sum(run["poisoned"] for run in runs) or None in found:
        return ""
    return f"{np.mean(found):.2f}"


def _ahead(runs: Sequence[Any], one: str, other: str) -> str:
    gain = np.array([r["methods"][one]["accuracy"] - r["methods"][other]["accuracy"] for r in runs])
    spread = gain.std(ddof=1) if len(gain) > 1 else 0.0
    return f"{gain.mean():+.3f} ± {spread:.3f}, {int((gain > 0).sum())} of {len(gain)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--search", action="store_true")
    parser.add_argument("--finished", action="store_true", help="write what is there, run nothing")
    args = parser.parse_args()
    started = time.time()
    if args.search:
        collected(SEARCHED, DEVELOPMENT, args.keep)
        return

    def there(settings: Sequence[Setting], seeds: range) -> tuple[list[Setting], list[list[Any]]]:
        made = collected(settings, seeds, args.keep, args.finished)
        pairs = [(one, runs) for one, runs in zip(settings, made, strict=True) if runs]
        return [one for one, _ in pairs], [runs for _, runs in pairs]

    shown, made = there(SETTINGS, FRESH)
    doors = [i for i, one in enumerate(shown) if has_backdoor(one)]
    parts = [
        "# SmolLM2-135M-Instruct: answers of the honest clients to 48 held-out orders",
        "",
        *table(shown, made, "accuracy"),
        "",
        "## Success of the backdoor (less is better)",
        "",
        *table([shown[i] for i in doors], [made[i] for i in doors], "backdoor"),
        "",
        "## Verdicts, and what sharing is worth",
        "",
        *verdicts(shown, made),
    ]
    searched = there(SEARCHED, DEVELOPMENT)
    if searched[0]:
        heading = "## Where sharing might pay: development seeds, everything that was tried"
        parts += ["", heading, "", *verdicts(*searched)]
    spent = sum(run["seconds"] for runs in (*made, *searched[1]) for run in runs)
    write("language_model", parts, started if not args.finished else time.time() - spent, REMARK)


def has_backdoor(setting: Setting) -> bool:
    """Tell whether somebody plants a backdoor in a setting."""
    options = LLMConfig(**setting.options)
    return options.attack == "backdoor" and options.n_poisoned > 0


REMARK = (
    "Mean ± standard deviation over seeds. Seeds from 7000 on were looked at only after all "
    "settings had been chosen; 10 and 11 are development seeds. The likeliest of all 49,152 tokens "
    "counts as the answer."
)

if __name__ == "__main__":
    main()
