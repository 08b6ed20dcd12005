"""What can be done about the blind spots, and what each remedy costs."""

from __future__ import annotations

from collections.abc import Mapping

from clair.figures.base import Chart, marker, new_figure
from clair.figures.palette import PAPERS, ThemeName, role_style, with_alpha
from clair.theory.curves import Remedy


def remedy_chart(
    remedies: Mapping[str, Remedy], names: Mapping[str, str], theme: ThemeName
) -> Chart:
    """Draw what each remedy finds and what it costs, a row each."""
    rows = list(remedies)
    figure = new_figure(theme, 54 * len(rows) + 110)
    kinds = (
        ("poisoned clients found", "contaminated", "found"),
        ("honest clients flagged beside them", "benign", "wrong"),
        ("flagged when nobody is poisoned", "observed", "wrong_clean"),
    )
    for offset, (label, role, field) in zip((0.2, 0.0, -0.2), kinds, strict=True):
        style = role_style(role, theme)
        means = [float(getattr(remedies[key], field).mean()) for key in rows]
        for row, mean in enumerate(means):
            figure.add_shape(
                type="line",
                x0=0,
                x1=mean,
                y0=offset - row,
                y1=offset - row,
                line={"color": with_alpha(style.color, 0.5), "width": 3},
            )
        figure.add_scatter(
            x=means,
            y=[offset - row for row in range(len(rows))],
            mode="markers",
            name=label,
            marker=marker(style, theme, 10),
            hovertemplate="%{x:.0%}<extra>" + label + "</extra>",
        )
    figure.update_xaxes(title_text="share of clients", tickformat=".0%", range=[-0.03, 1.05])
    figure.update_yaxes(
        tickvals=[-i for i in range(len(rows))],
        ticktext=[names[key] for key in rows],
        range=[0.55 - len(rows), 0.55],
        showgrid=False,
        tickfont={"color": PAPERS[theme].ink, "size": 13},
    )
    title = remedy_words(remedies, names)
    trials = len(next(iter(remedies.values())).found)
    caption = (
        f"Means of {trials} drawn problems. A remedy is worth having only if it finds more "
        "poisoned clients (crosses to the right) without flagging honest ones (circles stay left)."
    )
    return Chart(figure, title, caption, f"{title}.")


def remedy_words(remedies: Mapping[str, Remedy], names: Mapping[str, str]) -> str:
    """Say which remedy helps most, and at what cost."""
    plain = float(remedies["none"].found.mean())

    def worth(key: str) -> float:
        entry = remedies[key]
        cost = max(float(entry.wrong.mean()), float(entry.wrong_clean.mean()))
        return float(entry.found.mean()) - cost

    best = max(remedies, key=worth)
    if best == "none" or worth(best) <= worth("none") + 0.02:
        state = "finds everybody already" if plain > 0.99 else f"finds {plain:.0%}"
        return f"CLAIR as it is {state}; nothing tried here does better"
    entry = remedies[best]
    cost = max(float(entry.wrong.mean()), float(entry.wrong_clean.mean()))
    price = f"at {cost:.0%} false alarms" if cost >= 0.005 else "without a false alarm"
    equal = [names[key] for key in remedies if worth(key) >= worth(best) - 1e-9]
    helps = " or ".join(equal)
    return (
        f"{helps[0].upper()}{helps[1:]} raises the share found from {plain:.0%} to "
        f"{float(entry.found.mean()):.0%}, {price}"
    )
