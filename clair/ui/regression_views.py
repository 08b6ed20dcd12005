"""The views of the regression page; only the one looked at is drawn."""

from __future__ import annotations

import streamlit as st

from clair.baselines import METHODS
from clair.figures.samples import (
    client_gains,
    error_curves,
    gain_curve,
    preliminary_curve,
    verdict_curve,
)
from clair.metrics import principal_angles
from clair.narrative import amount
from clair.palette import ThemeName
from clair.tasks.regression import RegressionResult
from clair.tasks.task_result import means_of
from clair.ui import regression
from clair.ui.results import comparison_panel, show_chart, verdict_panel


def headline_numbers(result: RegressionResult) -> None:
    """Four numbers that every view is about."""
    scores, means = result.detection, means_of(result.accuracy, "excess")
    grid = st.grid("auto", min_column_width=150)
    grid.metric(
        "Poisoned found",
        f"{scores.n_correct} of {scores.n_contaminated}",
        f"{scores.false_alarms} false alarms",
        delta_color="off",
        delta_arrow="off",
        help="A false alarm is an honest client that was flagged.",
    )
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
        help="The least error of the rows of CLAIR: as published, with pooling, with own data.",
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
    """Errors by method and by client."""
    comparison_panel(regression.KIND, result, theme, regression.MEASURES)
    left, right = st.columns(2, gap="large")
    best = result.best_clair
    with left:
        benign = ~result.contaminated
        chart = client_gains(
            result.sizes[benign],
            result.accuracy["local"].excess,
            result.accuracy[best].excess,
            best,
            theme,
        )
        show_chart(chart, "regression_clients")
    with right:
        st.subheader("Where it does not hold", anchor=False)
        st.markdown("\n".join(f"* {note}" for note in regression.caveats(result)))


def verdict(result: RegressionResult, theme: ThemeName) -> None:
    """Scores of every client."""
    verdict_panel(regression.KIND, result, theme, reveal=True)


def samples(result: RegressionResult, theme: ThemeName) -> None:
    """The same federation at other sizes."""
    config = result.config
    found = regression.curves(config)
    show_chart(error_curves(found, theme), "regression_errors")
    columns = st.columns(3, gap="medium")
    charts = {
        "preliminary": preliminary_curve(found, theme, least_squares=config.least_squares_constant),
        "f1": verdict_curve(found, theme),
        "gain": gain_curve(found, theme),
    }
    for column, (key, chart) in zip(columns, charts.items(), strict=True):
        with column:
            show_chart(chart, f"regression_{key}")


VIEWS = {"worth": worth, "verdict": verdict, "samples": samples}
