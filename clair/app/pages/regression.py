"""The regression page without its layout: controls, presets, words, results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clair.app.kit.content import presets
from clair.app.kit.shared import shared
from clair.app.kit.state import Control
from clair.app.kit.task_controls import TaskControls, chosen
from clair.federated.regression import ATTACKS, RegressionConfig, RegressionResult, run_regression
from clair.federated.regression.curves import SampleCurves, sample_curves
from clair.federated.task_result import means_of
from clair.figures.comparison import Measure
from clair.sentences import verdict_caveats

KIND = "regression"
DEFAULTS = RegressionConfig()

MEASURES = {
    "excess": Measure("error on new data", share=False, more_is_better=False),
    "squared": Measure("mean squared error", share=False, more_is_better=False),
}

_of = TaskControls("reg", DEFAULTS)
CONTROLS: tuple[Control, ...] = (
    _of.clients(
        "How many take part, each with a regression of its own: 16 inputs, 24 responses.",
        6,
        40,
        group="people",
    ),
    _of.poisoned(group="people"),
    _of.attack(ATTACKS, group="people"),
    _of(
        "strength",
        "Strength of the poison",
        "float",
        "Size of the false map relative to what an honest client has to learn; without effect on "
        "label swap, random and negated responses and the sign flip.",
        low=0.1,
        high=10.0,
        step=0.1,
        format="%.1f×",
        group="people",
    ),
    _of(
        "samples",
        "Samples per client",
        "scale",
        "Typical number of samples of a client. There are 16 coefficients a response to estimate.",
        options=tuple((n, str(n)) for n in (10, 16, 24, 40, 64, 100, 160, 250, 400, 640)),
        group="data",
    ),
    _of(
        "size_ratio",
        "Unequal sizes",
        "scale",
        "How many times more samples the largest client has than the smallest.",
        short="ratio",
        options=tuple((float(v), f"{v} : 1") for v in (1, 2, 5, 10, 30)),
        group="data",
    ),
    _of(
        "correlation",
        "Correlation of the inputs",
        "float",
        "Correlation of neighbouring inputs, their order being each client's own. Correlated "
        "inputs say less about single coefficients.",
        low=0.0,
        high=0.95,
        step=0.05,
        format="%.2f",
        group="data",
    ),
    _of(
        "noise",
        "Noise",
        "float",
        "Standard deviation of a response around its mean; what is to be learned has 1.",
        low=0.1,
        high=3.0,
        step=0.1,
        format="%.1f",
        group="data",
    ),
    _of(
        "heterogeneity",
        "Heterogeneity",
        "float",
        "How much honest clients differ inside the directions they share; at 0 all want the same. "
        "CLAIR does not mind it; averaging does.",
        low=0.0,
        high=3.0,
        step=0.1,
        format="%.1f",
        group="alike",
    ),
    _of(
        "off_subspace",
        "Off-subspace part",
        "float",
        "Size of what an honest client holds outside the shared directions, relative to what it "
        "holds inside. CLAIR averages that part away: this is what it costs.",
        short="off",
        low=0.0,
        high=1.5,
        step=0.1,
        format="%.1f",
        group="alike",
    ),
    _of.seed(group="alike"),
    _of.rank("; the truth is 3", group="method"),
    _of(
        "refit",
        "Refit in the subspace (ours)",
        "flag",
        "After CLAIR each client estimates its part inside the shared directions once more from "
        "its own data: three combined responses instead of 24, so far less shrinkage is needed.",
        group="method",
    ),
    _of(
        "own_weight",
        "Keep own off-subspace part (ours)",
        "flag",
        "Keep a share of how a client differs from the average outside the shared directions: "
        "near 0 where its data show noise only, near 1 where they show much more than noise "
        "(a James-Stein weight, one a direction of its data).",
        short="own",
        group="method",
    ),
    _of(
        "precision_weights",
        "Weigh clients by precision",
        "flag",
        "Let clients that know more count more in the shared directions and in the average. The "
        "theory assumes errors of one size for all clients; with very unequal data they differ. "
        "The weights rest on what clients report about themselves, so the verdict ignores them.",
        short="precision",
        group="method",
    ),
    _of.screen(group="method"),
)

VIEW = Control(
    "reg_view",
    "Look at",
    "segment",
    "worth",
    "Which part of the result is drawn.",
    options=(
        ("worth", "What it is worth"),
        ("verdict", "Whom CLAIR flagged"),
        ("samples", "How much data it takes"),
    ),
    group="view",
)
SCREEN = (*CONTROLS, VIEW)

#: Headings of the groups of controls.
GROUPS = {
    "people": "Clients and poison",
    "data": "Their data",
    "alike": "How alike they are",
    "method": "CLAIR's settings",
}

PRESETS = presets("regression")


def config_of(values: Mapping[str, Any]) -> RegressionConfig:
    """Build the settings of a run from the values of the controls."""
    return RegressionConfig(**chosen(CONTROLS, values))


@shared(most=48)
def solve(config: RegressionConfig) -> RegressionResult:
    """Compute the result of a config, once for all visitors."""
    return run_regression(config)


@shared(most=16)
def curves(config: RegressionConfig) -> SampleCurves:
    """Compute curves over the samples of a client, once for all visitors."""
    return sample_curves(config)


def setting_words(config: RegressionConfig) -> str:
    """Describe what happens on this page, with the numbers of the settings."""
    bad = config.n_poisoned
    poisoned = (
        "Nobody is poisoned in these settings."
        if bad == 0
        else f"**{bad} of the {config.n_clients} are poisoned.** {ATTACKS[config.attack].sentence}"
    )
    spread = (
        f"about {config.samples} samples"
        if config.size_ratio == 1
        else f"around {config.samples} samples, the largest {config.size_ratio:g} times as many "
        "as the smallest,"
    )
    return (
        f"{config.n_clients} *clients*, say hospitals, each predict 24 responses from 16 inputs. "
        "They start from one common linear model and adapt it to their own patients by *ridge* "
        f"regression on {spread} of their own; only the adaptation is sent. Honest adaptations "
        f"move the responses along three *shared directions*. {poisoned}"
    )


def caveats(result: RegressionResult) -> list[str]:
    """List the limits: what these numbers show against CLAIR, then what is always true."""
    means = means_of(result.accuracy, "excess")
    notes = verdict_caveats(result.detection)
    best = means[result.best_clair]
    if means["local"] <= means["clair"]:
        notes.append(
            f"Here estimating alone is at least as good as plain CLAIR: {means['local']:.3g} "
            f"against {means['clair']:.3g}. What clients hold outside the shared directions is "
            "worth more than the noise it is averaged with."
        )
    pooled = means["pooled_benign"]
    notes.append(
        f"One model fitted on all honest data together gets {pooled:.3g}, the best CLAIR row "
        f"{best:.3g}. Where all clients want the same (heterogeneity 0) that single model wins; it "
        "needs everybody's data in one place and an oracle that says who is honest."
    )
    notes.append(
        "The theory takes errors of one size for all clients, independent of each other. Ridge "
        "with few samples has a bias besides, unequal sizes make errors unequal, and correlated "
        "inputs make them uneven over coefficients; weighing by precision mends the second, by a "
        "per cent or two."
    )
    notes.append(
        "Data are drawn from the model CLAIR assumes, with its violations as dials. They show what "
        "follows from the assumption, not how often it holds."
    )
    return notes
