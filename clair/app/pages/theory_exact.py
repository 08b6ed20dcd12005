"""Sections of the Theory page on exact recovery: the window for lambda, and the certificate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from clair.app.kit.content import content
from clair.app.kit.shared import shared
from clair.app.pages.theory import LAM_TIMES, spec_of
from clair.figures.base import Chart
from clair.figures.palette import ThemeName
from clair.figures.window import dual_blocks, dual_spectrum, lam_window_chart
from clair.method.window import choose_lam, default_lam, ideal_window, incoherence, lam_window
from clair.report.blocks import Block, OnScreen, Words, chosen_plot, columns, plot
from clair.report.studies import certificate_study, window_study
from clair.report.theory import Told
from clair.simulation.matrix_model import Problem, ProblemSpec, sample_problem
from clair.theory.lam_path import LamPath, Proof, certificate_at, lam_grid, lam_path
from clair.theory.witness import witness, witness_window
from clair.theory.words import certificate_failures, certificate_sentence, window_sentence

Window = tuple[float, float]
_REACH = 5.0


class Windows(NamedTuple):
    """A problem, its results along lambda, and where theory expects them to be exact.

    Attributes
    ----------
    problem : Problem
    path : LamPath
    norms, closed : (float, float)
        Window of the two norms, and its worst case in closed form.
    sharp : (float, float) or None
        The sharp window; None if it is empty.
    default, mu : float
        The value that needs no knowledge, and the incoherence.
    """

    problem: Problem
    path: LamPath
    norms: Window
    closed: Window
    sharp: Window | None
    default: float
    mu: float


@shared(most=64)
def _windows(spec: ProblemSpec) -> Windows:
    problem = sample_problem(spec)
    norms = lam_window([problem.updates], [problem.subspace], problem.contaminated)
    around = (norms[0], min(norms[1], _REACH * norms[0]))
    sharp = witness_window(problem, around)
    if sharp is not None and not spec.n_contaminated:
        sharp = (sharp[0], np.inf)
    drawn = (sharp[0], min(sharp[1], around[1])) if sharp is not None else around
    mu = incoherence(norms[0], spec.n_clients - spec.n_contaminated, spec.rank)
    return Windows(
        problem,
        lam_path(problem, lam_grid(drawn)),
        norms,
        ideal_window(spec.n_clients, spec.n_contaminated, spec.rank, mu),
        sharp,
        default_lam(spec.n_clients, spec.rank),
        mu,
    )


def _window_chart(spec: ProblemSpec, theme: ThemeName) -> Chart:
    found = _windows(spec)
    windows = {
        "predicted, sharp": found.sharp,
        "predicted, two norms": found.norms,
        "worst case, closed form": found.closed,
    }
    return lam_window_chart(found.path, windows, {"λ₀": found.default}, theme)


def window(values: Mapping[str, Any]) -> Told:
    """Hold the predicted window against the measured interval."""
    spec = spec_of(values, exact=True)
    found = _windows(spec)
    picture = plot("theory_window", _window_chart, spec)
    title, first, second, caption = _formulas(spec, found)
    below: tuple[Block, ...] = ()
    if spec.noise > 0 or not witness(found.problem, found.default).holds:
        below = (Words(_advice(spec, found.default, found.sharp, found.mu), "note"),)
    numbers = OnScreen((title, *first, *second, caption))
    return Told(
        window_study(spec, found.path),
        window_sentence(found.path, found.sharp, found.default),
        content("theory")["about"]["window"],
        (columns([picture], [numbers], widths=(3, 2)), *below),
        # two columns on stage, so that nothing has to be scrolled
        {
            "The picture": (picture,),
            "With your numbers": (columns([title, *first], second), caption),
        },
    )


def _advice(spec: ProblemSpec, default: float, sharp: Window | None, mu: float) -> str:
    if spec.noise > 0:
        return (
            "With noise nothing is exact: every honest client needs a little room in S. "
            "The window drawn is that of the same clients without noise; *Stable recovery* shows "
            "what takes its place."
        )
    if sharp is None:
        return (
            "The window is empty: either the attack stays inside the subspace, where there is "
            "nothing to put into S, or the attackers agree so well that they look like a second "
            "honest group. *Blind spots* shows what helps."
        )
    side = "below" if default < sharp[0] else "above"
    return (
        f"λ₀ = {default:.3f} lies {side} the window: it assumes even clients (μ = 1), and here "
        f"μ = {mu:.2f}. CLAIR therefore estimates the window from a first look at the clients and "
        "takes its middle."
    )


def _formulas(
    spec: ProblemSpec, found: Windows
) -> tuple[Words, tuple[Words, ...], tuple[Words, ...], Words]:
    """Write the formulas with the current numbers put in: title, two groups, caption."""
    n, bad, r = spec.n_clients, spec.n_contaminated, spec.rank
    norms, sharp, closed, mu = found.norms, found.sharp, found.closed, found.mu
    first = [
        rf"\lambda_{{\min}}=\sqrt{{\tfrac{{\mu r}}{{(1-\gamma)K}}}}"
        rf"=\sqrt{{\tfrac{{{mu:.2f}\cdot {r}}}{{{n - bad}}}}}={closed[0]:.3f}"
    ]
    if bad:
        first += [
            rf"\lambda_{{\max}}\ge\sqrt{{\tfrac{{1}}{{\gamma K}}}}"
            rf"=\sqrt{{\tfrac{{1}}{{{bad}}}}}={1 / np.sqrt(bad):.3f}",
            rf"\text{{one matrix: }}\ \sqrt{{\tfrac{{r}}{{\gamma K}}}}"
            rf"=\sqrt{{\tfrac{{{r}}}{{{bad}}}}}={closed[1]:.3f}",
        ]
    upper = r"\infty" if np.isinf(norms[1]) else f"{norms[1]:.3f}"
    second = [
        rf"\lambda_0=\sqrt{{\tfrac{{2r}}{{K}}}}=\sqrt{{\tfrac{{{2 * r}}}{{{n}}}}}"
        rf"={found.default:.3f}",
        rf"\max_k\|V_k\|_F={norms[0]:.3f}",
        rf"1/\|[D_k/\|D_k\|_F]_k\|_2={upper}",
    ]
    if sharp is not None:
        high = r"\infty" if np.isinf(sharp[1]) else f"{sharp[1]:.3f}"
        second.append(rf"\text{{sharp: }}\ {sharp[0]:.3f}\le\lambda\le {high}")
    caption = (
        f"γK = {bad} poisoned of K = {n} clients, rank r = {r}, incoherence μ = {mu:.2f}. "
        "V: right singular vectors of the honest part; Dₖ: what poisoned client k has off the "
        "subspace. These use the truth, which the server does not have; CLAIR estimates it."
        + " λmax is never below the first bound, which attackers reach who all repeat one "
        "direction; *one matrix* is what it is where they all send one matrix with r equal "
        "singular values. The first may lie under λmin while the window of these attackers is "
        "open." * bool(bad)
    )
    one, two = (tuple(Words(tex, "latex") for tex in group) for group in (first, second))
    return Words("**With your numbers**"), one, two, Words(caption, "caption")


@shared(most=64)
def _proof(spec: ProblemSpec, factor: float) -> tuple[Problem, Proof]:
    problem = sample_problem(spec)
    norms = lam_window([problem.updates], [problem.subspace], problem.contaminated)
    middle = choose_lam(norms, spec.n_clients, spec.rank)
    return problem, certificate_at(problem, factor * middle)


def _proof_charts(spec: ProblemSpec, factor: float, theme: ThemeName) -> tuple[Chart, Chart]:
    problem, proof = _proof(spec, factor)
    return (
        dual_blocks(proof.certificate, proof.claimed, problem.contaminated, theme),
        dual_spectrum(proof.split, proof.certificate, proof.directions, theme),
    )


def certificate(values: Mapping[str, Any]) -> Told:
    """Show the dual variable, and what it proves."""
    spec, factor = spec_of(values, exact=True), values[LAM_TIMES.key]
    problem, proof = _proof(spec, factor)
    drawn = (
        [chosen_plot(f"theory_{name}", _proof_charts, n, spec, factor)]
        for n, name in enumerate(("dual", "spectrum"))
    )
    picture, verdict = columns(*drawn), _verdict(spec, proof)
    return Told(
        certificate_study(spec, problem, proof),
        certificate_sentence(proof, problem.contaminated, spec.rank),
        content("theory")["about"]["certificate"],
        (verdict, picture),
        {"The picture": (picture,), "The verdict": (verdict,)},
    )


def _verdict(spec: ProblemSpec, proof: Proof) -> Words:
    """Say what the two numbers prove, or why they prove nothing."""
    numbers = proof.certificate
    verdict = (
        f"**λ = {proof.point.lam:.3f}**. Largest pressure of a client that CLAIR keeps: "
        f"{numbers.dual_feasibility:.3f} of λ. ‖W‖₂ = {numbers.spectral_norm:.3f}. Equalities met "
        f"to {numbers.kkt_residual:.0e}"
    )
    if not proof.holds:
        reasons = certificate_failures(proof, spec.noise)
        lines = "\n".join(f"* {reason}" for reason in reasons)
        return Words(f"No certificate. {verdict}.\n\n{lines}", "warning")
    exact = proof.point.right_set and proof.directions == spec.rank
    which = "It is the true one." if exact else "It is not the true one."
    return Words(
        f"Both numbers are below one, so this split is the only optimum. {which} {verdict}.",
        "good" if exact else "note",
    )
