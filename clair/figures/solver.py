"""How the solver got there, and whether its answer is proven."""

from __future__ import annotations

import numpy as np

from clair.figures.base import Chart, level, marker, new_figure
from clair.figures.palette import PAPERS, ThemeName, role_style
from clair.sentences import count
from clair.simulation.scenario import ScenarioResult


def convergence(result: ScenarioResult, theme: ThemeName, height: int = 300) -> Chart:
    """Draw the residuals of the solver by iteration, on a logarithmic scale."""
    fitted, convex = result.fit, result.scenario.solver == "convex"
    steps = np.array([record.iteration for record in fitted.history])
    curves = {
        "primal residual: is L + S = M?": ("recovered", "primal_residual"),
        "dual residual: has it stopped moving?": ("observed", "dual_residual"),
    }
    figure = new_figure(theme, height)
    for name, (role, field) in curves.items():
        values = np.array([getattr(record, field) for record in fitted.history])
        if not convex and not values.any():
            continue
        style = role_style(role, theme)
        figure.add_scatter(
            x=steps,
            y=np.maximum(values, 1e-16),
            mode="lines+markers",
            name=name,
            line={"color": style.color, "dash": style.dash, "width": 1.5},
            marker=marker(style, theme, 5),
            hovertemplate="iteration %{x}: %{y:.1e}<extra></extra>",
        )
    figure.update_xaxes(title_text="iteration")
    figure.update_yaxes(title_text="relative residual")
    figure.update_yaxes(type="log", exponentformat="power", dtick=2)
    figure.update_xaxes(showgrid=False)
    done = fitted.status == "converged"
    title = (
        f"The solver {'settled' if done else 'stopped unfinished'} after "
        f"{count(fitted.n_iter, 'iteration')}"
    )
    caption = (
        "Each iteration shrinks the singular values of L and the blocks of S a little; it stops "
        "when both residuals are below one in ten million."
        if convex
        else "Each iteration weighs down the clients that are far off and fits the subspace anew; "
        "it stops when the subspace no longer moves."
    )
    return Chart(figure, title, caption, f"{title}; status {fitted.status}.")


def block_paths(result: ScenarioResult, theme: ThemeName, height: int = 300) -> Chart:
    """Draw the contamination norm of every client by iteration."""
    fitted, truth = result.fit, result.problem.contaminated
    steps = [record.iteration for record in fitted.history]
    norms = np.array([record.block_norms for record in fitted.history])
    figure = new_figure(theme, height)
    for name, role, mask in (
        ("honest", "benign", ~truth),
        ("poisoned", "contaminated", truth),
    ):
        style, x, y = role_style(role, theme), [], []
        for client in np.flatnonzero(mask):
            x += [*steps, None]
            y += [*norms[:, client].tolist(), None]
        figure.add_scatter(
            x=x,
            y=y,
            mode="lines",
            name=name,
            line={"color": style.color, "dash": style.dash, "width": 1.4},
            hovertemplate="iteration %{x}: %{y:.2f}<extra>" + name + "</extra>",
        )
    figure.update_xaxes(title_text="iteration")
    figure.update_yaxes(title_text="contamination norm")
    figure.update_xaxes(showgrid=False)
    figure.update_yaxes(rangemode="tozero")
    noisy = result.problem.spec.noise > 0
    quiet = int(np.sum(norms[-1] <= 1e-6 * max(float(norms.max()), 1e-300)))
    title = (
        f"{count(quiet, 'client').capitalize()} ended with a contamination of exactly zero"
        if quiet
        else "No client's contamination became exactly zero"
        + ": noise needs room somewhere" * noisy
    )
    caption = "The contamination norm is the size of a client's tile in S."
    if truth.any():
        caption += " Lines of poisoned clients should end above those of honest ones."
    return Chart(figure, title, caption, f"{title}.")


def certificate(result: ScenarioResult, theme: ThemeName, height: int = 300) -> Chart:
    """Draw dual block norms relative to lambda; below one proves a client's S to be zero.

    Raises
    ------
    ValueError
        If the fit has no certificate (IRLS).
    """
    proof = result.fit.certificate
    if proof is None:
        raise ValueError("a certificate comes with the convex solver only, got none")
    truth, ratios = result.problem.contaminated, proof.client_ratios
    figure = new_figure(theme, height)
    figure.add_shape(level(1, color=PAPERS[theme].ink, width=1.5, dash="dash"))
    for name, role, mask in (
        ("honest", "benign", ~truth),
        ("poisoned", "contaminated", truth),
    ):
        style = role_style(role, theme)
        figure.add_scatter(
            x=np.flatnonzero(mask) + 1,
            y=ratios[mask],
            mode="markers",
            name=name,
            marker=marker(style, theme, 9),
            hovertemplate="client %{x}: %{y:.3f}<extra>" + name + "</extra>",
        )
    figure.update_xaxes(title_text="client")
    figure.update_yaxes(title_text="pressure on the client / λ")
    figure.update_yaxes(range=[0, 1.12])
    figure.update_xaxes(showgrid=False)
    if proof.holds:
        norms = result.fit.contamination_norms
        in_s = norms > 1e-6 * max(float(norms.max()), 1e-300)
        title = f"Proven: no other split is as good, and S holds {_who(in_s, truth)}"
    elif result.problem.spec.noise > 0:
        title = "No proof of exact recovery: with noise every client has something in S"
    else:
        title = (
            f"No proof of exact recovery: {_failure(proof.dual_feasibility, proof.spectral_norm)}"
        )
    caption = (
        "At the optimum every client presses against the limit λ (the dashed line). All that are "
        "not in S strictly below it, and a second number below one "
        f"(here {proof.spectral_norm:.2f}), prove that no other split is as good. "
        + (
            "Nobody is left unflagged."
            if result.fit.flagged.all()
            else f"Highest unflagged client: {min(proof.dual_feasibility, 9.99):.2f}."
        )
    )
    return Chart(figure, title, caption, f"{title}.")


def _failure(dual: float, spectral: float) -> str:
    if dual >= 1 - 1e-6:
        return "an unflagged client reaches the limit"
    if spectral >= 1:
        return "the second number is not below one"
    return "the solver stopped before its numbers were exact enough for one"


def _who(in_s: np.ndarray, truth: np.ndarray) -> str:
    """Name the clients with a block in S, compared with the truth."""
    if not in_s.any():
        return "nobody" if not truth.any() else "nobody, although some are poisoned"
    if np.array_equal(in_s, truth):
        return "exactly the poisoned clients"
    many = count(int(in_s.sum()), "client")
    if not truth.any():
        return f"{many}, though all are honest"
    return f"{many}, which are not exactly the poisoned ones"
