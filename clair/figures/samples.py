"""What more data changes: errors, verdict and gain against the samples of a client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from clair.federated.regression.curves import IDENTIFIED, SampleCurves
from clair.figures.base import Chart, marker, new_figure
from clair.figures.drawing import Figure
from clair.figures.palette import PAPERS, ThemeName, method_style, role_style
from clair.methods import METHODS

SHOWN_TICKS = (8, 16, 40, 100, 250, 640)


def error_curves(curves: SampleCurves, theme: ThemeName, height: int = 420) -> Chart:
    """Draw the error on new data by method against samples, both logarithmic, with the crossing."""
    figure = new_figure(theme, height)
    for key in METHODS:
        if key in curves.excess:
            _line(figure, curves.samples, curves.excess[key], key, theme)
    crossing = curves.crossing()
    if crossing is not None and crossing > curves.samples[0]:
        _mark(figure, crossing, f"CLAIR stops paying: {_round(crossing)}", curves.samples, theme)
    figure.update_yaxes(
        type="log", title_text="error on new data (1 = not adapted)", tickformat="~g", dtick="D2"
    )
    _sample_axis(figure, curves.samples)
    low, high = (int(curves.samples[i]) for i in (0, -1))
    if crossing is None:
        title = f"CLAIR beats estimating alone from {low} to {high} samples a client"
    elif crossing <= low:
        title = "Estimating alone is at least as good as CLAIR at every size here"
    else:
        title = f"Above about {_round(crossing)} samples a client is better off alone than in CLAIR"
    if "clair_own" in curves.excess:
        own = curves.crossing("clair_own")
        title += (
            "; with its own data brought back it never is"
            if own is None
            else f"; with its own data brought back, above {_round(own)}"
        )
    caption = (
        f"Mean over honest clients and {curves.draws} draws. Plain CLAIR levels off where what it "
        "averages away, the part outside the shared directions, is larger than the noise."
    )
    return Chart(figure, title, caption, _words("error on new data", curves, curves.excess))


def preliminary_curve(
    curves: SampleCurves, theme: ThemeName, *, least_squares: float, height: int = 300
) -> Chart:
    """Draw the squared relative error of what clients send, beside the 1 / n law.

    Parameters
    ----------
    least_squares : float
        n times the squared relative error that least squares has for large n.
    """
    figure = new_figure(theme, height)
    samples, error = curves.samples, curves.preliminary
    law = least_squares / samples
    below = law <= 1
    observed = role_style("observed", theme)
    figure.add_scatter(
        x=samples,
        y=error,
        mode="lines+markers",
        name="ridge, as sent",
        line={"color": method_style("local", theme).color, "width": 2},
        marker=marker(method_style("local", theme), theme, 8),
        hovertemplate="%{x} samples: %{y:.3f}<extra>ridge, as sent</extra>",
    )
    figure.add_scatter(
        x=samples[below],
        y=law[below],
        mode="lines",
        name="least squares, 1/n law",
        line={"color": observed.color, "width": 1.5, "dash": "dot"},
        hovertemplate="%{x} samples: %{y:.3f}<extra>σ² tr Σ⁻¹ / n</extra>",
    )
    figure.update_yaxes(type="log", title_text="squared relative error", tickformat="~g", dtick=1)
    _sample_axis(figure, samples)
    steep = float(np.log(error[-1] / error[-3]) / np.log(samples[-1] / samples[-3]))
    title = f"What a client sends improves as n to the power of {steep:.1f} in the end".replace(
        "-", "−"
    )
    caption = (
        "Squared distance of the honest clients' ridge estimates from the truth, relative to its "
        "size. Ridge helps where samples are few and later joins the law of least squares, "
        "σ² tr Σ⁻¹ / n."
    )
    return Chart(figure, title, caption, _words(title, curves, {"local": error}))


def verdict_curve(curves: SampleCurves, theme: ThemeName, height: int = 300) -> Chart:
    """Draw F1 of the verdict against samples, with the size from which the set is identified."""
    figure = new_figure(theme, height)
    style = method_style("clair", theme)
    figure.add_scatter(
        x=curves.samples,
        y=curves.f1,
        customdata=curves.false_alarms,
        mode="lines+markers",
        line={"color": style.color, "width": 2},
        marker={"color": style.color, "size": 8},
        hovertemplate="%{x} samples: F1 %{y:.2f}, %{customdata:.1f} false alarms<extra></extra>",
        showlegend=False,
    )
    start = curves.identified_from
    if start is not None and start > curves.samples[0]:
        _mark(figure, start, f"identified from {start}", curves.samples, theme)
    figure.update_yaxes(title_text="F1 of the verdict", range=[-0.03, 1.06])
    _sample_axis(figure, curves.samples)
    if start is None:
        title = "Even with much data the poisoned clients are not identified"
    elif start == curves.samples[0]:
        title = f"Whom to trust is clear already at {start} samples a client"
    else:
        title = f"From {start} samples a client on, CLAIR identifies whom to trust"
    caption = (
        f"F1 joins the share of poisoned clients found and the share of flagged ones that are "
        f"poisoned; identified means at least {IDENTIFIED:g}. Suspects count as not "
        f"flagged. Mean of {curves.draws} draws."
    )
    return Chart(figure, title, caption, _words("F1", curves, {"clair": curves.f1}))


def gain_curve(curves: SampleCurves, theme: ThemeName, height: int = 300) -> Chart:
    """Draw how much error collaboration saves against estimating alone."""
    figure = new_figure(theme, height)
    saved = {key: curves.excess["local"] - curves.excess[key] for key in curves.gain}
    for key, values in saved.items():
        _line(figure, curves.samples, values, key, theme)
    figure.add_hline(y=0, line={"color": PAPERS[theme].muted, "width": 1})
    figure.update_yaxes(title_text="error saved against alone", tickformat="~g")
    _sample_axis(figure, curves.samples)
    best = list(saved)[-1]
    top = int(np.argmax(saved[best]))
    if saved[best][top] <= 0:
        title = "Collaboration saves nothing at any size here"
    else:
        title = (
            f"Collaboration saves most at {curves.samples[top]} samples a client "
            f"({saved[best][top]:.2f}); at {curves.samples[-1]} it saves {saved[best][-1]:.2f}"
        ).replace("-", "−")
    caption = (
        "Error of estimating alone minus error with CLAIR. With next to no data nobody has much to "
        "share, with plenty nobody needs help: it matters most where data are scarce."
    )
    return Chart(figure, title, caption, _words("error saved", curves, saved))


def client_gains(
    sizes: np.ndarray,
    alone: np.ndarray,
    together: np.ndarray,
    method: str,
    theme: ThemeName,
    height: int = 330,
) -> Chart:
    """Draw every honest client's error alone and together, joined by a line, against its samples.

    Parameters
    ----------
    sizes, alone, together : ndarray of shape (n_benign,)
    method : str
        Whose errors `together` are.
    """
    figure = new_figure(theme, height)
    order = np.argsort(sizes, kind="stable")
    equal = bool(np.ptp(sizes) == 0)
    x = np.arange(1, sizes.size + 1) if equal else sizes[order]
    gaps = np.full(sizes.size, None, dtype=object)
    figure.add_scatter(
        x=np.stack([x, x, gaps], axis=1).ravel().tolist(),
        y=np.stack([alone[order], together[order], gaps], axis=1).ravel().tolist(),
        mode="lines",
        line={"color": PAPERS[theme].grid, "width": 2},
        hoverinfo="skip",
        showlegend=False,
    )
    for key, values in (("local", alone), (method, together)):
        figure.add_scatter(
            x=x,
            y=values[order],
            mode="markers",
            name=METHODS[key].label,
            marker=marker(method_style(key, theme), theme, 10),
            customdata=sizes[order],
            hovertemplate=f"{METHODS[key].label}: %{{y:.3f}}, %{{customdata}} samples"
            "<extra>one honest client</extra>",
        )
    figure.update_yaxes(title_text="error on new data", rangemode="tozero", tickformat="~g")
    if equal:
        figure.update_xaxes(
            title_text="honest client",
            showgrid=False,
            dtick=1 if sizes.size <= 16 else 2,
            range=[0.4, sizes.size + 0.6],
        )
    else:
        _sample_axis(figure, x, "samples of the client")
    better = int(np.sum(together < alone))
    title = f"{better} of {sizes.size} honest clients are better off with {METHODS[method].label}"
    if not equal:
        half = sizes.size // 2
        saved = (alone - together)[order]
        title += (
            f"; the smaller half saves {saved[:half].mean():.2f} on average, "
            f"the larger {saved[half:].mean():.2f}"
        ).replace("-", "−")
    return Chart(
        figure,
        title,
        "One line an honest client: from its error when estimating alone to its error together.",
        title,
    )


def _line(
    figure: Figure, x: Sequence[float] | np.ndarray, y: np.ndarray, key: str, theme: ThemeName
) -> None:
    style = method_style(key, theme)
    name = METHODS[key].label + (" (oracle)" if METHODS[key].oracle else "")
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines+markers",
        name=name,
        line={"color": style.color, "width": 2, "dash": style.dash},
        marker=marker(style, theme, 8),
        hovertemplate=f"%{{x}} samples: %{{y:.3f}}<extra>{name}</extra>",
    )


def _mark(figure: Figure, x: float, text: str, samples: np.ndarray, theme: ThemeName) -> None:
    """Draw a vertical line with its words on the wider side; the x axis is logarithmic."""
    ink = PAPERS[theme].ink
    late = x > np.sqrt(samples[0] * samples[-1])
    figure.add_vline(x=x, line={"color": ink, "width": 1.2, "dash": "dash"})
    figure.add_annotation(
        x=np.log10(x),
        y=0.02,
        yref="paper",
        yanchor="bottom",
        xanchor="right" if late else "left",
        xshift=-5 if late else 5,
        text=text,
        showarrow=False,
        font={"size": 12, "color": ink},
    )


def _sample_axis(figure: Figure, samples: np.ndarray, title: str = "samples of a client") -> None:
    low, high = float(np.min(samples)), float(np.max(samples))
    ticks = [t for t in SHOWN_TICKS if low * 0.9 <= t <= high * 1.1]
    if len(ticks) < 3:
        ticks = sorted({round(float(v)) for v in np.geomspace(low, high, 4)})
    figure.update_xaxes(
        type="log",
        title_text=title,
        tickvals=ticks,
        ticktext=[str(t) for t in ticks],
        range=[np.log10(low * 0.9), np.log10(high * 1.12)],
    )


def _round(samples: float) -> str:
    """Round a size that is read off a curve, as precisely as it deserves."""
    digits = 10 if samples >= 100 else 5 if samples >= 30 else 1
    return str(int(round(samples / digits) * digits))


def _words(what: str, curves: SampleCurves, values: Mapping[str, np.ndarray]) -> str:
    rows = "; ".join(
        f"{METHODS[key].label} "
        + ", ".join(f"{v:.2f} at {n}" for n, v in zip(curves.samples, row, strict=True))
        for key, row in values.items()
    )
    return f"{what} by samples of a client: {rows}"
