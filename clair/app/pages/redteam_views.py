"""Views of the Red team page: the attack live, and what it teaches."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import streamlit as st

from clair.app.components.chart import charts_of
from clair.app.kit.glossary import marked
from clair.app.kit.presenter import presenting, stage_part
from clair.app.kit.results import reasons_panel, show_chart
from clair.app.kit.state import assign, open_screen
from clair.app.pages import compare, lab, redteam
from clair.app.pages.redteam_controls import CONTROLS, LESSON_PRESETS, RULE, VIEW, plan_of
from clair.figures.base import Chart
from clair.figures.kinds import evidence_kinds
from clair.figures.palette import ThemeName
from clair.figures.redteam import former_chart, prices_chart
from clair.figures.verdicts import scenario_verdicts
from clair.method.kinds import KINDS, all_evidence
from clair.redteam.strike import CAUGHT, MISSED, SUSPECTED, Strike
from clair.redteam.words import cost_words, effect_words, plan_sentences
from clair.sentences import count
from clair.simulation.attack_plan import AttackPlan, Tactic
from clair.simulation.matrix_model import ProblemSpec

_FATES = {CAUGHT: "Caught", SUSPECTED: "Suspect", MISSED: "Missed"}


def headline_numbers(values: Mapping[str, Any], found: Strike, rule: str) -> None:
    """Show how many were caught, what it cost, and the visitor's best."""
    fates = {fate: len(who) for fate, who in found.fates(rule).items()}
    key, name = ("clair_former", "former rule") if rule == "former" else ("clair", "CLAIR")
    off: dict[str, Any] = {"delta_color": "off", "delta_arrow": "off"}
    grid = st.grid(4, min_column_width=150)
    grid.metric(
        "Caught",
        f"{fates[CAUGHT]} of {int(found.held.sum())}",
        f"{fates[SUSPECTED]} suspect, {fates[MISSED]} missed",
        help="Your clients: flagged; suspect, which means refined, but with little or no weight in "
        "what the others learn; kept.",
        **off,
    )
    grid.metric(
        f"Cost under {name}",
        cost_words(found.prices[key].cost),
        "for the honest",
        help="Growth of the honest clients' error over that where your clients stay away.",
        **off,
    )
    grid.metric(
        "Cost under averaging",
        cost_words(found.prices["fedavg"].cost),
        "the same attack",
        help="The same under plain averaging (FedAvg).",
        **off,
    )
    with grid.container():
        _best(values, found, off)


def _best(values: Mapping[str, Any], found: Strike, off: dict[str, Any]) -> None:
    about = (
        "Your score: what an attack of yours costs the honest clients of CLAIR without any of "
        "your clients being flagged. Your best attack is kept in the address and measured again "
        "in every federation you set."
    )
    if redteam.majority(values):
        st.metric("Your best undetected", "–", "no score for a majority", help=about, **off)
        return
    plan, score = redteam.best_of(values, found)
    computer = redteam.computers_best(values)
    beside = "" if computer is None else f"the computer's: {100 * computer:.1f} %"
    st.metric("Your best undetected", f"{100 * score:.1f} %", beside or None, help=about, **off)
    if plan is not None and plan != plan_of(values) and not presenting():
        st.button(
            "Back to my best",
            key="redteam_best",
            type="tertiary",
            on_click=redteam.use_plan,
            args=(plan,),
        )


# -- the attack --------------------------------------------------------------------------------


def attack(values: Mapping[str, Any], found: Strike, theme: ThemeName) -> None:
    """Show who is caught by which kind of evidence, and what every defence pays."""
    rule = values[RULE.key]
    left, right = st.columns(2, gap="large")
    with left:
        show_chart(charts_of(_scores, found, rule, theme), "redteam_scores")
    with right:
        show_chart(charts_of(prices_chart, found, theme, rule), "redteam_prices")
    if presenting():
        return
    left, right = st.columns(2, gap="large")
    with left:
        if rule == "today":
            kinds = evidence_kinds(
                all_evidence(found.result.fit),
                theme,
                degrees=found.degrees(),
                contaminated=found.held,
            )
            show_chart(kinds, "redteam_kinds")
        else:
            fates_panel(found, rule)
    with right:
        if rule == "today":
            fates_panel(found, rule)
        sent_panel(values, found)


def _scores(found: Strike, rule: str, theme: ThemeName) -> Chart:
    if rule == "former":
        return former_chart(found, theme)
    return scenario_verdicts(found.result, theme)[0][1]


def fates_panel(found: Strike, rule: str) -> None:
    """List what becomes of the attacker's clients, and of honest ones, with the reasons."""
    lines = []
    for fate, clients in found.fates(rule).items():
        if clients:
            by = _by_kind(found, clients) if rule == "today" and fate == CAUGHT else ""
            lines.append(f"* **{_FATES[fate]}** {len(clients)}: {_numbers(clients)}{by}")
    wrong = [k + 1 for k, flag in enumerate(found.flagged(rule)) if flag and not found.held[k]]
    if wrong:
        lines.append(f"* **Honest, and flagged** {len(wrong)}: {_numbers(wrong)}")
    st.markdown("**What became of your clients**\n\n" + "\n".join(lines))
    if rule == "today":
        fitted = found.result.fit
        with st.expander("The reasons, client by client"):
            reasons_panel(fitted.degrees, fitted.reasons, fitted.scores, all_evidence(fitted))


def _by_kind(found: Strike, clients: tuple[int, ...]) -> str:
    """Name the kinds of evidence that flag some clients, with how many each flags."""
    told = []
    for kind in found.result.fit.evidence:
        number = sum(bool(kind.flagged[k - 1]) for k in clients)
        if number:
            told.append(f"{KINDS[kind.kind].name} {number}")
    return f" (by kind of evidence: {', '.join(told)})" if told else ""


def _numbers(clients: tuple[int, ...] | list[int]) -> str:
    return ("client " if len(clients) == 1 else "clients ") + ", ".join(map(str, clients))


def sent_panel(values: Mapping[str, Any], found: Strike) -> None:
    """Say what the attacker's clients send, and open it on other pages."""
    plan = plan_of(values)
    lines = plan_sentences(plan, int(found.held.sum()))
    st.markdown(
        marked("**What they send**\n\n" + "\n".join(f"* {line}" for line in lines)),
        unsafe_allow_html=True,
    )
    open_row("redteam", redteam.spec_of(values), plan, values["rt_use_rank"])


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
