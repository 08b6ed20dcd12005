"""Section of the Theory page on what CLAIR cannot see, what helps and what that costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import streamlit as st

from clair.app.components.chart import Drawn, kept
from clair.app.kit.controls import show
from clair.app.kit.layout import sentence
from clair.app.kit.results import show_chart
from clair.app.kit.shared import shared
from clair.app.pages.theory import BLIND, claims, export_of, intro, spec_of, staged, tools
from clair.figures.base import Chart
from clair.figures.noise import remedy_chart, remedy_words
from clair.figures.palette import ThemeName
from clair.method.evidence import GAP
from clair.report.studies import REMEDY_NAMES, blind_study
from clair.simulation.matrix_model import ProblemSpec
from clair.theory.curves import MAX_CLIENTS, REMEDIES, Remedy, remedy
from clair.theory.sets import score_model

INTRO = """
CLAIR looks at *where* an update points, not at what it does there. What an attacker hides inside
the shared subspace, behind what looks like few data, or under everybody's noise, it cannot see.
Below: the same problems with each thing that might help, and what that flags by mistake, also when
nobody is poisoned at all.
"""
STORIES: dict[str, str] = {
    "sign_flip": "Poisoned clients send their honest update **reversed**. It lies exactly in the "
    "shared subspace, so its residual is that of an honest client. Its coefficients point the "
    "other way, and that is what the coefficient screen (ours) looks at.",
    "scaled": "Poisoned clients send their honest update **ten times too large**, in the right "
    "directions. Without noise it is invisible to the residual. With noise its size betrays it: a "
    "subspace that is slightly off leaks ten times as much of a ten times larger update.",
    "random": "Poisoned clients add **dense noise** as large as an honest update. An honest client "
    "with few data looks just like that, so CLAIR does not flag them: they are *suspect*, and "
    "nobody learns from them. Only beyond ten times a typical residual are few data no excuse.",
    "noise": "The noise of each entry is **twice the size of the signal**. The attack is still "
    "there, but its energy is lost in the noise of every single client.",
}
BEYOND = """
**Not drawn here, and not seen either:**
* poison of half of the clients or more: they are the majority, and everything is judged against it;
* poison in modules that at most three clients changed: they count as not comparable there;
* a heavy-tailed shape that an attacker has smoothed away: kurtosis convicts only who leaves it.
"""


def case_spec(values: dict[str, Any], case: str) -> ProblemSpec:
    """Build the problem that shows a blind spot, from the visitor's clients, rank and noise."""
    spec = replace(spec_of(values), attack_scale=1.0, off_subspace=0.0)
    if case == "noise":
        entry = np.sqrt(spec.rank * (1 + spec.heterogeneity**2) / (spec.d_out * spec.d_in))
        return replace(spec, attack="low_rank", noise=float(2 * entry))
    return replace(spec, attack=case)


@shared(most=128)
def _remedy(spec: ProblemSpec, key: str) -> Remedy:
    return remedy(spec, key, trials=4)


def blind(values: dict[str, Any], theme: ThemeName) -> None:
    """Show one blind spot, computed live."""
    head = st.container()
    intro(INTRO)
    case = values[BLIND.key] = show(BLIND, label=False)
    spec = case_spec(values, case)
    remedies = {key: _remedy(spec, key) for key in REMEDIES}
    words = remedy_words(remedies, REMEDY_NAMES)
    said, study = f"{words[0].upper()}{words[1:]}.", blind_study(spec, remedies, REMEDY_NAMES)
    about = f"{INTRO} {STORIES[case]}"

    def draw(paper: ThemeName) -> tuple[Chart, ...]:
        return (remedy_chart(remedies, REMEDY_NAMES, paper),)

    with head:
        sentence(said)
        tools(values, export_of(study, said, about, values, lambda: draw("light")))

    def picture() -> None:
        (chart,) = kept(("blind", spec, theme), lambda: draw(theme))
        _picture(spec, case, chart)

    if not staged("blind", INTRO, {"The picture": picture, "What was tried": lambda: _tried(spec)}):
        picture()
        _tried(spec)
        claims("blind")


def _picture(spec: ProblemSpec, case: str, chart: Drawn) -> None:
    st.markdown(STORIES[case])
    if not spec.n_contaminated:
        st.info("Nobody is poisoned at this fraction, so there is nothing to miss.")
    show_chart(chart, "theory_remedies")


def _tried(spec: ProblemSpec) -> None:
    model, n = score_model(spec), spec.n_clients
    ratio = "infinite" if np.isinf(model.separation) else f"{model.separation:.2f}"
    st.markdown(
        f"* **Drawn:** {spec.n_contaminated} of {n} clients poisoned, noise {spec.noise:.3g}, "
        f"rank {spec.rank}. Predicted typical poisoned over typical honest score: **{ratio}** "
        f"(the detector needs {GAP[1]:g}).\n"
        f"* **More clients:** {min(2 * n, MAX_CLIENTS)} instead of {n}, the same fraction.\n"
        f"* **One direction less:** the detector looks for rank {max(1, spec.rank - 1)}.\n"
        "* **Contamination norms:** the paper's score, from the convex program."
    )
    st.markdown(BEYOND)
