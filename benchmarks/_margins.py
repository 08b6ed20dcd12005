"""Tables of a task's margins over seeds; shared by the scripts of this folder."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results"
# The scripts import this module before the package, which need not be installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


@dataclass(frozen=True)
class Setting:
    """One row of a table: settings that differ from a task's defaults."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


def table(
    run: Callable[..., Any],
    settings: tuple[Setting, ...],
    measure: str,
    methods: Mapping[str, str],
    seeds: range,
    *,
    better: str,
) -> list[str]:
    """Write markdown rows: mean and deviation over seeds, and CLAIR's wins against the rest.

    Parameters
    ----------
    run : callable
        Takes a seed and a setting's options, returns a `TaskResult`.
    methods : mapping of method key to column title
    better : {"less", "more"}
        Which values of the measure are good.
    """
    sign = 1 if better == "more" else -1
    lines = [
        f"| setting | {' | '.join(methods.values())} | F1 | false alarms | best row of CLAIR "
        "against local | ahead of local / of all others |",
        "|---" * (len(methods) + 5) + "|",
    ]
    for setting in settings:
        results = [run(seed, **setting.options) for seed in seeds]
        values = {
            key: np.array([getattr(r.accuracy[key], measure).mean() for r in results])
            for key in methods
            if key in results[0].accuracy
        }
        own = {key: value for key, value in values.items() if key.startswith("clair")}
        own.pop("clair_oracle", None)
        usable = {
            key: value
            for key, value in values.items()
            if key not in own and not key.endswith("_benign") and key != "clair_oracle"
        }
        best = max(own, key=lambda key: sign * float(own[key].mean()))
        gain = sign * (own[best] - values["local"])
        rival = np.max([sign * value for value in usable.values()], axis=0)
        cells = [_cell(values[key]) if key in values else "" for key in methods]
        f1 = np.array([r.detection.f1 for r in results])
        alarms = np.array([r.detection.false_alarms for r in results])
        lines.append(
            f"| {setting.name} | {' | '.join(cells)} | {f1.mean():.2f} | {alarms.mean():.1f} "
            f"| {methods[best]}: {gain.mean():+.3f} ± {gain.std(ddof=1):.3f} "
            f"| {int((gain > 0).sum())} / {int((sign * own[best] > rival).sum())} "
            f"of {len(results)} |"
        )
        print(lines[-1], flush=True)
    return lines


def _cell(values: np.ndarray) -> str:
    return f"{values.mean():.3f} ± {values.std(ddof=1):.3f}"


BEST_ROW = (
    "Mean ± standard deviation over seeds that no setting was chosen on. The best row of CLAIR is "
    "the one with the best mean, so chosen afterwards; every row has its own column."
)


def write(name: str, parts: list[str], started: float, remark: str = BEST_ROW) -> None:
    """Write a result with how it was made, and a remark on how to read it."""
    import clair

    RESULTS.mkdir(exist_ok=True)
    note = (
        f"Made by `python benchmarks/{name}.py` with clair {clair.__version__}, Python "
        f"{platform.python_version()}, numpy {np.__version__}, in {time.time() - started:.0f} s. "
        f"{remark}"
    )
    text = "\n".join([*parts, "", note, ""])
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
