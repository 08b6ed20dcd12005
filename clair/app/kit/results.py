"""Panels that show the outcome of any trained task: verdict, comparison, samples, time."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from clair.app.components.chart import Drawn, charts_of, draw
from clair.app.kit.glossary import marked
from clair.app.kit.plain import plain
from clair.app.kit.presenter import presenting
from clair.federated import Sample
from clair.federated.outcome import Outcome
from clair.figures.base import Chart
from clair.figures.comparison import Measure, method_comparison, which_to_use
from clair.figures.kinds import evidence_kinds
from clair.figures.palette import ThemeName, role_style
from clair.figures.training import loss_curves
from clair.figures.verdicts import task_verdicts
from clair.method.detection import FLAGGED, KEPT, NOT_COMPARABLE, SUSPECT
from clair.method.evidence import Evidence
from clair.method.kinds import client_margins, deciding, ranked
from clair.method.metrics import DetectionScores
from clair.methods import METHODS
from clair.report.tasks import Finished, own_tests

STAGE_WORDS: dict[str, str] = {
    "prepare": "preparing",
    "train": "training all clients",
    "finetune": "fine-tuning",
    "clair": "CLAIR",
    "evaluate": "evaluating every method",
}


def show_chart(
    chart: Chart | Drawn, key: str, *, on_click: Callable[[Any], None] | None = None
) -> None:
    """Show the takeaway, the chart, and how to read it; see `draw` for the arguments."""
    st.markdown(f"**{plain(chart.title)}**")
    draw(chart, key, on_click=on_click)
    st.caption(marked(chart.caption), unsafe_allow_html=True)


def found_metric(place: DeltaGenerator, scores: DetectionScores) -> None:
    """Show how many poisoned clients were found, and how many honest ones flagged or suspect."""
    below = f"{scores.false_alarms} false alarms"
    if scores.suspects:  # short: the place is narrow
        below = f"{scores.false_alarms} false, {scores.suspects} suspect"
    place.metric(
        "Poisoned found",
        f"{scores.n_correct} of {scores.n_contaminated}",
        below,
        delta_color="off",
        delta_arrow="off",
        help="A false alarm is an honest client that was flagged. A suspect is refined, but has "
        "little or no weight in what the others learn. Clients that send nothing but noise are "
        "suspects, up to ten times a typical residual, and do not count as found.",
    )


def verdict_panel(kind: str, outcome: Finished, theme: ThemeName, *, reveal: bool) -> None:
    """Draw suspicion and contamination norm by client, all kinds of evidence and the reasons."""
    scores, norms = charts_of(task_verdicts, outcome, theme, reveal=reveal)
    truth = outcome.contaminated if reveal else None
    kinds = evidence_kinds(outcome.evidence, theme, degrees=outcome.degrees, contaminated=truth)
    left, right = st.columns(2, gap="large")
    with left:
        show_chart(scores, f"{kind}_scores")
    with right:
        show_chart(norms, f"{kind}_norms")
        for note in outcome.notes:
            st.caption(f"Note of the solver: {note}")
    if presenting():
        return
    left, right = st.columns([3, 2], gap="large")
    with left:
        show_chart(kinds, f"{kind}_kinds")
    with right:
        reasons_panel(outcome.degrees, outcome.reasons, outcome.scores, outcome.evidence)


def reasons_panel(
    degrees: Sequence[str],
    reasons: Sequence[str],
    scores: np.ndarray,
    evidence: Sequence[Evidence],
) -> None:
    """Explain why clients are flagged or suspect, the most suspicious first.

    Parameters
    ----------
    degrees, reasons : sequence of str
        Of every client.
    scores : ndarray of shape (n_clients,)
        The deciding one.
    evidence : sequence of Evidence
        All kinds, the published rule last where it does not decide.
    """
    margins = client_margins(deciding(evidence))
    for degree, heading in _DEGREE_WORDS.items():
        clients = ranked(degrees, scores, degree)
        if not clients:
            continue
        lines = [f"**{heading}**"]
        for k in clients[:_LISTED]:
            line = "" if margins[k] is None else f" ({margins[k]:.2f}× the line)"
            lines.append(f"* client {k + 1}{line}: {reasons[k]}")
        if len(clients) > _LISTED:
            lines.append(f"* and {len(clients) - _LISTED} more")
        st.markdown(marked("\n".join(lines)), unsafe_allow_html=True)
    if all(degree == KEPT for degree in degrees):
        st.markdown("Nobody is flagged or suspect: everybody is kept.")


_LISTED = 8  # clients of one degree are listed, and the others only counted
_DEGREE_WORDS = {
    FLAGGED: "Flagged: keep their own update, and nobody learns from them",
    SUSPECT: "Suspect: refined, with little or no weight in what the others learn",
    NOT_COMPARABLE: "Not comparable: too few others changed what they changed",
}


def loss_panel(
    kind: str,
    losses: np.ndarray,
    theme: ThemeName,
    *,
    total_steps: int,
    steps: np.ndarray | None = None,
    contaminated: np.ndarray | None = None,
) -> None:
    """Draw the loss curves of the clients, the same way while training and afterwards."""
    # curves of a running job are new every time, so they are not kept
    make = charts_of if steps is None else _now
    chart = make(
        loss_curves,
        losses,
        theme,
        total_steps=total_steps,
        steps=steps,
        contaminated=contaminated,
    )
    show_chart(chart, f"{kind}_losses")


def _now(make: Callable[..., Chart], *args: Any, **settings: Any) -> Chart:
    return make(*args, **settings)


def comparison_panel(
    kind: str,
    outcome: Finished,
    theme: ThemeName,
    measures: Mapping[str, Measure],
    fresh: str = "",
) -> None:
    """Draw the accuracy by method with a dot for every honest client.

    Parameters
    ----------
    kind : str
        The task's kind.
    outcome : Finished
        The run; its `accuracy` maps methods to arrays over the honest clients, one a measure.
    theme : {"light", "dark"}
        Which paper.
    measures : mapping of str to Measure
        Name of a measure in `accuracy` to what it is called; the first is shown first.
    fresh : str
        What was seen on runs that no setting was chosen on.
    """
    chosen = st.segmented_control(
        "Measured by",
        list(measures),
        format_func=lambda key: measures[key].title,
        default=next(iter(measures)),
        required=True,
        label_visibility="collapsed" if presenting() else "visible",
        key=f"{kind}_measure",
    )
    chart = charts_of(_by_method, outcome, chosen, measures[chosen], theme)
    show_chart(chart, f"{kind}_comparison")
    if presenting():
        return
    values = {key: getattr(value, chosen) for key, value in outcome.accuracy.items()}
    st.markdown(f"{which_to_use(values, measures[chosen], outcome.sharing)} {fresh}")
    for tests in own_tests(outcome.sharing):
        with st.expander(tests.title):
            st.dataframe(
                [dict(zip(tests.heads, row, strict=True)) for row in tests.rows],
                hide_index=True,
                width="stretch",
                column_config={
                    head: st.column_config.NumberColumn(format="%.3f") for head in tests.heads[1:]
                },
                key=f"{kind}_own_tests",
            )
            st.caption(tests.caption)


def _by_method(outcome: Finished, chosen: str, measure: Measure, theme: ThemeName) -> Chart:
    values = {key: getattr(value, chosen) for key, value in outcome.accuracy.items()}
    return method_comparison(values, measure, theme)


def samples_panel(kind: str, samples: Sequence[Sample], theme: ThemeName) -> None:
    """Show held-out texts as the chosen methods wrote them, wrong characters underlined."""
    samples = sorted(samples, key=lambda sample: -len(set(sample.outputs.values())))
    methods = [key for key in METHODS if key in samples[0].outputs]
    usual = [key for key in ("local", "fedavg", "krum", "clair_eb") if key in methods]
    left, right = st.columns([1, 2], gap="large")
    with left:
        chosen_text = st.selectbox(
            "Text",
            range(len(samples)),
            format_func=lambda i: f"client {samples[i].client + 1}: {samples[i].prompt}",
            key=f"{kind}_sample",
        )
    with right:
        chosen = st.multiselect(
            "Methods",
            methods,
            default=usual,
            format_func=lambda key: METHODS[key].label,
            key=f"{kind}_sample_methods",
        )
    sample = samples[chosen_text]
    rows = [
        ("The text", html.escape(sample.prompt), ""),
        ("The right copy, in this client's style", html.escape(sample.expected), ""),
    ]
    for key in methods:
        if key in chosen:
            written, wrong = mark_wrong(sample.outputs[key], sample.expected, theme)
            name = METHODS[key].label + (" (oracle)" if METHODS[key].oracle else "")
            rows.append((name, written, f"{wrong} wrong" if wrong else "all right"))
    st.html(_table(rows))
    st.caption(
        "Wrong characters are underlined. Texts on which the methods differ most come first, "
        "whoever is right."
    )


def mark_wrong(written: str, expected: str, theme: ThemeName) -> tuple[str, int]:
    """Underline what differs from the right copy, character by character.

    Returns
    -------
    html : str
        Escaped text; a missing character or a wrong space is shown as an underlined open box.
    n_wrong : int
    """
    color = role_style("contaminated", theme).color
    style = f"color:{color};font-weight:700;text-decoration:underline;text-underline-offset:3px"
    parts, wrong = [], 0
    for i in range(max(len(written), len(expected))):
        got = written[i] if i < len(written) else ""
        if i < len(expected) and got == expected[i]:
            parts.append(html.escape(got))
        else:
            wrong += 1
            shown = html.escape(got) if got.strip() else "␣"
            parts.append(f'<span style="{style}">{shown}</span>')
    return "".join(parts), wrong


def _table(rows: Sequence[tuple[str, str, str]]) -> str:
    line = "border-bottom:1px solid color-mix(in srgb, currentColor 15%, transparent)"
    cell = f"padding:.4rem 1rem .4rem 0;{line}"
    mono = "font-family:ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;font-size:1.05rem"
    body = "".join(
        f'<tr><th scope="row" style="{cell};text-align:left;font-weight:500">{name}</th>'
        f'<td style="{cell};{mono};white-space:pre-wrap;overflow-wrap:anywhere">{text}</td>'
        f'<td style="{cell};text-align:right;white-space:nowrap">{note}</td></tr>'
        for name, text, note in rows
    )
    return f'<table style="width:100%;border-collapse:collapse">{body}</table>'


def time_panel(outcome: Outcome) -> None:
    """Show the seconds by stage, and the device."""
    total = sum(outcome.seconds.values())
    parts = [
        f"{STAGE_WORDS.get(stage, stage)} {seconds:.1f} s"
        for stage, seconds in outcome.seconds.items()
        if seconds >= 0.05
    ]
    share = outcome.seconds.get("clair", 0.0) / total if total else 0.0
    st.markdown(
        f"**{total:.1f} s** in all on {outcome.device}: {', '.join(parts)}. CLAIR itself took "
        f"{share:.0%} of it."
    )
