"""Sections of the Theory page on noise: stable recovery, the right set, the gain."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from clair.app.components.chart import kept
from clair.app.kit.controls import show
from clair.app.kit.layout import sentence
from clair.app.kit.results import show_chart
from clair.app.kit.shared import shared
from clair.app.pages.theory import (
    GAIN_AXIS,
    SET_AXIS,
    claims,
    export_of,
    intro,
    spec_of,
    staged,
    tools,
)
from clair.app.pages.theory_worlds import which_world, world_charts
from clair.figures.base import Chart
from clair.figures.noise import (
    gain_chart,
    separation_chart,
    set_probability_chart,
    stability_chart,
)
from clair.figures.palette import ThemeName
from clair.method.detection import NOISE_LIMIT
from clair.method.evidence import DIRECTIONS_GAP, GAP
from clair.report.studies import gain_study, sets_study, stable_study
from clair.sentences import amount
from clair.simulation.matrix_model import ProblemSpec
from clair.theory.curves import Gain, Separation, Stability, gain, separation, stability
from clair.theory.predictions import (
    break_even,
    breakdown_noise,
    predicted_errors,
    subspace_slope,
)
from clair.theory.sets import critical_noise, score_model, set_noise
from clair.theory.words import gain_sentence, set_sentence, stability_sentence

NOISE_LEVELS = (0.0, 0.003, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.13, 0.17, 0.25, 0.4, 0.6)
LEVELS: dict[str, tuple[float, ...]] = {
    "noise": (0.01, 0.03, 0.05, 0.07, 0.09, 0.1, 0.11, 0.12, 0.13, 0.15, 0.2),
    "attack_scale": (0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0, 1.5, 3.0, 5.0, 10.0),
}
GAIN_LEVELS: dict[str, tuple[float, ...]] = {
    "off_subspace": (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.3, 1.6, 2.0),
    "noise": (0.01, 0.02, 0.03, 0.05, 0.07, 0.09, 0.11, 0.14),
    "n_clients": (6, 8, 10, 14, 20, 28, 38, 50),
}
STABLE_INTRO = """
Real updates are noisy: each client estimates its own from little data. Then nothing is exact, and
the question is how far the recovered subspace is turned away from the true one. **Error** here is
the sine of the largest angle between them: 0 is a perfect match, 1 a direction lost altogether.
**Polish** means: once CLAIR knows whom to keep, it refits the subspace on those clients alone.
**PCA** simply takes the strongest directions of all updates together; **IRLS**, the other solver,
repeats that, each time counting a client less the farther it lies from the last result.
"""
SET_INTRO = """
CLAIR scores each client twice by what the *others'* subspace cannot explain: of all that it sends,
and of its strongest directions alone, which hold less noise. In either score it flags those above
the widest gap, and looks again among those below until no gap is wide enough. The set of poisoned
clients is exactly right if in one of the scores every poisoned client is clearly above every
honest one. Noise fills the gap, a stronger attack widens it. Who is large outside, but as noise
would be, is only **suspect**: that may be an honest client with few data, so its update is refined
like the others', but nobody learns from it.
"""
GAIN_INTRO = """
A kept client keeps its own update inside the shared subspace and takes everybody's average outside
it, where honest clients should have nothing but noise. Averaging shrinks that noise. It also
averages away whatever the client truly had there (**off-subspace heterogeneity**), which is the
price of joining in. **Pooling** (ours) also shrinks differences inside the subspace, as far as they
look like noise.
"""


@shared(most=64)
def _stability(spec: ProblemSpec) -> Stability:
    return stability(spec, NOISE_LEVELS)


@shared(most=64)
def _separation(spec: ProblemSpec, name: str) -> Separation:
    return separation(spec, name, LEVELS[name], trials=4)


@shared(most=64)
def _gain(spec: ProblemSpec, name: str) -> Gain:
    return gain(spec, name, GAIN_LEVELS[name], trials=3)


def stable(values: dict[str, Any], theme: ThemeName) -> None:
    """Draw the subspace error against noise."""
    spec = spec_of(values)
    curves = _stability(spec)
    slope, breakdown = subspace_slope(spec), breakdown_noise(spec)

    def draw(paper: ThemeName) -> tuple[Chart, ...]:
        return (stability_chart(curves, paper, slope=slope, breakdown=breakdown),)

    said = stability_sentence(curves)
    sentence(said)
    study = stable_study(spec, curves)
    tools(values, export_of(study, said, STABLE_INTRO, values, lambda: draw("light")))
    intro(STABLE_INTRO)

    def picture() -> None:
        (chart,) = kept(("stable", spec, theme), lambda: draw(theme))
        show_chart(chart, "theory_stable")

    def reasons() -> None:
        left, right = st.columns(2, gap="large")
        with left:
            _stable_formulas(spec, slope, breakdown)
        with right:
            st.markdown("**Where each breaks, and why**")
            st.markdown("\n".join(f"* {line}" for line in _breaks(curves, spec, breakdown)))

    if not staged("stable", STABLE_INTRO, {"The picture": picture, "Why it breaks": reasons}):
        picture()
        reasons()
        claims("stable")


def _stable_formulas(spec: ProblemSpec, slope: float, breakdown: float) -> None:
    n = spec.n_clients - spec.n_contaminated
    st.markdown("**With your numbers**")
    st.latex(rf"\sin\theta_{{\max}} \approx {slope:.3g}\,\sigma")
    st.latex(
        rf"\sigma_c = \frac{{s_r}}{{(p\,n\,q)^{{1/4}}}} = "
        rf"\frac{{{breakdown * (spec.d_out * n * spec.d_in) ** 0.25:.2f}}}"
        rf"{{({spec.d_out}\cdot {n}\cdot {spec.d_in})^{{1/4}}}} = {breakdown:.3f}"
    )


def _breaks(curves: Stability, spec: ProblemSpec, breakdown: float) -> list[str]:
    """List what fails for which reason, with the noise level of each."""
    lines = []
    lost, empty = curves.noise[curves.lost], curves.noise[curves.collapsed]
    if lost.size:
        lines.append(
            f"**Convex program**, at σ = {lost.min():g}: with noise in every client it becomes "
            "cheaper to put clients into S than to keep shared directions, so L loses some"
            + (f", and from σ = {empty.min():g} all of them" if empty.size else "")
            + ". (Drawn at the λ of the noiseless window; `clair.fit` notices and raises λ.)"
        )
    wrong = curves.noise[~curves.exact]
    if wrong.size:
        lines.append(
            f"**The set**, at σ = {wrong.min():g}: scores of poisoned and honest clients no longer "
            f"have a gap, or the attack looks like noise ({_expected(spec)}). Polish then works on "
            "a mixed set; with an attack hidden in noise that need not hurt the angle."
        )
    lines.append(
        "**IRLS** never collapses, because it is told how many directions to keep; it is less "
        "exact than polish, because it weighs clients instead of choosing them."
    )
    lines.append(
        f"**Everything**, around σ = {breakdown:.2f}: the weakest shared direction is below the "
        "noise of all honest clients together."
    )
    return lines


def _expected(spec: ProblemSpec) -> str:
    half = set_noise(spec)
    if half == 0:
        return "expected at any noise"
    return "not expected here" if np.isinf(half) else f"expected from σ = {half:.3f}"


def sets(values: dict[str, Any], theme: ThemeName) -> None:
    """Draw the separation of the scores and the probability of the exact set."""
    spec, head = spec_of(values), st.container()
    intro(SET_INTRO)
    name = values[SET_AXIS.key] = show(SET_AXIS, label=False)
    curves = _separation(spec, name)

    def draw(paper: ThemeName) -> tuple[Chart, Chart]:
        return (
            separation_chart(curves, name, paper),
            set_probability_chart(curves, name, paper, 360),
        )

    said, study = set_sentence(curves, name), sets_study(spec, name, curves)
    with head:
        sentence(said)
        tools(values, export_of(study, said, SET_INTRO, values, lambda: draw("light")))

    def picture() -> None:
        left, right = st.columns(2, gap="large")
        scores, probability = kept(("sets", spec, name, theme), lambda: draw(theme))
        with left:
            show_chart(scores, "theory_separation")
        with right:
            show_chart(probability, "theory_exact")

    def condition() -> None:
        _condition(spec)

    if not staged("sets", SET_INTRO, {"The picture": picture, "The condition": condition}):
        picture()
        condition()
        claims("sets")


def _condition(spec: ProblemSpec) -> None:
    model, (gap, strict) = score_model(spec), (GAP[1], DIRECTIONS_GAP[1])
    with st.container(border=True):
        st.markdown(
            f"**The condition in words.** A poisoned client must score at least {gap:g} times a "
            f"typical honest one by all that it sends: off the subspace, its attack then carries "
            f"{gap**2 - 1:.2f} times the energy that noise and honest differences put there. Or "
            f"{strict:g} times by its strongest directions alone. And what it sends outside must "
            f"be too structured to be mere noise, or more than {NOISE_LIMIT:g} times too large. "
            f"{_limits(spec)} At your noise of {spec.noise:g} a typical poisoned client scores "
            f"{_ratio(model.separation)} a typical honest one by all it sends, "
            f"{_ratio(model.strongest.separation)} by its strongest directions. More clients do "
            "not move this limit much: each client is judged on its own update."
        )


def _ratio(value: float) -> str:
    return "infinitely more than" if np.isinf(value) else f"{value:.2f} times"


def _limits(spec: ProblemSpec) -> str:
    """Say up to which noise the condition holds, for a typical client and for all of them."""
    typical, half = critical_noise(spec), set_noise(spec)
    if typical == 0:
        return "Here that holds at no noise level: the attack has too little off the subspace."
    if np.isinf(half):
        return (
            "Here that holds at every noise at which there is a subspace to be found "
            f"(σ below {breakdown_noise(spec):.2f})."
        )
    text = (
        f"For a typical client that holds up to noise **σ\\* = {typical:.3f}**"
        if np.isfinite(typical)
        else "A typical client stands out at every noise at which there is a subspace"
    )
    return text + (
        f"; the weakest of {spec.n_contaminated} fails earlier, so the set is exact in half of "
        f"the problems at **σ = {half:.3f}** (predicted)."
        if half > 0
        else "; the weakest fails even with the least noise."
    )


def gains(values: dict[str, Any], theme: ThemeName) -> None:
    """Draw the measured and predicted error of the honest clients."""
    spec, head = spec_of(values), st.container()
    intro(GAIN_INTRO)
    name = values[GAIN_AXIS.key] = show(GAIN_AXIS, label=False)
    curves, now = _gain(spec, name), predicted_errors(spec)
    crossing = None
    if name != "n_clients":
        crossing = break_even(spec, name, curves.values[0], curves.values[-1])

    def draw(paper: ThemeName) -> tuple[Chart, ...]:
        here = float(getattr(spec, name))
        return (gain_chart(curves, name, paper, now=here, crossing=crossing),)

    def all_drawn() -> tuple[Chart, ...]:
        return (*draw("light"), *world_charts(spec, "light"))

    said, study = gain_sentence(curves, now, spec.noise), gain_study(spec, name, curves)
    with head:
        sentence(said)
        tools(values, export_of(study, said, GAIN_INTRO, values, all_drawn))

    def picture() -> None:
        (chart,) = kept(("gain", spec, name, theme), lambda: draw(theme))
        show_chart(chart, "theory_gain")

    def formulas() -> None:
        _gain_formulas(spec)

    def which() -> None:
        which_world(spec, theme)

    parts = {"The picture": picture, "Which world": which, "With your numbers": formulas}
    if staged("gain", GAIN_INTRO, parts):
        return
    left, right = st.columns([3, 2], gap="large")
    with left:
        picture()
    with right:
        formulas()
    which()
    claims("gain")


def _gain_formulas(spec: ProblemSpec) -> None:
    now, n = predicted_errors(spec), spec.n_clients - spec.n_contaminated
    p, q, r = spec.d_out, spec.d_in, spec.rank
    saved = (p - r) * q * spec.noise**2
    own = spec.off_subspace**2 * r
    st.markdown("**With your numbers**")
    st.latex(rf"\text{{alone}}^2 = pq\sigma^2 = {amount(p * q * spec.noise**2)}")
    st.latex(
        rf"\begin{{aligned}}\text{{gain}}&=\left(1-\tfrac{{1}}{{{n}}}\right)"
        rf"\left({amount(saved)}-{amount(own)}\right)\\&\quad-{amount(now.subspace_cost)}"
        rf"={now.gain:.2g}\end{{aligned}}"
    )
    st.latex(
        rf"\begin{{aligned}}h_*^2&=(p-r)q\sigma^2\\&={p - r}\cdot{q}\cdot{spec.noise:g}^2"
        rf"={amount(saved)}\end{{aligned}}"
    )
    most = np.sqrt(max(saved, 1e-12) / r) * 1.5
    level = break_even(spec, "off_subspace", 0.0, float(most))
    st.caption(
        f"Your honest clients have h² = {amount(own)} off the subspace"
        + (f"; break-even is at off-subspace heterogeneity {level:.2f}" if level else "")
        + " (h² = heterogeneity² · r; the last term is the cost of an estimated subspace). "
        f"n = {n} kept clients, p × q = {p} × {q}, r = {r}."
    )
