"""How the slides of the board story look: one stylesheet, coloured for a theme.

Sizes are in em of a slide, and a slide's type follows the width of its deck and the height of the
window, so that the same markup serves a projector, a page and a phone.
"""

from __future__ import annotations

from clair.figures.palette import PAPERS, ThemeName, method_style, role_style, with_alpha

_CSS = """
.deck { container-type: inline-size; font-family: Inter, sans-serif; color: var(--ink); }
:where(.deck) * { box-sizing: border-box; }
.deck :is(p, h1, h2) { margin: 0; padding: 0; text-wrap: pretty; }
.slide { font-size: clamp(15px, 1.62cqi, 19px); line-height: 1.5; display: grid; gap: 1.1em 3em;
  grid-template-columns: minmax(17em, 5fr) 9fr; grid-template-rows: auto 1fr auto;
  align-items: start; min-height: 27em; --tall: 12em; border: 1px solid var(--grid);
  border-radius: 6px; padding: 1.5em 1.9em 1.3em; }
.slide > header { grid-column: 1 / -1; }
.slide .topic { font-size: .82em; letter-spacing: .04em; color: var(--muted); }
.slide .headline { font-family: SourceSerifFour, serif; font-weight: 600; font-size: 1.75em;
  line-height: 1.18; letter-spacing: -.01em; text-wrap: balance; }
.words { display: grid; gap: .85em; max-width: 30em; }
.slide .note { grid-column: 1 / -1; align-self: end; font-size: .8em; color: var(--muted);
  max-width: 80em; }
.picture { margin: 0; min-width: 0; align-self: stretch; display: flex; flex-direction: column;
  justify-content: center; gap: 1.2em; }
.deck img { display: block; max-width: none; }
.five { display: grid; grid-template-columns: repeat(5, 1fr); gap: 0 clamp(4px, 1cqi, 1em);
  position: relative; }
.five > div { display: flex; flex-direction: column; align-items: center; text-align: center;
  min-width: 0; }
.house { width: clamp(2.4em, 7cqi, 4.6em); height: auto; }
.name { font-size: .85em; margin-top: .35em; }
.state { font-size: .82em; min-height: 1.5em; color: var(--muted); }
.state.bad { color: var(--bad); font-weight: 600; }
.state.doubt { color: var(--doubt); font-weight: 600; }
.state.good { color: var(--good); font-weight: 600; }
.wide-only { display: inline; }
.column { height: var(--tall); width: 100%; position: relative; margin-bottom: .6em;
  border-bottom: 1px solid var(--muted); }
.column .fill { position: absolute; bottom: 0; left: 18%; right: 18%; }
.column .value { position: absolute; left: 50%; transform: translateX(-50%); z-index: 1;
  font-weight: 600; line-height: 1.3; background: var(--paper); padding: 0 .3em;
  margin-bottom: .1em; white-space: nowrap; font-variant-numeric: tabular-nums; }
.column .empty { position: absolute; bottom: .5em; left: 0; right: 0; font-size: .8em;
  color: var(--muted); line-height: 1.3; }
.rule { position: absolute; left: 0; right: 0; border-top: 2px dashed var(--ink); height: 0; }
.rule span { position: absolute; transform: translateX(-50%); bottom: .25em; font-size: .8em;
  white-space: nowrap; }
.links { display: block; width: 100%; height: 3.6em; margin: .5em 0 0; }
.hub { border: 2px solid var(--ink); border-radius: 6px; padding: .55em 1.2em; margin: 0 auto;
  text-align: center; background: var(--surface); font-weight: 600; }
.hub small { display: block; font-weight: 400; font-size: .82em; color: var(--muted); }
.bars { display: grid; grid-template-columns: minmax(6em, auto) 1fr; gap: .55em 1em;
  align-items: center; }
.bars .label { font-size: .92em; line-height: 1.25; text-align: right; }
.bars .label small { display: block; color: var(--muted); font-size: .85em; }
.bars .track { position: relative; margin-right: 4em; height: 1.9em;
  border-left: 1px solid var(--muted); }
.bars .fill { position: absolute; inset: 0 auto 0 0; }
.bars .value { position: absolute; top: 50%; transform: translateY(-50%); padding-left: .45em;
  font-weight: 600; font-variant-numeric: tabular-nums; white-space: nowrap; z-index: 1; }
.bars .value span { background: var(--paper); }
.bars .mark { position: absolute; top: -.32em; bottom: -.32em; border-left: 2px dashed var(--ink); }
.bars .gap { grid-column: 1 / -1; font-size: .85em; color: var(--muted); padding-top: .5em; }
.key { display: flex; flex-wrap: wrap; gap: .3em 1.6em; font-size: .85em; color: var(--muted);
  justify-content: center; }
.key i { display: inline-block; width: 1em; height: 1em; margin-right: .45em;
  vertical-align: -.12em; }
.shared { background: var(--clair); }
.outside { background: repeating-linear-gradient(45deg, var(--bad) 0 .22em, var(--bad-pale) 0 .5em);
  outline: 1px solid var(--bad); outline-offset: -1px; }
.local { background: var(--local); }
.base { background: transparent; outline: 2px solid var(--muted); outline-offset: -2px; }
.fedavg { background: var(--fedavg); }
.honest { background: repeating-linear-gradient(45deg, var(--fedavg) 0 .2em, transparent 0 .5em);
  outline: 2px solid var(--fedavg); outline-offset: -2px; }
.robust { background: var(--robust); }
.clair { background: var(--clair); }
.benign { background: var(--good); }
.suspect { background: repeating-linear-gradient(-45deg, var(--doubt) 0 .22em, transparent 0 .5em);
  outline: 2px solid var(--doubt); outline-offset: -2px; }
.three { grid-column: 1 / -1; display: grid; grid-template-columns: repeat(3, 1fr); gap: 2.4em;
  align-self: center; }
.three > div { border-top: 2px solid var(--ink); padding-top: .9em; display: grid; gap: .7em;
  align-content: start; }
.three .head { font-family: SourceSerifFour, serif; font-size: 1.3em; line-height: 1.2;
  font-weight: 600; }
.arrows { width: 100%; max-width: 15em; height: auto; }
.facts { grid-column: 1 / -1; display: grid; gap: 1.5em; align-self: center; }
.facts > div { display: grid; grid-template-columns: 8.2em 1fr; gap: 1.4em; align-items: baseline;
  border-top: 1px solid var(--grid); padding-top: 1em; }
.facts b { font-family: SourceSerifFour, serif; font-size: 2em; font-weight: 600; line-height: 1.1;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
.facts p { max-width: 40em; font-size: 1.1em; }
@container (max-width: 760px) {
  .slide { grid-template-columns: 1fr; grid-template-rows: none; min-height: 0; gap: 1em;
    border: 0; padding: 0; }
  .slide .headline { font-size: 1.5em; }
  .slide .picture { order: 1; }
  .slide .words { order: 2; }
  .slide .note { order: 3; }
  .wide-only { display: none; }
  .three { grid-template-columns: 1fr; gap: 1.3em; }
  .bars { grid-template-columns: minmax(5em, 8.5em) 1fr; gap: .55em .6em; }
  .three .arrows { max-width: 9em; }
  .facts > div { grid-template-columns: 1fr; gap: .3em; }
  .facts b { font-size: 1.5em; }
  .slide { --tall: 10em; }
}
"""

# On stage the slide fills the window except for the row of buttons, and its type follows the
# smaller side of the window, so that nothing has to be scrolled on a projector.
_STAGE = """
.slide { font-size: clamp(15px, min(1.5cqi, 2.55vh), 44px); min-height: calc(100dvh - 6.5rem);
  --tall: 15em; border: 0; padding: 0; }
.slide .headline { font-size: 2.1em; }
@container (min-width: 761px) {
  .slide[data-slide=alone] { --tall: 13em; }
}
@container (max-width: 760px) {
  .slide { font-size: 16px; min-height: 0; --tall: 10em; }
  .slide .headline { font-size: 1.5em; }
 }
"""


def colors(theme: ThemeName) -> dict[str, str]:
    """List the colours of the slides by what they stand for."""
    paper = PAPERS[theme]
    bad = role_style("contaminated", theme).color
    return {
        "ink": paper.ink,
        "muted": paper.muted,
        "grid": paper.grid,
        "paper": paper.background,
        "surface": paper.surface,
        "good": role_style("benign", theme).color,
        "bad": bad,
        "doubt": role_style("suspect", theme).color,
        "bad-pale": with_alpha(bad, 0.18),
        "base": method_style("base", theme).color,
        "local": method_style("local", theme).color,
        "fedavg": method_style("fedavg", theme).color,
        "robust": method_style("median", theme).color,
        "clair": method_style("clair_eb", theme).color,
    }


def stylesheet(theme: ThemeName, *, stage: bool = False) -> str:
    """Write the CSS of the slides.

    Parameters
    ----------
    theme : {"light", "dark"}
    stage : bool
        Whether a slide fills the window.
    """
    variables = "".join(f"--{name}:{value};" for name, value in colors(theme).items())
    return f"<style>.deck {{{variables}}}{_CSS}{_STAGE if stage else ''}</style>"
