"""Sections of the Theory page on noise: stable recovery, the right set, the gain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from clair.app.kit.content import content
from clair.app.kit.shared import shared
from clair.app.pages.theory import GAIN_AXIS, SET_AXIS, spec_of
from clair.figures.base import Chart
from clair.figures.noise import (
    gain_chart,
    separation_chart,
    set_probability_chart,
    stability_chart,
)
from clair.figures.palette import ThemeName
from clair.figures.worlds import worlds_chart
from clair.method.detection import NOISE_LIMIT
from clair.method.evidence import DIRECTIONS_GAP, GAP, noise_spread, structure_gap
from clair.report.blocks import Block, Frame, OnScreen, Words, chosen_plot, columns, plot
from clair.report.studies import gain_study, sets_study, stable_study
from clair.report.theory import Told
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
from clair.theory.worlds import Worlds, outside_scatter, worlds

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


@shared(most=64)
def _stability(spec: ProblemSpec) -> Stability:
    return stability(spec, NOISE_LEVELS)


@shared(most=64)
def _separation(spec: ProblemSpec, name: str) -> Separation:
    return separation(spec, name, LEVELS[name], trials=4)


@shared(most=64)
def _gain(spec: ProblemSpec, name: str) -> Gain:
    return gain(spec, name, GAIN_LEVELS[name], trials=3)


@shared(most=64)
def _worlds(spec: ProblemSpec) -> Worlds:
    return worlds(spec)


def _stable_chart(spec: ProblemSpec, theme: ThemeName) -> Chart:
    slope, breakdown = subspace_slope(spec), breakdown_noise(spec)
    return stability_chart(_stability(spec), theme, slope=slope, breakdown=breakdown)


def stable(values: Mapping[str, Any]) -> Told:
    """Show the subspace error against noise."""
    spec = spec_of(values)
    curves, breakdown = _stability(spec), breakdown_noise(spec)
    n = spec.n_clients - spec.n_contaminated
    numbers = OnScreen(
        (
            Words("**With your numbers**"),
            Words(rf"\sin\theta_{{\max}} \approx {subspace_slope(spec):.3g}\,\sigma", "latex"),
            Words(
                rf"\sigma_c = \frac{{s_r}}{{(p\,n\,q)^{{1/4}}}} = "
                rf"\frac{{{breakdown * (spec.d_out * n * spec.d_in) ** 0.25:.2f}}}"
                rf"{{({spec.d_out}\cdot {n}\cdot {spec.d_in})^{{1/4}}}} = {breakdown:.3f}",
                "latex",
            ),
        )
    )
    why = (
        Words("**Where each breaks, and why**"),
        Words("\n".join(f"* {line}" for line in _breaks(curves, spec, breakdown))),
    )
    picture, reasons = plot("theory_stable", _stable_chart, spec), columns([numbers], why)
    return Told(
        stable_study(spec, curves),
        stability_sentence(curves),
        content("theory")["about"]["stable"],
        (picture, reasons),
        {"The picture": (picture,), "Why it breaks": (reasons,)},
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


def _set_charts(spec: ProblemSpec, name: str, theme: ThemeName) -> tuple[Chart, Chart]:
    curves = _separation(spec, name)
    return (
        separation_chart(curves, name, theme),
        set_probability_chart(curves, name, theme, 360),
    )


def sets(values: Mapping[str, Any]) -> Told:
    """Show the separation of the scores and the probability of the exact set."""
    spec, name = spec_of(values), values[SET_AXIS.key]
    curves = _separation(spec, name)
    drawn = (
        [chosen_plot(f"theory_{key}", _set_charts, n, spec, name)]
        for n, key in enumerate(("separation", "exact"))
    )
    picture, condition = columns(*drawn), Frame((Words(_condition(spec)),))
    return Told(
        sets_study(spec, name, curves),
        set_sentence(curves, name),
        content("theory")["about"]["sets"],
        (picture, condition),
        {"The picture": (picture,), "The condition": (condition,)},
    )


def _condition(spec: ProblemSpec) -> str:
    model, (gap, strict) = score_model(spec), (GAP[1], DIRECTIONS_GAP[1])
    dense = structure_gap(noise_spread(spec.d_out - spec.rank, spec.d_in))[1]
    return (
        f"**The condition in words.** A poisoned client must score at least {gap:g} times a "
        f"typical honest one by all that it sends: off the subspace, its attack then carries "
        f"{gap**2 - 1:.2f} times the energy that noise and honest differences put there. Or "
        f"{strict:g} times by its strongest directions alone; and what it sends outside must "
        f"be too structured to be mere noise, or more than {NOISE_LIMIT:g} times too large. Or "
        f"that must be {dense:.2f} times as concentrated as noise. "
        f"{_limits(spec)} At your noise of {spec.noise:g} a typical poisoned client scores "
        f"{_ratio(model.separation)} a typical honest one by all it sends, "
        f"{_ratio(model.strongest.separation)} by its strongest directions, and what it sends "
        f"outside is {_ratio(model.structure.contaminated)} as concentrated. More clients do "
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


def _gain_chart(spec: ProblemSpec, name: str, theme: ThemeName) -> Chart:
    curves, crossing = _gain(spec, name), None
    if name != "n_clients":
        crossing = break_even(spec, name, curves.values[0], curves.values[-1])
    return gain_chart(curves, name, theme, now=float(getattr(spec, name)), crossing=crossing)


def _worlds_chart(spec: ProblemSpec, theme: ThemeName) -> Chart:
    return worlds_chart(_worlds(spec), theme)


def gains(values: Mapping[str, Any]) -> Told:
    """Show the measured and predicted error of the honest clients."""
    spec, name = spec_of(values), values[GAIN_AXIS.key]
    curves, about = _gain(spec, name), content("theory")["about"]
    picture = plot("theory_gain", _gain_chart, spec, name)
    numbers = _gain_formulas(spec)
    nothing = Words("Nothing lies outside the subspace here: no noise and no difference.", "note")
    scattered = outside_scatter(spec) > 0
    world: Block = plot("theory_worlds", _worlds_chart, spec) if scattered else nothing
    return Told(
        gain_study(spec, name, curves),
        gain_sentence(curves, predicted_errors(spec), spec.noise),
        about["gain"],
        (
            columns([picture], [OnScreen(numbers)], widths=(3, 2)),
            Words(about["worlds"]),
            world,
        ),
        {"The picture": (picture,), "Which world": (world,), "With your numbers": numbers},
    )


def _gain_formulas(spec: ProblemSpec) -> tuple[Words, ...]:
    now, n = predicted_errors(spec), spec.n_clients - spec.n_contaminated
    p, q, r = spec.d_out, spec.d_in, spec.rank
    saved = (p - r) * q * spec.noise**2
    own = spec.off_subspace**2 * r
    formulas = (
        rf"\text{{alone}}^2 = pq\sigma^2 = {amount(p * q * spec.noise**2)}",
        rf"\begin{{aligned}}\text{{gain}}&=\left(1-\tfrac{{1}}{{{n}}}\right)"
        rf"\left({amount(saved)}-{amount(own)}\right)\\&\quad-{amount(now.subspace_cost)}"
        rf"={now.gain:.2g}\end{{aligned}}",
        rf"\begin{{aligned}}h_*^2&=(p-r)q\sigma^2\\&={p - r}\cdot{q}\cdot{spec.noise:g}^2"
        rf"={amount(saved)}\end{{aligned}}",
    )
    most = np.sqrt(max(saved, 1e-12) / r) * 1.5
    level = break_even(spec, "off_subspace", 0.0, float(most))
    caption = (
        f"Your honest clients have h² = {amount(own)} off the subspace"
        + (f"; break-even is at off-subspace heterogeneity {level:.2f}" if level else "")
        + " (h² = heterogeneity² · r; the last term is the cost of an estimated subspace). "
        f"n = {n} kept clients, p × q = {p} × {q}, r = {r}."
    )
    return (
        Words("**With your numbers**"),
        *(Words(tex, "latex") for tex in formulas),
        Words(caption, "caption"),
    )
