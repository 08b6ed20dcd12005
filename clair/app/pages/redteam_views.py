"""Views of the Red team page: the attack live, and what it teaches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from clair.app.kit.content import content
from clair.app.kit.presenter import presenting
from clair.app.kit.results import draw_blocks
from clair.app.kit.state import assign, open_screen
from clair.app.pages import compare, lab, redteam
from clair.app.pages.redteam_controls import CONTROLS, PRESETS, RULE, VIEW, plan_of
from clair.figures.palette import ThemeName
from clair.redteam.strike import Strike
from clair.report.blocks import Fact, Facts, Live
from clair.report.redteam import attack, headline
from clair.report.redteam_lessons import Lesson
from clair.simulation.attack_plan import AttackPlan, Tactic
from clair.simulation.matrix_model import ProblemSpec


def best(values: Mapping[str, Any], found: Strike) -> tuple[Fact, AttackPlan | None]:
    """Measure the visitor's best attack; also return it where it is not the present one."""
    label, about = (
        "Your best undetected",
        (
            "Your score: what an attack of yours costs the honest clients of CLAIR without any of "
            "your clients being flagged. Your best attack is kept in the address and measured "
            "again in every federation you set."
        ),
    )
    if redteam.majority(values):
        return Fact("–", label, "no score for a majority", about), None
    plan, score = redteam.best_of(values, found)
    computer = redteam.computers_best(values)
    beside = "" if computer is None else f"the computer's: {100 * computer:.1f} %"
    fact = Fact(f"{100 * score:.1f} %", label, beside, about)
    return fact, None if plan == plan_of(values) else plan


def attack_view(values: Mapping[str, Any], found: Strike, theme: ThemeName) -> None:
    """Show the attack, and the ways to other pages."""
    draw_blocks(attack(found, values[RULE.key], presenting()), theme)
    if not presenting():
        open_row("redteam", redteam.spec_of(values), plan_of(values), values["rt_use_rank"])


def numbers(values: Mapping[str, Any], found: Strike, theme: ThemeName) -> None:
    """Show the numbers of the attack and the visitor's best."""
    fact, plan = best(values, found)
    draw_blocks((Facts((*headline(found, values[RULE.key]), fact)),), theme)
    if plan is not None:
        st.button(
            "Back to my best",
            key="redteam_best",
            type="tertiary",
            on_click=redteam.use_plan,
            args=(plan,),
        )


def open_row(
    key: str,
    spec: ProblemSpec,
    plan: AttackPlan,
    rank: int | str,
    *,
    use: bool = False,
    **options: Any,
) -> None:
    """Draw the buttons that open an attack on a draw in the lab and in Compare, seed included.

    Parameters
    ----------
    key : str
        How the buttons' keys begin.
    spec : ProblemSpec
    plan : AttackPlan
    rank : int or "auto"
    use : bool
        Whether a button makes it the visitor's attack, too.
    **options
        Further values of the lab.
    """
    values = redteam.lab_values(spec, plan, rank, **options)
    honest = values | {"plan": AttackPlan((Tactic(),)).to_text()}
    pair = {f"a_{k}": v for k, v in honest.items()} | {f"b_{k}": v for k, v in values.items()}
    # the lab's slider ends a little above one half
    beyond = None if lab.holds(values) else "You hold more than these pages can show."
    with st.container(horizontal=True, gap="small"):
        if use:
            st.button(
                "Open as your attack",
                key=f"{key}_use",
                icon=":material/swords:",
                on_click=redteam.use_plan,
                args=(plan,),
            )
        st.button(
            "Open in the lab",
            key=f"{key}_lab",
            icon=":material/science:",
            disabled=beyond is not None,
            help=beyond,
            on_click=open_screen,
            args=("pages/lab.py", lab.CONTROLS, values | {"view": "verdict"}),
        )
        st.button(
            "Open in Compare",
            key=f"{key}_compare",
            icon=":material/compare_arrows:",
            disabled=beyond is not None,
            help=beyond or "A: your clients are honest. B: they attack. The same draw.",
            on_click=open_screen,
            args=("pages/compare.py", compare.CONTROLS, pair),
        )


# -- what it teaches ---------------------------------------------------------------------------


def lessons() -> dict[str, Lesson]:
    """Compute the attack of every lesson, in the federation that the page opens with."""
    opening = {control.key: control.default for control in CONTROLS}
    values = {preset.key: opening | dict(preset.values) for preset in PRESETS}
    return {
        key: Lesson(**texts, strike=redteam.struck(values[key]))
        for key, texts in content("redteam")["lessons"].items()
    }


def lesson_opener(key: str) -> Live:
    """Make the buttons that open the attack of a lesson, judged by either rule."""
    chosen = dict({preset.key: preset for preset in PRESETS}[key].values)

    def buttons(theme: ThemeName) -> None:
        with st.container(horizontal=True, gap="small"):
            for rule, label, icon in (
                ("today", "Try it", ":material/play_arrow:"),
                ("former", "What the former rule said", ":material/history:"),
            ):
                st.button(
                    label,
                    key=f"redteam_{key}_{rule}",
                    icon=icon,
                    on_click=assign,
                    args=(CONTROLS, chosen | {VIEW.key: "attack", RULE.key: rule}),
                )

    return Live(buttons)
