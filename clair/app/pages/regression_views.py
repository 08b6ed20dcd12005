"""The views of the regression page; only the one looked at is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from clair.app.components.chart import charts_of
from clair.app.kit.exports import Export, screen_of
from clair.app.kit.presenter import presenting, stage_part
from clair.app.kit.results import comparison_panel, found_metric, show_chart, verdict_panel
from clair.app.pages import regression
from clair.app.pages.page_exports import of_task
from clair.federated.outcome import outcome_json
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
from clair.report.document import Section
from clair.report.tasks import TaskStory
from clair.sentences import amount


def headline_numbers(result: RegressionResult) -> None:
    """Show the four numbers that every view is about."""
    scores, means = result.detection, means_of(result.accuracy, "excess")
    grid = st.grid("auto", min_column_width=150)
    found_metric(grid, scores)
    grid.metric(
        "Error with CLAIR",
        amount(means["clair"]),
        f"alone {amount(means['local'])}",
        delta_color="off",
        delta_arrow="off",
        help="Mean over honest clients on new data; 1 is as good as not adapting.",
    )
    best = result.best_clair
    grid.metric(
        "Best row of CLAIR",
        amount(means[best]),
        METHODS[best].label,
        delta_color="off",
        delta_arrow="off",
        help="The least error of all rows of CLAIR, those with additions of ours among them.",
    )
    grid.metric(
        "Shared directions",
        f"{result.fit.rank} of {result.config.true_rank}",
        f"{amount(float(_angle(result)))}° off at most",
        delta_color="off",
        delta_arrow="off",
        help="How many directions CLAIR used and how many there are; the largest principal angle "
        "between found and true ones.",
    )


def _angle(result: RegressionResult) -> float:
    return float(principal_angles(result.fit.subspace, result.subspace)[-1])


def worth(result: RegressionResult, theme: ThemeName) -> None:
    """Draw the errors by method and by client."""
    if presenting():
        stage_part(
            "reg_worth_part",
            {
                "By method": lambda: _by_method(result, theme),
                "By client": lambda: show_chart(
                    charts_of(_gains, result, theme), "regression_clients"
                ),
                "Where it does not hold": lambda: _limits(result),
            },
        )
        return
    _by_method(result, theme)
    left, right = st.columns(2, gap="large")
    with left:
        show_chart(charts_of(_gains, result, theme), "regression_clients")
    with right:
        st.header("Where it does not hold", anchor=False)
        _limits(result)


def _by_method(result: RegressionResult, theme: ThemeName) -> None:
    comparison_panel(regression.KIND, result, theme, regression.MEASURES, regression.FRESH)


def _limits(result: RegressionResult) -> None:
    st.markdown("\n".join(f"* {note}" for note in regression.caveats(result)))


def _gains(result: RegressionResult, theme: ThemeName) -> Chart:
    best, benign = result.best_clair, ~result.contaminated
    alone, together = result.accuracy["local"].excess, result.accuracy[best].excess
    return client_gains(result.sizes[benign], alone, together, best, theme)


def verdict(result: RegressionResult, theme: ThemeName) -> None:
    """Draw the scores of every client."""
    verdict_panel(regression.KIND, result, theme, reveal=True)


def samples(result: RegressionResult, theme: ThemeName) -> None:
    """Draw errors, verdict and gain of the same federation at other sizes."""
    with st.spinner("Repeating the run at eleven sizes …"):
        first, *others = charts_of(_sample_charts, result, theme)

    def whole() -> None:
        show_chart(first, "regression_errors")

    def beside() -> None:
        keys = ("preliminary", "f1", "gain")
        for column, key, chart in zip(st.columns(3, gap="medium"), keys, others, strict=True):
            with column:
                show_chart(chart, f"regression_{key}")

    if presenting():
        stage_part("reg_samples_part", {"The error": whole, "Why": beside})
        return
    whole()
    beside()


def _sample_charts(result: RegressionResult, theme: ThemeName) -> tuple[Chart, ...]:
    config = result.config
    found = regression.curves(config)
    return (
        error_curves(found, theme),
        preliminary_curve(found, theme, least_squares=config.least_squares_constant),
        verdict_curve(found, theme),
        gain_curve(found, theme),
    )


def take_of(result: RegressionResult, values: Mapping[str, Any]) -> Export:
    """Build the downloads of a run; its report has the curves over sample sizes too."""
    measures = regression.MEASURES

    def story() -> TaskStory:
        return TaskStory(
            page="Regression",
            title="Many small regressions, some of them poisoned",
            sentence=result.summary(),
            measures=measures,
            setting=regression.setting_words(result.config),
            limits=regression.caveats(result),
            extra=(
                Section("Who gains", charts=(_gains(result, "light"),)),
                Section("How much data it takes", charts=_sample_charts(result, "light")),
            ),
        )

    return of_task(
        regression.KIND,
        "clair.federated.regression:run_regression",
        result.config,
        result,
        measures,
        story,
        screen_of(regression.KIND, regression.SCREEN, values, regression.GROUPS),
        lambda: outcome_json(result),
    )


VIEWS = {"worth": worth, "verdict": verdict, "samples": samples}
