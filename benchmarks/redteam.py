"""The worst attacks a search finds against every defence, and what they cost honest clients.

    python benchmarks/redteam.py [--against TREE] [--budget 300] [--seed 100]

With ``--against TREE``, a checkout of another version, CLAIR's rows are searched there too, and the
attacks found on either side are tried on the other. Each tree runs in a process of its own; an
older one (with `clair/method/`) takes the attacks and the search from here.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]
SIZES = (8, 20, 50)
FRACTIONS = (0.25, 0.4)
#: Modules of the second table, enough for evidence of shape.
MODULES = 3
#: What searches from other seeds found: clients, share held, defence, modules and plan.
OTHERS: tuple[tuple[int, float, str, int, list[dict[str, float]]], ...] = (
    (20, 0.4, "clair_screen", 1, [{"own": 0.415, "echo": 0.466, "mean": -0.644, "noise": 0.0893}]),
    (
        8,
        0.4,
        "clair",
        MODULES,
        [
            {"share": 0.519, "own": 0, "size": 0.155, "directions": 0, "ladder": 1.02, "copy": 1}
            | {"noise": 0},
            {"share": 0.59, "own": 0, "alike": 0, "ladder": 1.09, "copy": 0.946, "noise": 0}
            | {"deviation": -0.0789},
        ],
    ),
    (
        8,
        0.4,
        "clair",
        1,
        [
            {"tilt": 0.0645, "size": 0.0676, "directions": 5, "inside": 1, "ladder": 1.1}
            | {"echo": 1.12, "mean": 1, "noise": 0}
        ],
    ),
    (
        20,
        0.4,
        "clair",
        MODULES,
        [
            {"share": 0.5, "own": 0, "size": 0.17, "directions": 2, "agree": 0.384, "alike": 0}
            | {"copy": 1.15, "noise": 0},
            {"share": 0.5, "own": 0, "size": 0.138, "directions": 6, "agree": 0.384, "alike": 0}
            | {"copy": 1, "noise": 0},
        ],
    ),
)
OTHER_DRAWS = range(4100, 4200)
# Modules that an older tree may lack; none of them is part of a defence.
OURS = (
    "clair.simulation.attack_plan",
    "clair.simulation.attacks",
    "clair.method.metrics",
    "clair.simulation.matrix_model",
    "clair.redteam",
)


class _Ours:
    """Finds the attacks and the search in this tree, whichever tree is under test."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
        if not name.startswith(OURS):
            return None
        file = HERE.joinpath(*name.split(".")).with_suffix(".py")
        if file.exists():
            return importlib.util.spec_from_file_location(name, file)
        room = file.with_suffix("")
        return importlib.util.spec_from_file_location(
            name, room / "__init__.py", submodule_search_locations=[str(room)]
        )


def serve(tree: Path, task: dict[str, Any]) -> dict[str, Any]:
    """Search one cell in a tree, or try a given plan there."""
    sys.path.insert(0, str(tree))
    sys.meta_path.insert(0, _Ours)  # type: ignore[arg-type]
    from clair.redteam import RedTeamConfig, evaluate, search
    from clair.redteam.words import plan_sentences, result_json
    from clair.simulation.attack_plan import AttackPlan
    from clair.simulation.matrix_model import ProblemSpec

    spec, n_modules = ProblemSpec(**task["spec"]), task.get("n_modules", 1)
    if "plan" in task:
        plan = AttackPlan.from_json(task["plan"])
        trials = [
            evaluate(plan, replace(spec, seed=seed), task["defence"]) for seed in task["seeds"]
        ]
        return {"harm": sum(trial.harm for trial in trials) / len(trials)}
    config = RedTeamConfig(spec, task["defence"], budget=task["budget"], n_modules=n_modules)
    result = search(config)
    best = result.hidden or result.worst
    assert best.plan is not None
    words = "; ".join(plan_sentences(best.plan, spec.n_contaminated))
    return {**result_json(result), "words": words}


def ask(tree: Path, **task: Any) -> dict[str, Any]:
    """Run `serve` in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--tree", str(tree)],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _harm(found: dict[str, Any] | None) -> str:
    return "none" if found is None else f"{found['error_over_oracle']:.2f}"


def _cells() -> list[tuple[int, float]]:
    return [(n, fraction) for n in SIZES for fraction in FRACTIONS]


def everything(defences: Sequence[str], budget: int, seed: int, n_modules: int = 1) -> list[str]:
    """List worst attacks, a row for each cell and defence."""
    lines = [
        "| clients | held | defence | no attack | worst unflagged | worst | the worst unflagged |",
        "|---|---|---|---|---|---|---|",
    ]
    for n, fraction in _cells():
        for defence in defences:
            spec = {"n_clients": n, "poisoned_fraction": fraction, "seed": seed}
            task = {"spec": spec, "defence": defence, "n_modules": n_modules}
            found = ask(HERE, **task, budget=budget)
            row = [_harm(found[key]) for key in ("no_attack", "unflagged", "worst")]
            lines.append(
                f"| {n} | {fraction:.0%} | {defence} | {' | '.join(row)} | {found['words']} |"
            )
            print(lines[-1], flush=True)
    return lines


def others() -> list[str]:
    """List how `OTHERS` do on draws that no search saw."""
    from clair.redteam import evaluate
    from clair.redteam.words import plan_sentences
    from clair.simulation.attack_plan import AttackPlan
    from clair.simulation.matrix_model import ProblemSpec

    lines = [
        "| clients | held | defence | modules | error / oracle: mean | most | draws above 1.1 "
        "| honest flagged | the attack |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for n, fraction, defence, n_modules, values in OTHERS:
        plan, spec = AttackPlan.from_json(values), ProblemSpec(n, poisoned_fraction=fraction)
        trials = [
            evaluate(plan, replace(spec, seed=seed), defence, n_modules=n_modules)
            for seed in OTHER_DRAWS
        ]
        harms = [trial.harm for trial in trials]
        flagged = sum(float(trial.flagged[~trial.held].mean()) for trial in trials) / len(trials)
        words = "; ".join(plan_sentences(plan, spec.n_contaminated))
        lines.append(
            f"| {n} | {fraction:.0%} | {defence} | {n_modules} | {sum(harms) / len(harms):.2f} "
            f"| {max(harms):.2f} | {sum(harm > 1.1 for harm in harms)} of {len(harms)} "
            f"| {flagged:.0%} | {words} |"
        )
        print(lines[-1], flush=True)
    return lines


def both(tree: Path, defences: Sequence[str], budget: int, seed: int) -> list[str]:
    """Compare two trees, a row for each cell and defence of CLAIR.

    A row has the worst harm in `tree`, the worst harm here, and the harm here of the attacks that
    were worst in `tree`.
    """
    lines = [
        "| clients | held | defence | before: unflagged / worst | now: unflagged / worst "
        "| the attacks that were worst before, now |",
        "|---|---|---|---|---|---|",
    ]
    for n, fraction in _cells():
        for defence in defences:
            task = {
                "spec": {"n_clients": n, "poisoned_fraction": fraction, "seed": seed},
                "defence": defence,
            }
            before = ask(tree, **task, budget=budget)
            now = ask(HERE, **task, budget=budget)
            again = []
            for key in ("unflagged", "worst"):
                old = before[key]
                if old is None:
                    again.append("none")
                    continue
                seeds = [draw["seed"] for draw in old["draws"]]
                again.append(f"{ask(HERE, **task, plan=old['plan'], seeds=seeds)['harm']:.2f}")
            pairs = [f"{_harm(f['unflagged'])} / {_harm(f['worst'])}" for f in (before, now)]
            lines.append(
                f"| {n} | {fraction:.0%} | {defence} | {pairs[0]} | {pairs[1]} "
                f"| {' / '.join(again)} |"
            )
            print(lines[-1], flush=True)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, metavar="TREE")
    parser.add_argument("--budget", type=int, default=300)
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--tree", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.tree is not None:
        print(json.dumps(serve(args.tree, json.load(sys.stdin))))
        return
    from _margins import RESULTS

    from clair.redteam import DEFENCES

    started = time.time()
    parts = [
        "# The red team",
        "",
        "Error of the truly honest clients over that of an oracle that is told who is honest and "
        "the true subspace, for the worst attack that a search found, on six draws that the search "
        "never saw; below 1 the attacker's clients help. Updates of 32 x 32, rank 3, noise .03, "
        f"automatic rank, {args.budget} runs of the defence a search. A search finds bad attacks, "
        f"not the worst there is. A foreign part is at most 100 times an honest update.",
        "",
        *everything(tuple(DEFENCES), args.budget, args.seed),
        "",
        f"## Updates of {MODULES} modules",
        "",
        "The shape of the updates is evidence too, and the attacker may make its entries look "
        'ordinary ("to the power").',
        "",
        *everything(("clair", "clair_eb", "clair_screen"), args.budget, args.seed, MODULES),
        "",
        "## Found by searches from other seeds",
        "",
        f"Seeds {OTHER_DRAWS[0]} to {OTHER_DRAWS[-1]}, which no search saw.",
        "",
        *others(),
    ]
    if args.against is not None:
        skipped = ("clair_former", "clair_halves")  # not in an older tree
        ours = tuple(key for key in DEFENCES if key.startswith("clair") and key not in skipped)
        parts += ["", "## Before and now", ""]
        parts += both(args.against.resolve(), ours, args.budget, args.seed)
    parts += ["", f"Made by `python benchmarks/redteam.py` in {time.time() - started:.0f} s.", ""]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "redteam.md").write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
