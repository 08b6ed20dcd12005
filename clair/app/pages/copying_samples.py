"""Held-out texts as the models of chosen methods wrote them."""

from __future__ import annotations

import html
from collections.abc import Sequence

import streamlit as st

from clair.federated import Sample
from clair.figures.palette import ThemeName, role_style
from clair.methods import METHODS


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
    st.html(_written_table(rows))
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


def _written_table(rows: Sequence[tuple[str, str, str]]) -> str:
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
