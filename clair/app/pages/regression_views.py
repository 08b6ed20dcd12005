"""The views of the regression page, and what it hands out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clair.app.kit.content import content
from clair.app.kit.exports import Export, screen_of
from clair.app.pages import regression
from clair.federated.regression import RegressionResult
from clair.federated.task_result import means_of
from clair.figures.base import Chart
from clair.figures.palette import ThemeName
from clair.figures.samples import (
    client_gains,
    error_curves,
    gain_curve,
    preliminary_curve,
    verdict_curve,
)
from clair.method.metrics import principal_angles
from clair.methods import METHODS
from clair.report.blocks import (
    Block,
    Fact,
    OnScreen,
    Parts,
    View,
    Words,
    chosen_plot,
    columns,
    plot,
)
from clair.report.tasks import TaskStory, task_export, verdict_view, worth_blocks
from clair.report.verdict import found_fact
from clair.sentences import amount


def headline(result: RegressionResult) -> tuple[Fact, ...]:
    """Collect the four numbers that every view is about."""
    means, best = means_of(result.accuracy, "excess"), result.best_clair
    angle = float(principal_angles(result.fit.subspace, result.subspace)[-1])
    return (
        found_fact(result.detection),
        Fact(
            amount(means["clair"]),
            "Error with CLAIR",
            f"alone {amount(means['local'])}",
            "Mean over honest clients on new data; 1 is as good as not adapting.",
        ),
        Fact(
            amount(means[best]),
            "Best row of CLAIR",
            METHODS[best].label,
            "The least error of all rows of CLAIR, those with additions of ours among them.",
        ),
        Fact(
            f"{result.fit.rank} of {result.config.true_rank}",
            "Shared directions",
            f"{amount(angle)}° off at most",
            "How many directions CLAIR used and how many there are; the largest principal angle "
            "between found and true ones.",
        ),
    )


def worth(result: RegressionResult, stage: bool = False) -> tuple[Block, ...]:
    """Show the errors by method and by client."""
    methods = worth_blocks(
        regression.KIND, result, regression.MEASURES, content("tasks")["regression"]["fresh"], stage
    )
    gains = plot("regression_clients", _gains, result)
    title = "Where it does not hold"
    limits = Words("\n".join(f"* {note}" for note in regression.caveats(result)))
    if stage:
        parts = {"By method": methods, "By client": (gains,), title: (limits,)}
        return (Parts("reg_worth_part", parts),)
    against = OnScreen((Words(title, "heading"), limits))
    return (*methods, columns([gains], [against]))


def _gains(result: RegressionResult, theme: ThemeName) -> Chart:
    best, benign = result.best_clair, ~result.contaminated
    alone, together = result.accuracy["local"].excess, result.accuracy[best].excess
    return client_gains(result.sizes[benign], alone, together, best, theme)


def verdict(result: RegressionResult, stage: bool = False) -> tuple[Block, ...]:
    """Show the scores of every client."""
    return tuple(verdict_view(regression.KIND, result).blocks(stage=stage))


def samples(result: RegressionResult, stage: bool = False) -> tuple[Block, ...]:
    """Show errors, verdict and gain of the same federation at other sizes."""
    whole, *beside = (
        chosen_plot(f"regression_{key}", _sample_charts, n, result)
        for n, key in enumerate(("errors", "preliminary", "f1", "gain"))
    )
    below = columns(*([one] for one in beside))
    if stage:
        return (Parts("reg_samples_part", {"The error": (whole,), "Why": (below,)}),)
    return (whole, below)


def _sample_charts(result: RegressionResult, theme: ThemeName) -> tuple[Chart, ...]:
    config = result.config
    found = regression.curves(config)
    return (
        error_curves(found, theme),
        preliminary_curve(found, theme, least_squares=config.least_squares_constant),
        verdict_curve(found, theme),
        gain_curve(found, theme),
    )


VIEWS: dict[str, View] = {
    "worth": View("What it is worth to the honest clients", worth),
    "verdict": View("Whom CLAIR flagged", verdict),
    "samples": View("How much data it takes", samples),
}


def export_of(result: RegressionResult, values: Mapping[str, Any]) -> Export:
    """Build the downloads of a run; its report has the curves over sample sizes too."""

    def story() -> TaskStory:
        return TaskStory(
            page="Regression",
            title="Many small regressions, some of them poisoned",
            sentence=result.summary(),
            facts=headline(result),
            setting=regression.setting_words(result.config),
            limits=regression.caveats(result),
            views=[
                View(view.title, lambda view=view: view.blocks(result)) for view in VIEWS.values()
            ],
        )

    return task_export(
        regression.KIND,
        "clair.federated.regression:run_regression",
        result,
        regression.MEASURES,
        story,
        screen_of(regression.KIND, regression.SCREEN, values, regression.GROUPS),
    )
