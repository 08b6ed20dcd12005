"""Sections of the Theory page on exact recovery: the window for lambda, and the certificate."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from clair.app.components.chart import kept
from clair.app.kit.controls import show
from clair.app.kit.layout import sentence
from clair.app.kit.presenter import presenting
from clair.app.kit.results import show_chart
from clair.app.kit.shared import shared
from clair.app.pages.theory import LAM_TIMES, claims, export_of, intro, spec_of, staged, tools
from clair.figures.base import Chart
from clair.figures.palette import ThemeName
from clair.figures.window import dual_blocks, dual_spectrum, lam_window_chart
from clair.method.window import choose_lam, default_lam, ideal_window, incoherence, lam_window
from clair.report.studies import certificate_study, window_study
from clair.simulation.matrix_model import Problem, ProblemSpec, sample_problem
from clair.theory.lam_path import LamPath, Proof, certificate_at, lam_grid, lam_path
from clair.theory.witness import witness, witness_window
from clair.theory.words import certificate_failures, certificate_sentence, window_sentence

Window = tuple[float, float]
_REACH = 5.0

WINDOW_INTRO = """
The server stacks all updates side by side and splits them into a shared part **L** of low rank and
a part **S** that is zero for most clients, and takes the cheapest such split (a **convex program**:
whatever is cheapest nearby is cheapest of all). One number, **λ**, is the price of putting a client
into S. Too cheap, and honest clients end up there; too dear, and poison stays in L. Between the two
lies a window in which the split is *exactly* right. Its ends depend on the poisoned fraction γ, the
rank r, and how unevenly the honest carry the shared directions (**incoherence** μ, 1 if evenly).
**λ₀** is a first guess that needs neither γ nor μ: it lies in the window if the clients are even.
"""
PROOF_INTRO = """
How can a server know that the split it found is right, without knowing the truth? Convex programs
come with a witness. Their **dual variable** Q says how hard each client presses to get into S, and
how hard each direction presses to get into L. If everybody left outside presses strictly less
than the price of entry, the answer is the only cheapest one: that is a **certificate**.
"""


@shared(most=64)
def _path(spec: ProblemSpec) -> tuple[Problem, LamPath, Window, Window | None]:
    """Compute the problem, results along lambda, window of the two norms and sharp window."""
    problem = sample_problem(spec)
    norms = lam_window([problem.updates], [problem.subspace], problem.contaminated)
    around = (norms[0], min(norms[1], _REACH * norms[0]))
    sharp = witness_window(problem, around)
    if sharp is not None and not spec.n_contaminated:
        sharp = (sharp[0], np.inf)
    drawn = (sharp[0], min(sharp[1], around[1])) if sharp is not None else around
    return problem, lam_path(problem, lam_grid(drawn)), norms, sharp


def window(values: dict[str, Any], theme: ThemeName) -> None:
    """Draw the predicted window against the measured interval."""
    spec = spec_of(values, exact=True)
    problem, path, norms, sharp = _path(spec)
    honest, default = spec.n_clients - spec.n_contaminated, default_lam(spec.n_clients, spec.rank)
    mu = incoherence(norms[0], honest, spec.rank)
    closed = ideal_window(spec.n_clients, spec.n_contaminated, spec.rank, mu)
    windows = {
        "predicted, sharp": sharp,
        "predicted, two norms": norms,
        "worst case, closed form": closed,
    }

    def draw(paper: ThemeName) -> tuple[Chart, ...]:
        return (lam_window_chart(path, windows, {"λ₀": default}, paper),)

    said = window_sentence(path, sharp, default)
    sentence(said)
    study = window_study(spec, path)
    tools(values, export_of(study, said, WINDOW_INTRO, values, lambda: draw("light")))
    intro(WINDOW_INTRO)

    def picture() -> None:
        (chart,) = kept(("window", spec, theme), lambda: draw(theme))
        show_chart(chart, "theory_window")

    def formulas() -> None:
        _formulas(spec, norms, sharp, closed, default, mu)

    if staged("window", WINDOW_INTRO, {"The picture": picture, "With your numbers": formulas}):
        return
    left, right = st.columns([3, 2], gap="large")
    with left:
        picture()
    with right:
        formulas()
    if spec.noise > 0 or not witness(problem, default).holds:
        st.info(_advice(spec, default, sharp, mu), icon=":material/info:")
    claims("window")


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
    spec: ProblemSpec,
    norms: Window,
    sharp: Window | None,
    closed: Window,
    default: float,
    mu: float,
) -> None:
    """Show the formulas with the current numbers put in."""
    n, bad, r = spec.n_clients, spec.n_contaminated, spec.rank
    # two columns on stage, so that nothing has to be scrolled
    first, second = st.columns(2) if presenting() else (st.container(),) * 2
    first.markdown("**With your numbers**")
    first.latex(
        rf"\lambda_{{\min}}=\sqrt{{\tfrac{{\mu r}}{{(1-\gamma)K}}}}"
        rf"=\sqrt{{\tfrac{{{mu:.2f}\cdot {r}}}{{{n - bad}}}}}={closed[0]:.3f}"
    )
    if bad:
        first.latex(
            rf"\lambda_{{\max}}\ge\sqrt{{\tfrac{{1}}{{\gamma K}}}}"
            rf"=\sqrt{{\tfrac{{1}}{{{bad}}}}}={1 / np.sqrt(bad):.3f}"
        )
        first.latex(
            rf"\text{{agreed:}}\ \sqrt{{\tfrac{{r}}{{\gamma K}}}}"
            rf"=\sqrt{{\tfrac{{{r}}}{{{bad}}}}}={closed[1]:.3f}"
        )
    second.latex(
        rf"\lambda_0=\sqrt{{\tfrac{{2r}}{{K}}}}=\sqrt{{\tfrac{{{2 * r}}}{{{n}}}}}={default:.3f}"
    )
    upper = r"\infty" if np.isinf(norms[1]) else f"{norms[1]:.3f}"
    second.latex(rf"\max_k\|V_k\|_F={norms[0]:.3f}")
    second.latex(rf"1/\|[D_k/\|D_k\|_F]_k\|_2={upper}")
    if sharp is not None:
        high = r"\infty" if np.isinf(sharp[1]) else f"{sharp[1]:.3f}"
        second.latex(rf"\text{{sharp: }}\ {sharp[0]:.3f}\le\lambda\le {high}")
    st.caption(
        f"γK = {bad} poisoned of K = {n} clients, rank r = {r}, incoherence μ = {mu:.2f}. "
        "V: right singular vectors of the honest part; Dₖ: what poisoned client k has off the "
        "subspace. These use the truth, which the server does not have; CLAIR estimates it."
    )


@shared(most=64)
def _proof(spec: ProblemSpec, factor: float) -> tuple[Problem, Proof]:
    problem = sample_problem(spec)
    norms = lam_window([problem.updates], [problem.subspace], problem.contaminated)
    middle = choose_lam(norms, spec.n_clients, spec.rank)
    return problem, certificate_at(problem, factor * middle)


def certificate(values: dict[str, Any], theme: ThemeName) -> None:
    """Draw the dual variable, and say what it proves."""
    spec, head = spec_of(values, exact=True), st.container()
    intro(PROOF_INTRO)
    values[LAM_TIMES.key] = show(LAM_TIMES)
    problem, proof = _proof(spec, values[LAM_TIMES.key])
    truth, numbers = problem.contaminated, proof.certificate

    def draw(paper: ThemeName) -> tuple[Chart, Chart]:
        return (
            dual_blocks(numbers, proof.claimed, truth, paper),
            dual_spectrum(proof.split, numbers, proof.directions, paper),
        )

    said = certificate_sentence(proof, truth, spec.rank)
    study = certificate_study(spec, problem, proof)
    with head:
        sentence(said)
        tools(values, export_of(study, said, PROOF_INTRO, values, lambda: draw("light")))

    def picture() -> None:
        key = "certificate", spec, values[LAM_TIMES.key], theme
        charts = kept(key, lambda: draw(theme))
        for column, chart, name in zip(
            st.columns(2, gap="large"), charts, ("dual", "spectrum"), strict=True
        ):
            with column:
                show_chart(chart, f"theory_{name}")

    def verdict() -> None:
        _verdict(spec, problem, proof)

    if not staged("certificate", PROOF_INTRO, {"The picture": picture, "The verdict": verdict}):
        verdict()
        picture()
        claims("certificate")


def _verdict(spec: ProblemSpec, problem: Problem, proof: Proof) -> None:
    """Say what the two numbers prove, or why they prove nothing."""
    numbers = proof.certificate
    verdict = (
        f"**λ = {proof.point.lam:.3f}**. Largest pressure of a client that CLAIR keeps: "
        f"{numbers.dual_feasibility:.3f} of λ. ‖W‖₂ = {numbers.spectral_norm:.3f}. Equalities met "
        f"to {numbers.kkt_residual:.0e}"
    )
    if proof.holds:
        exact = proof.point.right_set and proof.directions == spec.rank
        box, icon = (st.success, "verified") if exact else (st.info, "info")
        box(
            "Both numbers are below one, so this split is the only optimum. "
            + ("It is the true one. " if exact else "It is not the true one. ")
            + f"{verdict}.",
            icon=f":material/{icon}:",
        )
    else:
        reasons = certificate_failures(proof, spec.noise)
        st.warning(
            f"No certificate. {verdict}.\n\n" + "\n".join(f"* {reason}" for reason in reasons),
            icon=":material/error:",
        )
