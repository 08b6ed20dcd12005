"""A search's result as words and as numbers."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

import numpy as np

from clair.method.metrics import client_numbers
from clair.redteam.defences import DEFENCES
from clair.redteam.evolution import FRESH_DRAWS
from clair.redteam.result import Finding, RedTeamResult
from clair.redteam.strike import CAUGHT, SUSPECTED, Strike
from clair.simulation.attack_plan import AttackPlan, Tactic

FORMAT = 1
#: An attack that adds less than this to the honest clients' error is told as harmless.
HARMLESS = 0.05


def plan_sentences(plan: AttackPlan, n_attackers: int) -> list[str]:
    """Say what each group of attackers does, one line per group.

    Examples
    --------
    >>> plan_sentences(AttackPlan((Tactic(echo=1, noise=0),)), 8)
    ["8 clients: own noise × 0, a victim's residual × 1"]
    """
    lines = []
    for tactic, group in zip(plan.tactics, plan.groups(n_attackers), strict=True):
        if len(group):
            who = f"{len(group)} client{'s' * (len(group) != 1)}"
            lines.append(f"{who}: {', '.join(_parts(tactic)) or 'honest'}")
    return lines


def plan_words(plan: AttackPlan) -> str:
    """Say what a plan is, without how many clients follow it.

    Examples
    --------
    >>> plan_words(AttackPlan((Tactic(own=-1), Tactic())))
    'own honest update × -1; honest'
    """
    return "; ".join(", ".join(_parts(tactic)) or "honest" for tactic in plan.tactics)


def _parts(tactic: Tactic) -> list[str]:
    """Say what one group sends, term by term, without terms as honest clients have them."""
    parts = []
    if tactic.own != 1:
        parts.append(f"own honest update × {tactic.own:g}")
    if tactic.own and tactic.tilt:
        parts.append(f"shared directions turned by {np.degrees(np.arcsin(tactic.tilt)):.0f}°")
    if tactic.noise != 1:
        parts.append(f"own noise × {tactic.noise:g}")
    for name, words in (
        ("copy", "a victim's update"),
        ("echo", "a victim's residual"),
        ("mean", "the honest mean"),
        ("deviation", "the honest entries' spread"),
    ):
        if value := getattr(tactic, name):
            parts.append(f"{words} × {value:g}")
    if tactic.size or tactic.ladder != 1:
        rank = f"rank {tactic.directions}" if tactic.directions else "dense"
        parts.append(
            f"a foreign part ({rank}) of size {tactic.size:g}, directions {tactic.agree:.0%} and "
            f"coefficients {tactic.alike:.0%} common"
        )
        if tactic.inside:
            parts.append(f"{tactic.inside:.0%} of it inside the shared subspace")
        if tactic.ladder != 1:
            parts.append(f"growing by {tactic.ladder:g} a client")
        if tactic.spike != 1:
            parts.append(f"entries to the power {tactic.spike:g}")
    return parts


def cost_words(cost: float) -> str:
    """Write what an attack costs the honest clients.

    Parameters
    ----------
    cost : float
        Growth of their error, relative; negative where the attacker helps.

    Examples
    --------
    >>> [cost_words(cost) for cost in (0.001, 1.8, -0.09, 41.0)]
    ['0 %', '180 %', '−9 %', '42 times']
    """
    if cost >= 9.995:
        return f"{cost + 1:,.0f} times"
    percent = f"{100 * cost:.0f}"
    return "0 %" if percent in ("0", "-0") else f"{percent} %".replace("-", "−")


def times_words(harm: float) -> str:
    """Write a multiple of the oracle's error.

    Examples
    --------
    >>> times_words(1.014), times_words(13016697.47)
    ('1.01 times', '13,016,697 times')
    """
    return f"{harm:.2f} times" if harm < 1000 else f"{harm:,.0f} times"


def strike_sentence(found: Strike, rule: str = "today") -> str:
    """Say what an attack did, in one sentence.

    Parameters
    ----------
    found : Strike
    rule : {"today", "former"}
        Whose verdict counts.
    """
    fates = {fate: len(clients) for fate, clients in found.fates(rule).items()}
    held, total = int(found.held.sum()), len(found.held)
    by = " by the former rule" * (rule == "former")
    caught = (
        f"were caught{by} {_times(fates[CAUGHT])}" if fates[CAUGHT] else f"were never caught{by}"
    )
    own = found.prices["clair_former" if rule == "former" else "clair"].cost
    average = found.prices["fedavg"].cost
    text = (
        f"You held {held} of {total}, {caught}"
        + f", suspected {_times(fates[SUSPECTED])}" * bool(fates[SUSPECTED])
        + f" and {_effect(own)}; against plain averaging the same attack {effect_words(average)}"
    )
    wrong = int((found.flagged(rule) & ~found.held).sum())
    if wrong:
        all_of = "All" if wrong == total - held else f"{wrong} of the"
        text += f". {all_of} {total - held} honest ones were flagged"
    return f"{text}."


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def _effect(cost: float) -> str:
    words = cost_words(cost)
    if words.startswith("−"):
        return f"helped the honest by {words[1:]}"
    if words == "0 %":
        return "cost the honest nothing"
    if words.endswith("times"):
        return f"made the honest {words} as wrong"
    return f"cost the honest {words}"


def effect_words(cost: float) -> str:
    """Say what an attack does to the honest clients, as a verb and what follows it.

    Examples
    --------
    >>> [effect_words(cost) for cost in (0.001, 1.8, -0.09, 41.0)]
    ['costs nothing', 'costs 180 %', 'helps them by 9 %', 'makes them 42 times as wrong']
    """
    words = cost_words(cost)
    if words.startswith("−"):
        return f"helps them by {words[1:]}"
    if words.endswith("times"):
        return f"makes them {words} as wrong"
    return f"costs {'nothing' if words == '0 %' else words}"


def summary(result: RedTeamResult) -> str:
    """Say what the search found, in one sentence."""
    label = DEFENCES[result.config.defence].label
    held, total = result.config.spec.n_contaminated, result.config.spec.n_clients
    found, n_modules = result.hidden, result.config.n_modules
    inside = f" and updates of {n_modules} modules" * (n_modules > 1)
    start = f"With {held} of {total} clients{inside} against {label}, "
    flags = result.config.defence.startswith("clair")
    which = "the worst attack found that nobody flagged" if flags else "the worst attack found"
    if found is None or found.harm < 1 + HARMLESS:
        harmless = (
            "no attack found that stays unflagged costs" if flags else "no attack found costs"
        )
        text = f"{start}{harmless} honest clients more than {HARMLESS:.0%} over the oracle"
    else:
        text = f"{start}{which} gives honest clients {times_words(found.harm)} the oracle's error"
    if flags and result.worst is not found and result.worst.harm >= 1 + HARMLESS:
        text += f"; flagged or not, the worst gives {times_words(result.worst.harm)}"
    cut = "" if result.complete else " The search was cut short."
    return (
        f"{text} ({result.unattacked.harm:.2f} times without an attack; {FRESH_DRAWS} fresh draws, "
        f"{result.n_fits} runs of the defence).{cut}"
    )


def report(result: RedTeamResult) -> str:
    """Write the summary, a small table and the plans in words."""
    rows = [("no attack", result.unattacked), ("unflagged", result.hidden)]
    if result.worst is not result.hidden:
        rows.append(("worst", result.worst))
    lines = [summary(result), "", "attack       error / oracle   caught   honest flagged     F1"]
    for name, found in rows:
        if found is None:
            lines.append(f"{name:<12} {'none found':>14}")
            continue
        caught = f"{found.caught:.0%}" if found.plan else "–"
        f1 = f"{found.f1:.2f}" if found.plan else "–"
        lines.append(
            f"{name:<12} {found.harm:>14.2f} {caught:>8} {found.false_alarms:>16.0%} {f1:>6}"
        )
    for name, found in rows:
        if found is not None and found.plan is not None:
            lines += ["", f"{name}:"]
            held = result.config.spec.n_contaminated
            lines += [f"  {line}" for line in plan_sentences(found.plan, held)]
            lines.append(f"  as a plan: {found.plan.to_text()}")
    return "\n".join(lines)


def result_json(result: RedTeamResult) -> dict[str, Any]:
    """Convert everything to JSON values; clients are numbered from 1."""
    config = result.config
    problem = asdict(config.spec)
    del problem["attack"], problem["attack_scale"]  # the search replaces them
    return {
        "format": FORMAT,
        "sentence": summary(result),
        "config": {
            "problem": problem,
            **{f.name: getattr(config, f.name) for f in fields(config) if f.name != "spec"},
        },
        "complete": result.complete,
        "n_fits": result.n_fits,
        "no_attack": _finding(result.unattacked),
        "unflagged": None if result.hidden is None else _finding(result.hidden),
        "worst": _finding(result.worst),
    }


def _finding(found: Finding) -> dict[str, Any]:
    return {
        "plan": None if found.plan is None else found.plan.to_json(),
        "error_over_oracle": found.harm,
        "during_search": found.searched,
        "caught": found.caught,
        "honest_flagged": found.false_alarms,
        "f1": found.f1,
        "draws": [
            {
                "seed": trial.seed,
                "error_over_oracle": trial.harm,
                "held": client_numbers(trial.held),
                "flagged": client_numbers(trial.flagged),
            }
            for trial in found.trials
        ],
    }
