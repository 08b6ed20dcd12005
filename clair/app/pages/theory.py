"""State of the Theory page: sections, controls, presets, and the problem they describe.

Keys differ from the lab's, because a click in a phase diagram sets the lab's state from here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from clair.app.kit.controls import show_all
from clair.app.kit.exports import Export, link_to, screen_of
from clair.app.kit.layout import settings, toolbar
from clair.app.kit.presenter import presenting, stage_part
from clair.app.kit.state import Control, Preset, accept_ids_from_url, read
from clair.app.pages import lab
from clair.figures.base import Chart
from clair.report.document import Screen
from clair.report.study import Study, study_json
from clair.report.theory import study_report
from clair.simulation.matrix_model import ProblemSpec
from clair.simulation.sweeps.grid import AXIS_TITLES
from clair.theory.statements import of_section

SECTION = Control(
    "section",
    "Section",
    "segment",
    "window",
    "What is looked at.",
    options=(
        ("window", "The window for λ"),
        ("certificate", "Certificate"),
        ("phase", "Phase diagrams"),
        ("stable", "Stable recovery"),
        ("sets", "The right set"),
        ("gain", "Gain"),
        ("blind", "Blind spots"),
    ),
)

_LAB = {control.key: control for control in lab.SCENARIO}


def _own(key: str, **changes: Any) -> Control:
    return replace(_LAB[key], key=f"th_{key}", **changes)


#: Field of a problem that may be an axis of a phase diagram, to the lab's key.
SWEPT: dict[str, str] = {
    "poisoned_fraction": "poisoned",
    "rank": "rank",
    "n_clients": "clients",
    "noise": "noise",
    "off_subspace": "off_subspace",
    "attack_scale": "scale",
}
#: Lab settings this page has too, under its own keys.
SHARED: tuple[str, ...] = (
    "clients",
    "poisoned",
    "attack",
    "scale",
    "rank",
    "heterogeneity",
    "off_subspace",
    "noise",
    "d_out",
    "d_in",
    "seed",
)

UNEVEN = Control(
    "th_uneven",
    "Unevenness of the clients",
    "float",
    0.0,
    "Spread of the clients' sizes (standard deviation of their logarithm). Uneven clients raise "
    "the incoherence μ: a few of them carry much of a direction.",
    low=0.0,
    high=1.0,
    step=0.1,
    format="%.1f",
)
EXACT_NOISE = Control(
    "th_exact_noise",
    "Noise",
    "float",
    0.0,
    "Exact recovery is a statement about clean updates; a little noise shows how it ends.",
    low=0.0,
    high=0.05,
    step=0.005,
    format="%.3f",
)
LAM_TIMES = Control(
    "th_lam",
    "λ, relative to the middle of the window",
    "float",
    1.0,
    "1 is the middle (on a logarithmic scale) of the window estimated from the two norms.",
    low=0.4,
    high=2.5,
    step=0.05,
    format="%.2f×",
)
SCENARIO: tuple[Control, ...] = (*(_own(key) for key in SHARED), UNEVEN, EXACT_NOISE)

_AXES = tuple((name, title) for name, (title, _) in AXIS_TITLES.items())
PHASE: tuple[Control, ...] = (
    Control(
        "th_x",
        "Across",
        "choice",
        "noise",
        "Setting along the horizontal axis; its slider is then ignored.",
        options=_AXES,
    ),
    Control(
        "th_y",
        "Upwards",
        "choice",
        "attack_scale",
        "Setting along the vertical axis; its slider is then ignored.",
        options=_AXES,
    ),
    Control(
        "th_method",
        "Method",
        "choice",
        "residual",
        "CLAIR as it runs by default, or the convex program alone: flags by contamination norms, "
        "no polish. Both are told the true rank.",
        options=(("residual", "CLAIR (detector, polished)"), ("norms", "Convex program alone")),
    ),
    Control(
        "th_grid",
        "Resolution",
        "segment",
        "fine",
        "Coarse: about 10 × 10 cells of 5 problems. Fine: up to 25 × 20 cells of 10.",
        options=(("coarse", "Coarse"), ("fine", "Fine")),
    ),
    Control(
        "th_measure",
        "Success means",
        "choice",
        "exact",
        "What a trial must achieve to count.",
        options=(
            ("exact", "exactly the poisoned clients flagged"),
            ("error", "subspace error at most the level"),
            ("f1", "F1 at least the level"),
        ),
    ),
    Control(
        "th_level",
        "Level",
        "float",
        0.1,
        "Largest subspace error (sine of the largest angle), or least F1, that counts.",
        low=0.02,
        high=1.0,
        step=0.02,
        format="%.2f",
    ),
)
SET_AXIS = Control(
    "th_set_axis",
    "Along",
    "segment",
    "noise",
    "Setting that is varied; the others stay as they are.",
    options=(("noise", "Noise"), ("attack_scale", "Attack strength")),
)
GAIN_AXIS = Control(
    "th_gain_axis",
    "Along",
    "segment",
    "off_subspace",
    "Setting that is varied; the others stay as they are.",
    options=(
        ("off_subspace", "Off-subspace heterogeneity"),
        ("noise", "Noise"),
        ("n_clients", "Clients"),
    ),
)
BLIND = Control(
    "th_blind",
    "Blind spot",
    "segment",
    "sign_flip",
    "Each sets the attack, and where needed the strength, fraction or noise, that shows it.",
    options=(
        ("sign_flip", "Sign flip"),
        ("scaled", "Scaled copies"),
        ("random", "Dense noise"),
        ("noise", "Noise above signal"),
    ),
)
CONTROLS: tuple[Control, ...] = (
    SECTION,
    *SCENARIO,
    LAM_TIMES,
    *PHASE,
    SET_AXIS,
    GAIN_AXIS,
    BLIND,
)

_ALWAYS = ("clients", "poisoned", "attack", "scale", "rank", "heterogeneity")
_EXACT = (*_ALWAYS, "uneven", "exact_noise")
_NOISY = (*_ALWAYS, "off_subspace", "noise")
_SIZE = ("d_out", "d_in", "seed")
#: Settings each section uses, beside size and seed.
USED: dict[str, tuple[str, ...]] = {
    "window": _EXACT,
    "certificate": _EXACT,
    "phase": _NOISY,
    "stable": (*_ALWAYS, "off_subspace"),
    "sets": _NOISY,
    "gain": _NOISY,
    "blind": ("clients", "poisoned", "rank", "heterogeneity", "noise"),
}

PRESETS: tuple[Preset, ...] = (
    Preset("opening", "The window, open", "squares inside the shaded window and nowhere else."),
    Preset(
        "uneven",
        "Uneven clients",
        "the lower end passing λ₀: the value that needs no knowledge fails, the window does not.",
        {"th_uneven": 0.5},
    ),
    Preset(
        "half",
        "Attackers who agree, near one half",
        "a window of almost no width. At one half it closes.",
        {"th_attack": "colluding", "th_poisoned": 0.45},
    ),
    Preset(
        "proof",
        "A proof",
        "everybody outside S below the dashed line, and ‖W‖₂ below one.",
        {"section": "certificate"},
    ),
    Preset(
        "no_proof",
        "A proof that fails",
        "honest clients pushed to the limit by too small a λ.",
        {"section": "certificate", "th_lam": 0.6},
    ),
    Preset(
        "wrong_proof",
        "A proof of the wrong thing",
        "a certificate that holds, although sign flippers are missed.",
        {"section": "certificate", "th_attack": "sign_flip", "th_lam": 1.3},
    ),
    Preset(
        "angle",
        "Where the subspace is lost",
        "another boundary: the angle, not the set.",
        {"section": "phase", "th_measure": "error"},
    ),
    Preset(
        "pays",
        "When collaboration costs",
        "the break-even line, and which side you are on.",
        {"section": "gain", "th_off_subspace": 1.0},
    ),
    Preset(
        "worlds",
        "Which side are you on?",
        "below, one set of updates: CLAIR is right if what scatters is error, training alone if it "
        "is real, and only two halves per client can tell.",
        {"section": "gain", "th_off_subspace": 0.5},
    ),
    Preset(
        "dense",
        "Poison like noise",
        "attackers who look like honest clients with few data: suspect, nobody learns from them.",
        {"section": "blind", "th_blind": "random"},
    ),
)


def sidebar(section: str, place: DeltaGenerator | None = None) -> None:
    """Draw the settings of the problem: those the section uses, the others folded away.

    On stage they are at `place`.
    """
    accept_ids_from_url(CONTROLS)
    used = USED[section]
    if section == "phase":
        chosen = read(PHASE)
        axes = {SWEPT[chosen["th_x"]], SWEPT[chosen["th_y"]]}
        used = tuple(key for key in used if key not in axes)
    shown = [c for c in SCENARIO if c.key.removeprefix("th_") in used]
    sized = [c for c in SCENARIO if c.key.removeprefix("th_") in _SIZE]
    rest = [c for c in SCENARIO if c not in shown and c not in sized]
    with settings(place):
        st.markdown("**The problem**")
        show_all(shown)
        with st.expander("Size and draw"):
            show_all(sized)
        with st.expander("Not used in this section"):
            show_all(rest)


def tools(values: dict[str, Any], take: Export | None = None) -> None:
    """Draw the row of presets, Reset, Copy link and downloads."""
    toolbar("theory", CONTROLS, PRESETS, values, take=take)


def export_of(
    study: Study,
    said: str,
    intro: str,
    values: Mapping[str, Any],
    charts: Callable[[], Sequence[Chart]],
) -> Export:
    """Build the downloads of a section.

    Parameters
    ----------
    study : Study
    said, intro : str
        The plain sentence, and what the section is about.
    values : mapping
    charts : callable
        Draws the section's charts for light paper.
    """
    keys = {*USED[study.section], *_SIZE}
    if study.section == "phase":  # an axis takes the place of its slider
        keys -= {SWEPT[values["th_x"]], SWEPT[values["th_y"]]}
    used = [c for c in SCENARIO if c.key.removeprefix("th_") in keys]
    own = {
        "certificate": (LAM_TIMES,),
        "phase": PHASE,
        "sets": (SET_AXIS,),
        "gain": (GAIN_AXIS,),
        "blind": (BLIND,),
    }
    used += own.get(study.section, ())
    words = screen_of("theory", used, values).settings
    screen = Screen(words, link_to("theory", CONTROLS, values))
    return Export(
        name=f"clair-theory-{study.section}",
        recipe=study.recipe,
        report=lambda: study_report(study, said, intro, charts(), screen),
        tables={"Table": lambda: study.table},
        numbers=lambda: study_json(study, said, {c.key: values[c.key] for c in used}),
    )


def obstacle(values: Mapping[str, Any]) -> str | None:
    """Explain why these values have no result; None if they have one."""
    as_lab = {key: values[f"th_{key}"] for key in SHARED}
    reason = lab.obstacle({**as_lab, "use_rank": "auto"})
    if reason is not None:
        return reason
    if values["th_rank"] >= values["th_d_out"]:
        return (
            f"A subspace of {values['th_rank']} dimensions fills all {values['th_d_out']} rows of "
            "an update: nothing lies outside it, so nobody can be told apart. Lower the rank or "
            "add rows."
        )
    return None


def spec_of(values: Mapping[str, Any], *, exact: bool = False) -> ProblemSpec:
    """Build the problem that the controls describe.

    Parameters
    ----------
    values : mapping
    exact : bool
        Whether the section is about exact recovery: then the noise and the unevenness are its own,
        and honest clients have nothing off the subspace.
    """
    spec = lab.spec_of({key: values[f"th_{key}"] for key in SHARED})
    if not exact:
        return spec
    return replace(
        spec,
        noise=values["th_exact_noise"],
        unevenness=values["th_uneven"],
        off_subspace=0.0,
    )


def intro(text: str) -> None:
    """Write what a section is about; on stage that is a part of its own, see `staged`."""
    if not presenting():
        st.markdown(text)


def staged(section: str, text: str, parts: Mapping[str, Callable[[], None]]) -> bool:
    """Draw one part of a section if on stage, and return whether that is so.

    The last part says what the section is about.

    Parameters
    ----------
    section, text : str
    parts : mapping of title to callable
        The other parts, in order.
    """
    if presenting():
        stage_part(f"th_{section}_part", {**parts, "What this is about": lambda: _about(text)})
    return presenting()


def _about(text: str) -> None:
    with st.container(width=1500, key="stage_words"):
        st.markdown(text)


_BADGES = {
    "paper": ":blue-badge[paper]",
    "literature": ":gray-badge[older literature]",
    "ours": ":green-badge[ours]",
}


def claims(section: str) -> None:
    """Show a section's claims with their source and check; not on stage."""
    if presenting():
        return
    with st.expander("What is claimed here, who showed it, and how it was checked"):
        st.caption(
            "Only the abstract of the CLAIR paper is public. *Paper* marks what that abstract "
            "says; everything else is older literature or our own reading, checked by simulation."
        )
        for statement in of_section(section):
            st.markdown(f"{_BADGES[statement.source]} {statement.words}")
            if statement.formula:
                st.latex(statement.formula)
            st.caption(
                f"Source: {statement.reference}. Checked: {statement.agreement} "
                f"(`{statement.test}`)."
            )
