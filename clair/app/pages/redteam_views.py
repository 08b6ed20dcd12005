"""Views of the Red team page: the attack live, and what it teaches."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import streamlit as st

from clair.app.kit.presenter import presenting, stage_part
from clair.app.kit.results import draw_blocks
from clair.app.kit.state import assign, open_screen
from clair.app.pages import compare, lab, redteam
from clair.app.pages.redteam_controls import CONTROLS, LESSON_PRESETS, RULE, VIEW, plan_of
from clair.figures.palette import ThemeName
from clair.redteam.strike import CAUGHT, Strike
from clair.redteam.words import effect_words
from clair.report.blocks import Fact, Facts
from clair.report.redteam import attack, headline
from clair.sentences import count
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


class Lesson(NamedTuple):
    """One thing the attacks teach.

    Attributes
    ----------
    title, words : str
    source : str
        The literature it belongs to, and what is ours.
    """

    title: str
    words: str
    source: str


#: By key of `clair.app.pages.redteam_controls.LESSON_PRESETS`.
LESSONS: dict[str, Lesson] = {
    "masking": Lesson(
        "Masking",
        "Whoever looks for *the* widest gap finds the one below the loudest liar. One client a "
        "hundred times too loud makes seven others, three times too loud, look ordinary. The "
        "answer is to look again among those kept, until nothing stands out, and to be stricter "
        "from the second look on.",
        "Masking of outliers: Pearson, Chandra Sekar 1936; Davies, Gather 1993. Repeating the gap "
        "rule is ours.",
    ),
    "captured": Lesson(
        "Captured pilots",
        "A verdict starts somewhere. If the start is a subspace fitted to everybody by size, a "
        "loud group that agrees becomes *the* shared subspace, and the honest are what deviates. "
        "The answer: cap everybody's size, try several starts, among them single clients' own "
        "subspaces, and let the median decide, which a minority cannot move.",
        "Rousseeuw, Van Driessen 1999 (several starts and concentration steps, FAST-MCD); "
        "Rousseeuw 1984 (the median of residuals). The cap and its use here are ours.",
    ),
    "noiseless": Lesson(
        "Updates without noise",
        "An omniscient attacker need not be noisy. Updates cleaner than honest ones have small "
        "residuals wherever they point, so a false direction hides beneath the noise of the "
        "honest: send the same *with* noise, and the former rule finds it. The answer is to "
        "compare strongest directions alone, in which there is little noise to hide behind.",
        "Baruch, Baruch, Goldberg 2019 (“A little is enough”: stay within the honest spread). "
        "Judging strongest directions is ours.",
    ),
    "flip": Lesson(
        "The blind spot inside",
        "CLAIR asks *where* an update points, not what it does there. A reversed update lies in "
        "the shared directions, so neither rule sees it. It does not matter to CLAIR's clients, "
        "each of whom keeps its own way inside; it matters to everybody who averages. The "
        "coefficient screen looks there; it is off by default.",
        "Sign flips: Li et al. 2019 (RSA); updates scaled up to replace the model: Bagdasaryan et "
        "al. 2020. The screen is ours.",
    ),
    "half": Lesson(
        "Why one half ends everything",
        "Hold one more than half. Now yours is the majority, its directions are the shared ones, "
        "and the *honest* are flagged. Nothing in the updates says which group is the honest one: "
        "exchange the names and the data stay the same. No rule can do better without something "
        "that it trusts from outside.",
        "Breakdown point at most one half: Donoho, Huber 1983. With a list of candidates instead "
        "of one answer more is possible: Charikar, Steinhardt, Valiant 2017.",
    ),
}


def lesson_strikes() -> dict[str, Strike]:
    """Compute the attack of every lesson, in the federation that the page opens with."""
    opening = {control.key: control.default for control in CONTROLS}
    return {p.key: redteam.struck(opening | dict(p.values)) for p in LESSON_PRESETS}


def lessons_sentence(strikes: Mapping[str, Strike]) -> str:
    """Write the plain sentence of the lessons."""
    few = [one for one in strikes.values() if 2 * one.held.sum() < one.held.size]
    held = sum(int(one.held.sum()) for one in few)
    today, former = (sum(len(one.fates(r)[CAUGHT]) for one in few) for r in ("today", "former"))
    return (
        f"In {count(len(few), 'attack')} by a minority you hold {held} clients in all: today's "
        f"rule catches {today} of them, the former rule {former}."
    )


def lessons(strikes: Mapping[str, Strike]) -> None:
    """Show what each kind of attack teaches, with buttons that open on it."""
    presets = {preset.key: preset for preset in LESSON_PRESETS}

    def card(key: str) -> None:
        lesson = LESSONS[key]
        chosen = dict(presets[key].values) | {VIEW.key: "attack"}
        with st.container(border=not presenting(), key=f"redteam_lesson_{key}"):
            st.markdown(f"**{lesson.title}.** {lesson.words}")
            st.markdown(_both_rules(strikes[key]))
            st.caption(f"Source: {lesson.source}")
            with st.container(horizontal=True, gap="small"):
                for rule, label in (("today", "Try it"), ("former", "What the former rule said")):
                    st.button(
                        label,
                        key=f"redteam_{key}_{rule}",
                        icon=":material/play_arrow:" if rule == "today" else ":material/history:",
                        on_click=assign,
                        args=(CONTROLS, chosen | {RULE.key: rule}),
                    )

    if presenting():
        with st.container(width=1500, key="stage_words"):
            stage_part(
                "redteam_lesson",
                {lesson.title: partial(card, key) for key, lesson in LESSONS.items()},
            )
        return
    for key in LESSONS:
        card(key)


def _both_rules(found: Strike) -> str:
    told = []
    for name, rule, key in (
        ("Today's rule", "today", "clair"),
        ("the former rule", "former", "clair_former"),
    ):
        caught = f"{len(found.fates(rule)[CAUGHT])} of {int(found.held.sum())}"
        effect = effect_words(found.prices[key].cost).replace("them", "the honest")
        told.append(f"{name} catches {caught}, and the attack {effect}")
    return f"*{'; '.join(told)}.*"
