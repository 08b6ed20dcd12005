"""State of the Subspace lab: its controls, its presets, and the scenario they describe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clair.app.kit.content import presets
from clair.app.kit.repeats import DRAWS
from clair.app.kit.shared import shared
from clair.app.kit.state import Control, Preset
from clair.app.pages.lab_unequal import UNEQUAL
from clair.method.choices import DETECTORS, SOLVERS
from clair.redteam.words import plan_words
from clair.simulation.attack_plan import AttackPlan
from clair.simulation.attacks import ATTACKS
from clair.simulation.matrix_model import ProblemSpec
from clair.simulation.scenario import Scenario, ScenarioResult, run_scenario

MIN_HONEST = 3

#: Where the lab and the Overview open: the poison visibly harms an average and a subspace fitted to
#: everybody, so that the first picture shows what a verdict is worth (`benchmarks/opening.py`).
OPENING: dict[str, Any] = {
    "poisoned": 0.3,
    "attack": "colluding",
    "scale": 2.0,
    "heterogeneity": 0.3,
}
#: Groups of the scenario's controls in order, and their titles.
GROUPS: dict[str, str] = {
    "people": "Clients and attackers",
    "data": "How alike they are",
    "shape": "Size and draw",
}

#: Settings that are folded away: what else may differ between clients.
FURTHER = "Unequal clients, two attacks"

#: The same with what CLAIR does, for the settings in a report.
ALL_GROUPS = GROUPS | {"further": FURTHER, "clair": "CLAIR's settings"}
PLAN = Control(
    "plan",
    "Attack plan",
    "text",
    "",
    "What the poisoned clients do, as the Red team page writes it. It takes the place of the "
    "attack above; the strength still applies. Empty it to have the attack back.",
    group="people",
    parse=AttackPlan.from_text,
    tell=lambda text: plan_words(AttackPlan.from_text(text)),
)

#: As other pages take them, with the values of the package's own first problem.
SCENARIO: tuple[Control, ...] = (
    Control(
        "clients",
        "Clients",
        "int",
        20,
        "How many parties train together: hospitals, phones, companies. Each sends one update, "
        "the change its own data makes to the common model.",
        low=3,
        high=50,
        step=1,
        group="people",
    ),
    Control(
        "poisoned",
        "Poisoned fraction",
        "float",
        0.25,
        "Share of the clients that send something harmful instead of an honest update. "
        "From one half on nothing can tell who is honest: honest is by definition what most "
        "clients agree on. The poisoned may then pass for honest, and the honest be flagged.",
        low=0.0,
        high=0.6,
        step=0.05,
        group="people",
        format="%.2f",
    ),
    Control(
        "attack",
        "Attack",
        "choice",
        "low_rank",
        "What the poisoned clients do:\n"
        + "\n".join(f"- **{info.label}**: {info.description}" for info in ATTACKS.values())
        + "\n\nClients that send dense noise are suspect, not flagged, as long as their residual "
        "is below ten times a typical one: they look like honest clients with few data.",
        options=tuple((key, info.label) for key, info in ATTACKS.items()),
        group="people",
    ),
    Control(
        "scale",
        "Attack strength",
        "float",
        1.0,
        "Size of the attack relative to a typical honest update.",
        low=0.1,
        high=10.0,
        step=0.1,
        group="people",
        format="%.1f×",
    ),
    PLAN,
    Control(
        "heterogeneity",
        "Heterogeneity",
        "float",
        1.0,
        "How much honest clients differ inside the subspace they share: 0 means that all want the "
        "same update. CLAIR does not mind it; averaging does.",
        low=0.0,
        high=2.0,
        step=0.1,
        group="data",
        format="%.1f",
    ),
    Control(
        "off_subspace",
        "Off-subspace heterogeneity",
        "float",
        0.0,
        "How much of each honest update lies outside the shared subspace. CLAIR averages that "
        "part away, so this is what it costs.",
        low=0.0,
        high=2.0,
        step=0.1,
        group="data",
        format="%.1f",
    ),
    Control(
        "noise",
        "Noise",
        "float",
        0.03,
        "Estimation error from having little data: the standard deviation of each entry. "
        "An honest update has entries of size 0.08 at the default settings.",
        low=0.0,
        high=0.3,
        step=0.01,
        group="data",
        format="%.2f",
    ),
    Control(
        "rank",
        "True rank",
        "int",
        3,
        "Number of directions the honest clients share, the dimension of their subspace.",
        low=1,
        high=8,
        step=1,
        group="shape",
    ),
    Control(
        "d_out",
        "Rows of an update",
        "int",
        32,
        "Output dimension of the adapted layer. The shared subspace lives here.",
        low=4,
        high=64,
        step=4,
        group="shape",
    ),
    Control(
        "d_in",
        "Columns of an update",
        "int",
        32,
        "Input dimension of the adapted layer.",
        low=4,
        high=64,
        step=4,
        group="shape",
    ),
    Control(
        "seed",
        "Seed",
        "number",
        0,
        "Which random draw. The same seed and settings give the same numbers everywhere.",
        low=0,
        high=999_999,
        step=1,
        group="shape",
    ),
    *UNEQUAL,
)

OPTIONS: tuple[Control, ...] = (
    Control(
        "use_rank",
        "Rank CLAIR uses",
        "scale",
        "auto",
        "CLAIR does not know the true rank. Automatic: the rank that best predicts clients it was "
        "not fitted on.",
        options=(("auto", "auto"), *((r, str(r)) for r in range(1, 9))),
        group="clair",
    ),
    Control(
        "pooling",
        "Empirical-Bayes pooling",
        "segment",
        "none",
        "Off: the paper's refinement, with the verdict chosen below. On (ours) also shrinks "
        "clients towards each other inside the subspace, as far as their differences look like "
        "noise.",
        options=(("none", "Off"), ("eb", "On")),
        group="clair",
    ),
    Control(
        "halves",
        "Clients also send two halves",
        "flag",
        False,
        "Ours, in place of the pooling: every client also sends what it gets from either half of "
        "its data. The two differ by estimation error alone, so the server learns how much of the "
        "clients' differences is error, direction by direction, and averages just that away.",
        group="clair",
    ),
    Control(
        "screen",
        "Coefficient screen",
        "flag",
        False,
        "Ours: also flags clients whose update points against the majority inside the subspace, "
        "as sign flips do.",
        group="clair",
    ),
    Control(
        "detector",
        "Score that decides",
        "segment",
        "residual",
        "Residual (ours): what the other clients' subspace cannot explain, with all other kinds "
        "of evidence. Norm: the detector as published, the widest gap between the sizes of the "
        "clients' blocks of S, looked for once and with nothing beside it.",
        options=tuple((key, one.label) for key, one in DETECTORS.items()),
        group="clair",
    ),
    Control(
        "threshold",
        "Threshold",
        "optional_float",
        None,
        "Clients with a higher score are flagged, and nothing else is looked at. Empty: where the "
        "gaps between the scores say.",
        low=0.0,
        high=50.0,
        step=0.05,
        group="clair",
    ),
    Control(
        "solver",
        "Solver",
        "segment",
        "convex",
        "Convex: the paper's program, with a proof where it succeeds. IRLS: median subspace by "
        "reweighted PCA, faster, and it stands more noise.",
        options=tuple((key, one.label) for key, one in SOLVERS.items()),
        group="clair",
    ),
    Control(
        "side",
        "Side examined",
        "segment",
        "output",
        "In this model the clients share the output side (LoRA's B). Looking at the input side "
        "(A) is looking in the wrong place: try it.",
        options=(("output", "Output"), ("input", "Input")),
        group="clair",
    ),
    Control(
        "polish",
        "Polish",
        "flag",
        True,
        "Refit the subspace on the kept clients alone, after the verdict.",
        group="clair",
    ),
)

VIEW = Control(
    "view",
    "View",
    "segment",
    "split",
    "What is drawn. All views show the same result.",
    options=(
        ("split", "Split"),
        ("verdict", "Verdict"),
        ("errors", "Errors"),
        ("subspace", "Subspace"),
        ("solver", "Solver and proof"),
        ("steps", "Step by step"),
    ),
    group="view",
)

#: The scenario's controls as the lab opens.
OPENED: tuple[Control, ...] = tuple(
    replace(control, default=OPENING.get(control.key, control.default)) for control in SCENARIO
)
CONTROLS: tuple[Control, ...] = (*OPENED, *OPTIONS, VIEW, DRAWS)


def varied(values: Mapping[str, Any]) -> dict[str, Any]:
    """Vary the package's own first problem: all values that then differ from the lab's first."""
    usual = {control.key: control.default for control in CONTROLS}
    plain = {control.key: control.default for control in SCENARIO}
    return {key: value for key, value in (plain | dict(values)).items() if value != usual[key]}


def _presets() -> tuple[Preset, ...]:
    opening, *others = presets("lab")
    return (opening, *(replace(preset, values=varied(preset.values)) for preset in others))


PRESETS = _presets()


def holds(values: Mapping[str, Any]) -> bool:
    """Tell whether the lab's controls can take these values."""
    return all(control.valid(values[control.key]) for control in CONTROLS if control.key in values)


def obstacle(values: Mapping[str, Any]) -> str | None:
    """Explain why these values have no result; None if they have one."""
    rows, columns, rank = values["d_out"], values["d_in"], values["rank"]
    smaller = min(rows, columns)
    for name, value in (("true rank", rank), ("rank CLAIR uses", values["use_rank"])):
        if value != "auto" and value > smaller:
            return (
                f"A matrix of {rows} × {columns} has at most {smaller} independent directions, so "
                f"the {name} cannot be {value}. Lower the rank or enlarge the update."
            )
    honest = values["clients"] - spec_of(values).n_contaminated
    if honest < MIN_HONEST:
        return (
            f"Only {honest} honest clients would be left, and a shared subspace shows only when at "
            f"least {MIN_HONEST} can be compared. Add clients or lower the poisoned fraction."
        )
    return None


def spec_of(values: Mapping[str, Any]) -> ProblemSpec:
    """Build the problem that the controls describe; those of the group "further" may be missing.

    Raises
    ------
    ValueError
        For combinations that `obstacle` explains.
    """
    values = {c.key: c.default for c in SCENARIO if c.group == "further"} | dict(values)
    return ProblemSpec(
        n_clients=values["clients"],
        d_out=values["d_out"],
        d_in=values["d_in"],
        rank=values["rank"],
        poisoned_fraction=values["poisoned"],
        noise=values["noise"],
        heterogeneity=values["heterogeneity"],
        off_subspace=values["off_subspace"],
        attack=values["attack"],
        attack_scale=values["scale"],
        seed=int(values["seed"]),
        unevenness=values["uneven"],
        data_spread=values["data_spread"],
        second_attack=values["second_attack"],
        second_share=values["second_share"],
    )


def scenario_of(values: Mapping[str, Any]) -> Scenario:
    """Build the scenario that the controls describe: problem and options."""
    threshold, plan = values["threshold"], values["plan"]
    return Scenario(
        spec=spec_of(values),
        rank=values["use_rank"],
        solver=values["solver"],
        side=values["side"],
        pooling="halves" if values["halves"] else values["pooling"],
        detector=values["detector"],
        threshold="auto" if threshold is None else threshold,
        polish=values["polish"],
        screen_coefficients=values["screen"],
        plan=AttackPlan.from_text(plan) if plan else None,
    )


@shared(most=48)
def solve(scenario: Scenario) -> ScenarioResult:
    """Compute the result of a scenario, once for all visitors."""
    return run_scenario(scenario)
