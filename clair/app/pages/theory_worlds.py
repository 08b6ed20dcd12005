"""Part of the Theory page's section on the gain: which side of break-even one is on."""

from __future__ import annotations

import streamlit as st

from clair.app.components.chart import kept
from clair.app.kit.presenter import presenting
from clair.app.kit.results import show_chart
from clair.app.kit.shared import shared
from clair.figures.base import Chart
from clair.figures.palette import ThemeName
from clair.figures.worlds import worlds_chart
from clair.simulation.matrix_model import ProblemSpec
from clair.theory.worlds import Worlds, outside_scatter, worlds

INTRO = """
**Which side of break-even you are on cannot be seen** from one update per client. What an update
has outside the subspace is real difference plus estimation error, and the server sees the sum.
Here one set of updates is drawn and held against the truths it can come from. What tells the worlds
apart is a second look at the data (ours): **two more updates of each client, from either half of
its data**, differ by error alone. With them each direction is averaged just as far as it pays.
"""


@shared(most=64)
def _worlds(spec: ProblemSpec) -> Worlds:
    return worlds(spec)


def world_charts(spec: ProblemSpec, theme: ThemeName) -> tuple[Chart, ...]:
    """Draw the worlds with this scatter outside the subspace; none if there is no scatter."""
    return () if outside_scatter(spec) == 0 else (worlds_chart(_worlds(spec), theme),)


def which_world(spec: ProblemSpec, theme: ThemeName) -> None:
    """Show the same updates in worlds with different truths, and what that means."""
    if not presenting():
        st.markdown(INTRO)
    charts = kept(("worlds", spec, theme), lambda: world_charts(spec, theme))
    for chart in charts:
        show_chart(chart, "theory_worlds")
    if not charts:
        st.info("Nothing lies outside the subspace here: no noise and no difference.")
