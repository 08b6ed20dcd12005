"""Step by step through the solver: a player that runs wholly in the browser.

The component receives every iteration once. Playing, stepping and sliding draw from that and send
nothing back, so a lecture hall's network has no part in the animation.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from clair.app.kit.glossary import marked
from clair.app.kit.presenter import presenting
from clair.figures.steps import Steps

# What each number means, for the convex solver and for IRLS.
_NUMBERS: tuple[tuple[str, str, str], ...] = (
    ("positive", "directions left in L", "directions fitted"),
    ("off", "clients with nothing in S", "clients at distance zero"),
    ("objective", "objective: what is made small", "total distance: what is made small"),
    ("primal", "primal residual: is L + S = M?", "change of the total"),
    ("dual", "dual residual: has it stopped moving?", "–"),
    ("penalty", "penalty on L + S ≠ M", "–"),
)
_PANELS: tuple[tuple[str, tuple[str, str], tuple[str, str]], ...] = (
    (
        "spectrum",
        (
            "L: directions shrink",
            "What L has of each. Outlines: all received (M).",
        ),
        ("Weighted updates, by direction", "Only the directions kept. Outlines: all received."),
    ),
    (
        "tiles",
        ("S: tiles fill or stay empty", "A tile a client, its ink the size of its part of S."),
        ("Distance of each client", "A tile a client, its ink the distance from the subspace."),
    ),
    (
        "norms",
        ("Contamination norms grow", "The size of every client's part of S so far."),
        ("Distances so far", "How far every client is from the subspace fitted."),
    ),
    (
        "residuals",
        ("Residuals fall", "Solid: is L + S = M? Dotted: has it stopped moving?"),
        ("Change of the total distance", "Relative to the iteration before."),
    ),
)
# Numbers that a lecturer can do without.
_BOOKKEEPING = ("primal", "dual", "penalty", "residuals")


def _icon(name: str, path: str) -> str:
    return f'<svg class="{name}" viewBox="0 0 16 16" aria-hidden="true"><path d="{path}"/></svg>'


def _either(tag: str, convex: str, irls: str) -> str:
    return f'<{tag} data-convex="{convex}" data-irls="{irls}"></{tag}>'


def _kind(name: str) -> str:
    return " bookkeeping" if name in _BOOKKEEPING else ""


def _html() -> str:
    numbers = "".join(
        f'<div class="{key}{_kind(key)}">{_either("dt", convex, irls)}'
        f'<dd data-is="{key}"></dd></div>'
        for key, convex, irls in _NUMBERS
    )
    panels = "".join(
        f'<figure class="{_kind(name)}"><figcaption>{_either("b", convex[0], irls[0])}'
        f"{_either('span', convex[1], irls[1])}</figcaption>"
        f'<div class="room"><svg data-is="{name}" role="img"></svg></div>'
        "</figure>"
        for name, convex, irls in _PANELS
    )
    return f"""
<section class="stepper still" aria-label="The solver step by step">
  <div class="bar">
    <div class="buttons">
      <button type="button" data-is="back" aria-label="Step back" title="Step back (←)">
        {_icon("glyph", "M11 3 5 8l6 5z")}</button>
      <button type="button" data-is="play" title="Play or pause (space)">
        {_icon("glyph go", "M4 2.5 13 8l-9 5.5z")}{_icon("glyph halt", "M4 3h3v10H4zM9 3h3v10H9z")}
        <span data-is="verb"></span></button>
      <button type="button" data-is="forward" aria-label="Step forward" title="Step forward (→)">
        {_icon("glyph", "M5 3l6 5-6 5z")}</button>
    </div>
    <input type="range" data-is="slider" min="0" step="1" aria-label="Iteration">
    <output data-is="where"></output>
    <label class="pace">Speed <select data-is="pace">
      <option value="slow">slow</option><option value="normal">normal</option>
      <option value="fast">fast</option></select></label>
  </div>
  <p data-is="words" role="status"></p>
  <dl>{numbers}</dl>
  <p class="legend">
    <span><i class="dot"></i>honest client</span><span><i class="cross">×</i>poisoned client</span>
    <span><i>▼</i>flagged in the end</span>
  </p>
  <div class="panels">{panels}</div>
</section>
"""


_CSS = """
.stepper { container-type: inline-size; color: var(--st-text-color); font-size: 0.95rem; }
.bar { display: flex; flex-wrap: wrap; align-items: center; gap: 0.6rem 1rem; }
.buttons { display: flex; gap: 0.35rem; }
button, select {
  font: inherit; font-size: 0.9rem; color: var(--st-text-color); cursor: pointer;
  background: transparent; border: 1px solid var(--st-border-color);
  border-radius: var(--st-button-radius); min-height: 2.5rem; min-width: 2.5rem;
}
button { display: inline-flex; align-items: center; justify-content: center; gap: 0.45rem; }
[data-is=play] { min-width: 6.6rem; border-color: currentColor; font-weight: 600; }
button:hover:not(:disabled) {
  color: var(--st-primary-color); border-color: var(--st-primary-color);
}
button:disabled { cursor: default; opacity: 0.4; }
select { padding: 0 0.5rem; background: var(--st-background-color); }
button:focus-visible, select:focus-visible, input:focus-visible {
  outline: 2px solid var(--st-primary-color); outline-offset: 2px;
}
.glyph { width: 0.95rem; height: 0.95rem; fill: currentColor; }
.halt, .on .go { display: none; }
.on .halt { display: inline; }
input[type=range] {
  --track: linear-gradient(to right, var(--st-primary-color) var(--done), var(--grid) var(--done));
  flex: 1 1 14rem; min-width: 10rem; height: 2rem; margin: 0; cursor: pointer;
  appearance: none; background: var(--track) center / 100% 4px no-repeat; border-radius: 4px;
}
input::-webkit-slider-thumb {
  appearance: none; width: 1.1rem; height: 1.1rem; border-radius: 50%; border: 0;
  background: var(--st-primary-color);
}
input::-moz-range-thumb {
  width: 1.1rem; height: 1.1rem; border-radius: 50%; border: 0;
  background: var(--st-primary-color);
}
output { min-width: 9.5rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.pace { display: inline-flex; align-items: center; gap: 0.5rem; }
[data-is=words] {
  margin: 0.9rem 0; padding: 0.7rem 1rem; min-height: 3em; line-height: 1.5;
  background: var(--st-secondary-background-color); border-left: 3px solid var(--clair);
  border-radius: 0 var(--st-base-radius) var(--st-base-radius) 0;
}
dl { display: grid; grid-template-columns: repeat(6, 1fr); gap: 0.8rem 1.2rem; margin: 0; }
dl div { display: flex; flex-direction: column-reverse; justify-content: flex-end; }
dt { font-size: 0.82rem; line-height: 1.3; opacity: 0.85; }
dd { margin: 0; font-size: 1.3rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.irls .dual, .irls .penalty { display: none; }
.legend { display: flex; flex-wrap: wrap; gap: 0.2rem 1.3rem; margin: 1.2rem 0 0.4rem; }
.legend span { display: inline-flex; align-items: center; gap: 0.45rem; font-size: 0.87rem; }
.legend i { font-style: normal; }
.dot { width: 0.6rem; height: 0.6rem; border-radius: 50%; background: var(--benign); }
.cross { color: var(--contaminated); font-weight: 700; font-size: 1.15rem; line-height: 1; }
.panels { display: grid; grid-template-columns: 1fr 1fr; gap: 1.4rem 2.2rem; }
figure { margin: 0; min-width: 0; }
figcaption { display: flex; flex-direction: column; margin-bottom: 0.5rem; }
figcaption span { font-size: 0.87rem; opacity: 0.85; }
svg[data-is] { display: block; overflow: visible; }
.room { min-width: 0; overflow: hidden; }
.tick { font-size: 12px; fill: var(--st-text-color); opacity: 0.8; }
.strong { font-weight: 600; opacity: 1; }
.grid { stroke: var(--grid); }
.axis { stroke: var(--st-text-color); opacity: 0.6; }
.kept { fill: var(--clair); opacity: 0.13; }
.ghost { fill: none; stroke: var(--st-text-color); opacity: 0.4; }
.value { fill: var(--clair); }
.frame { fill: none; stroke: var(--st-text-color); stroke-opacity: 0.45; }
.off { stroke-dasharray: 2 3; }
.empty { stroke: var(--st-text-color); stroke-opacity: 0.55; stroke-dasharray: 2 3; }
.flag { fill: var(--st-text-color); }
.line { fill: none; }
.now { stroke: var(--st-text-color); opacity: 0.3; }
.goal { stroke: var(--st-text-color); stroke-dasharray: 6 4; }
.value, .window, .now, .head { transition: transform var(--tween, 0ms) linear; }
.ink, .empty, .flag { transition: opacity var(--tween, 0ms) linear; }
.still * { transition: none !important; }
@media (prefers-reduced-motion: reduce) { .stepper * { transition: none !important; } }
/* on stage what the iterations do, all in sight; their bookkeeping is for readers */
@container (min-width: 1100px) {
  .stage .panels { grid-template-columns: repeat(3, 1fr); }
  .stage .bookkeeping { display: none; }
  .stage [data-is=words] { margin: 0.6rem 0; padding-block: 0.4rem; }
  .stage .legend { margin: 0.6rem 0 0.3rem; }
  .stage dl { grid-template-columns: repeat(3, 1fr); column-gap: 2.2rem; }
  .stage dl div { flex-direction: row-reverse; align-items: baseline; gap: 0.6rem; }
  .stage dt { font-size: 0.95rem; }
}
@container (max-width: 640px) {
  .panels { grid-template-columns: 1fr; }
  dl { grid-template-columns: repeat(2, 1fr); }
  input[type=range] { flex-basis: 100%; order: -1; }
  output { min-width: 0; }
}
"""

_STEPPER = st.components.v2.component(
    "clair_stepper",
    html=_html(),
    css=_CSS,
    js=Path(__file__).with_suffix(".js").read_text(encoding="utf-8"),
)


def stepper(steps: Steps, key: str) -> None:
    """Show the takeaway, the player, and how to read it.

    Parameters
    ----------
    steps : Steps
        From `clair.figures.steps.solver_steps`.
    key : str
    """
    st.markdown(f"**{steps.title}**")
    data = steps.data | {"stage": presenting()}
    _STEPPER(key=key, data=data, width="stretch", height="content")
    if not presenting():
        st.caption(marked(steps.caption), unsafe_allow_html=True)
