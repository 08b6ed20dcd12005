"""The studies behind the Theory page: each a table of its numbers and the code that repeats it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import clair
from clair.methods import METHODS
from clair.report.recipe import Recipe, call, command, differing, literal
from clair.report.scenario import PROBLEM_OPTIONS
from clair.report.sweeps import sweep_recipe, sweep_table
from clair.report.tables import Table, table
from clair.simulation.matrix_model import Problem, ProblemSpec
from clair.simulation.sweeps.grid import AXIS_TITLES, SweepResult
from clair.theory.curves import Gain, Remedy, Separation, Stability
from clair.theory.lam_path import LamPath, Proof
from clair.theory.worlds import outside_scatter

FORMAT = 1


@dataclass(frozen=True)
class Study:
    """What one section of the Theory page computed.

    Attributes
    ----------
    section, title : str
        Key of the section, and its heading.
    table : Table
    recipe : Recipe
    """

    section: str
    title: str
    table: Table
    recipe: Recipe


def study_json(study: Study, sentence: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Collect the section as JSON values: settings by name in the address, rows by column."""
    return {
        "format": FORMAT,
        "kind": "theory",
        "section": study.section,
        "version": clair.__version__,
        "sentence": sentence,
        "settings": dict(settings),
        "rows": [dict(zip(study.table.columns, row, strict=True)) for row in study.table.rows],
    }


_NOTE = (
    "The same seed and settings give the same numbers; another processor or another version of "
    "numpy may change their last digits. With `--json FILE` the command writes every digit."
)
#: What is tried against a blind spot, by key of `clair.theory.curves.REMEDIES`.
REMEDY_NAMES: dict[str, str] = {
    "none": "CLAIR as it is",
    "screen": "coefficient screen",
    "clients": "more clients",
    "rank": "one direction less",
    "norms": "contamination norms",
}


def _spec(spec: ProblemSpec) -> str:
    return call("spec = clair.ProblemSpec", **differing(spec, ProblemSpec()))


def _recipe(imports: str, *lines: str, shell: str) -> Recipe:
    return Recipe("\n".join(["import clair", imports, "", *lines]), shell, _NOTE)


def _shell(section: str, spec: ProblemSpec, **own: Any) -> str:
    """Write the command of a section: its own options, then the problem's unusual ones."""
    options = {f"--{name}": _listed(value) for name, value in own.items()}
    problem = differing(spec, ProblemSpec())
    options |= {PROBLEM_OPTIONS[name]: value for name, value in problem.items()}
    return command("python", "-m", "clair", "theory", section, options=options)


def _listed(value: Any) -> Any:
    return ",".join(map(repr, value)) if isinstance(value, tuple) else value


def window_study(spec: ProblemSpec, path: LamPath) -> Study:
    """Tabulate the recovery along lambda."""
    rows = [
        (p.lam, p.error, p.right_set, p.exact, int(p.flagged.sum()), p.flagged.size)
        for p in path.points
    ]
    lams = tuple(point.lam for point in path.points)
    return Study(
        "window",
        "For which λ the split is exactly right",
        table(
            "window",
            "Along λ",
            (
                ("lam", "λ"),
                ("error", "error of the split"),
                ("right_set", "right set"),
                ("exact", "exact"),
                ("n_flagged", "clients in S"),
                ("n_clients", "clients"),
            ),
            rows,
            "Exact: the right set, and an error below one in a thousand.",
        ),
        _recipe(
            "from clair.theory.lam_path import lam_path",
            _spec(spec),
            call("path = lam_path", "clair.sample_problem(spec)", literal(lams)),
            "for point in path.points:",
            '    print(f"{point.lam:.6f} {point.error:.6g} {point.exact}")',
            shell=_shell("window", spec, values=lams),
        ),
    )


def certificate_study(spec: ProblemSpec, problem: Problem, proof: Proof) -> Study:
    """Tabulate every client's dual block norm over lambda; at 1 a client may enter S."""
    rows = [
        (
            k + 1,
            "poisoned" if problem.contaminated[k] else "honest",
            bool(proof.claimed[k]),
            bool(proof.point.flagged[k]),
            ratio,
        )
        for k, ratio in enumerate(proof.certificate.client_ratios)
    ]
    return Study(
        "certificate",
        "Can the split be proven right",
        table(
            "certificate",
            "Every client",
            (
                ("client", "client"),
                ("truth", "truth"),
                ("claimed", "flagged by CLAIR"),
                ("in_s", "in S"),
                ("pressure", "pressure over λ"),
            ),
            rows,
            "Below 1 for every client outside S, together with ‖W‖₂ below 1 (here "
            f"{proof.certificate.spectral_norm:.4f}), proves that the split is the only optimum.",
        ),
        _recipe(
            "from clair.theory.lam_path import certificate_at",
            _spec(spec),
            f"proof = certificate_at(clair.sample_problem(spec), {literal(proof.point.lam)})",
            "print(proof.holds, proof.certificate.dual_feasibility, "
            "proof.certificate.spectral_norm)",
            shell=_shell("certificate", spec, lam=proof.point.lam),
        ),
    )


def phase_study(result: SweepResult) -> Study:
    """Tabulate every cell of a phase diagram: the means over the trials that were done."""
    return Study(
        "phase",
        "Where CLAIR succeeds, and where it stops",
        sweep_table(result),
        sweep_recipe(result.config, _NOTE),
    )


def stable_study(spec: ProblemSpec, curves: Stability) -> Study:
    """Tabulate the subspace error of each route along the noise."""
    names = list(curves.error)
    rows = [
        (
            curves.noise[i],
            *(curves.error[name][i] for name in names),
            curves.predicted[i],
            bool(curves.exact[i]),
        )
        for i in range(curves.noise.size)
    ]
    return Study(
        "stable",
        "How noise turns the subspace away",
        table(
            "stable",
            "Subspace error along the noise",
            (
                ("noise", "noise"),
                *((name, name) for name in names),
                ("predicted", "predicted"),
                ("exact_set", "right set"),
            ),
            rows,
            "Sine of the largest angle to the true subspace, by route; truth is PCA on the truly "
            "honest clients.",
        ),
        _recipe(
            "from clair.theory.curves import stability",
            _spec(spec),
            call("curves = stability", "spec", literal(tuple(map(float, curves.noise)))),
            "for route, error in curves.error.items():",
            "    print(route, error)",
            shell=_shell("stable", spec, values=tuple(map(float, curves.noise))),
        ),
    )


def sets_study(spec: ProblemSpec, name: str, curves: Separation) -> Study:
    """Tabulate the scores of poisoned and honest clients, a row for each problem."""
    n, trials = curves.exact.shape
    levels = tuple(map(float, curves.values))
    rows = [
        (
            curves.values[i],
            spec.seed + t,
            curves.weakest[i, t],
            curves.strongest[i, t],
            bool(curves.exact[i, t]),
            curves.predicted[i],
        )
        for i in range(n)
        for t in range(trials)
    ]
    return Study(
        "sets",
        "When exactly the poisoned are flagged",
        table(
            "sets",
            "Every problem",
            (
                (name, AXIS_TITLES[name][0]),
                ("seed", "seed"),
                ("weakest_poisoned", "weakest poisoned score"),
                ("strongest_honest", "strongest honest score"),
                ("exact", "exact set"),
                ("predicted", "predicted probability"),
            ),
            rows,
            "Scores are relative to the median honest score.",
        ),
        _recipe(
            "from clair.theory.curves import separation",
            _spec(spec),
            call(
                "curves = separation",
                "spec",
                literal(name),
                literal(levels),
                trials=trials,
            ),
            "print(curves.exact.mean(axis=1), curves.predicted)",
            shell=_shell("sets", spec, along=name, values=levels, trials=trials),
        ),
    )


#: The same updates in worlds with different truths.
WORLDS = (
    "for method, error in worlds(spec).errors.items():",
    "    print(method, error.mean(axis=1))",
)


def gain_study(spec: ProblemSpec, name: str, curves: Gain) -> Study:
    """Tabulate measured and predicted errors, a row for each problem and method."""
    rows = [
        (
            curves.values[i],
            spec.seed + t,
            METHODS[method].label,
            measured[i, t],
            getattr(curves.predicted[i], method),
        )
        for method, measured in curves.measured.items()
        for i in range(measured.shape[0])
        for t in range(measured.shape[1])
    ]
    trials = curves.exact.shape[1]
    whole = name == "n_clients"
    values = tuple(int(v) if whole else float(v) for v in curves.values)
    scattered = outside_scatter(spec) > 0
    return Study(
        "gain",
        "What joining in is worth, and when it costs",
        table(
            "gain",
            "Every problem and method",
            (
                (name, AXIS_TITLES[name][0]),
                ("seed", "seed"),
                ("method", "method"),
                ("error", "error of the honest"),
                ("predicted", "predicted"),
            ),
            rows,
            "Root mean squared error over the honest clients.",
        ),
        _recipe(
            "from clair.theory.curves import gain"
            + "\nfrom clair.theory.worlds import worlds" * scattered,
            _spec(spec),
            call("curves = gain", "spec", literal(name), literal(values), trials=trials),
            "for method, error in curves.measured.items():",
            "    print(method, error.mean(axis=1))",
            *(WORLDS * scattered),
            shell=_shell("gain", spec, along=name, values=values, trials=trials),
        ),
    )


def blind_study(
    spec: ProblemSpec, remedies: Mapping[str, Remedy], names: Mapping[str, str]
) -> Study:
    """Tabulate what helps against a blind spot and its cost, a row for each remedy and problem."""
    rows = [
        (names[key], spec.seed + t, one.found[t], one.wrong[t], one.wrong_clean[t])
        for key, one in remedies.items()
        for t in range(one.found.size)
    ]
    trials = next(iter(remedies.values())).found.size
    return Study(
        "blind",
        "What CLAIR cannot see, and what helps",
        table(
            "blind",
            "Every problem and remedy",
            (
                ("remedy", "what is tried"),
                ("seed", "seed"),
                ("found", "poisoned found"),
                ("wrong", "honest flagged"),
                ("wrong_clean", "flagged where nobody is poisoned"),
            ),
            rows,
            "Shares of the clients, 0 to 1.",
        ),
        _recipe(
            "from clair.theory.curves import REMEDIES, remedy",
            _spec(spec),
            f"remedies = {{key: remedy(spec, key, trials={trials}) for key in REMEDIES}}",
            "for key, tried in remedies.items():",
            "    print(key, tried.found.mean(), tried.wrong.mean(), tried.wrong_clean.mean())",
            shell=_shell("blind", spec, trials=trials),
        ),
    )
