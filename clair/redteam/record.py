"""What defeats which defence: the gallery against all of them, and a search against each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from clair.redteam.defences import DEFENCES, evaluate, harm_without
from clair.redteam.evolution import search
from clair.redteam.gallery import GALLERY
from clair.redteam.result import Attempt, Finding, RedTeamConfig, RedTeamResult
from clair.redteam.words import summary
from clair.simulation.attack_plan import AttackPlan
from clair.simulation.matrix_model import ProblemSpec

FORMAT = 1
DRAWS = 6
_DIGITS = 6


@dataclass(frozen=True)
class RecordConfig:
    """Everything that determines a record.

    Attributes
    ----------
    search : RedTeamConfig
        Of the searches; its defence is replaced by each in turn.
    draws : tuple of int
        Seeds of the problems on which the gallery is tried.
    """

    search: RedTeamConfig
    draws: tuple[int, ...]

    def config_of(self, defence: str) -> RedTeamConfig:
        """Build the config of the search against one defence."""
        return replace(self.search, defence=defence)


#: The federation that the Red team page opens with; the draws were used for nothing else.
RECORD_CONFIG = RecordConfig(
    RedTeamConfig(ProblemSpec(poisoned_fraction=0.4)), tuple(range(81000, 81000 + DRAWS))
)


@dataclass(frozen=True)
class Cell:
    """An attack of the gallery against a defence: means over the draws of the record."""

    harm: float
    caught: float


@dataclass(frozen=True)
class Found:
    """What a search found against a defence.

    Attributes
    ----------
    harm : float
        Mean over fresh draws of the worst attack that stayed unflagged, over the oracle's error.
    plan : AttackPlan
    seed : int
        Of the fresh draw with the most harm on which nobody was flagged, else of the worst draw.
    sentence : str
        The search's own summary.
    """

    harm: float
    plan: AttackPlan
    seed: int
    sentence: str


@dataclass(frozen=True)
class Record:
    """A record as it was written.

    Attributes
    ----------
    config : RecordConfig
    alone : dict of str to float
        Harm by defence where the attacker's clients stay away.
    cells : dict of (attack, defence) to Cell
    found : dict of str to Found
    attempts : dict of str to tuple of Attempt
        Everything each search tried.
    """

    config: RecordConfig
    alone: Mapping[str, float]
    cells: Mapping[tuple[str, str], Cell]
    found: Mapping[str, Found]
    attempts: Mapping[str, tuple[Attempt, ...]]


def cell(config: RecordConfig, attack: str, defence: str) -> Cell:
    """Try one attack of the gallery against one defence."""
    plan, rank = GALLERY[attack].plan, config.search.rank
    trials = [
        evaluate(plan, replace(config.search.spec, seed=seed), defence, rank)
        for seed in config.draws
    ]
    return Cell(
        float(np.mean([trial.harm for trial in trials])),
        float(np.mean([trial.detection.recall for trial in trials])),
    )


def alone(config: RecordConfig, defence: str) -> float:
    """Compute the mean harm by a defence itself, without the attacker's clients."""
    specs = [replace(config.search.spec, seed=seed) for seed in config.draws]
    return float(np.mean([harm_without(spec, defence, config.search.rank) for spec in specs]))


def found_of(result: RedTeamResult) -> Found:
    """Pick a search's worst attack that stayed unflagged, or the worst if none did."""
    finding: Finding = result.hidden or result.worst
    assert finding.plan is not None
    quiet = [t for t in finding.trials if not (t.flagged & t.held).any()]
    worst = max(quiet or finding.trials, key=lambda trial: trial.harm)
    return Found(finding.harm, finding.plan, worst.seed, summary(result))


def recorded(config: RecordConfig, say: Callable[[str], object]) -> dict[str, Any]:
    """Compute a record as JSON values; `say` hears of every defence that is done."""
    rows: dict[str, Any] = {}
    for defence in DEFENCES:
        result = search(config.config_of(defence))
        best = found_of(result)
        rows[defence] = {
            "alone": _short(alone(config, defence)),
            "gallery": {
                attack: [_short(value) for value in asdict(cell(config, attack, defence)).values()]
                for attack in GALLERY
            },
            "found": [_short(best.harm), best.plan.to_text(), best.seed, best.sentence],
            "attempts": [
                [a.plan.to_text(), _short(a.harm, 4), _short(a.suspicion, 4), int(a.unseen)]
                for a in result.attempts
            ],
        }
        say(f"{defence}: {best.harm:.2f}")
    return {
        "format": FORMAT,
        "config": {
            "problem": asdict(config.search.spec),
            "rank": config.search.rank,
            "budget": config.search.budget,
            "draws": list(config.draws),
        },
        "defences": rows,
    }


def read_record(payload: Mapping[str, Any]) -> Record:
    """Read what `recorded` wrote."""
    given, rows = payload["config"], payload["defences"]
    spec = ProblemSpec(**given["problem"])
    base = RedTeamConfig(spec, rank=given["rank"], budget=given["budget"])
    return Record(
        RecordConfig(base, tuple(given["draws"])),
        {key: row["alone"] for key, row in rows.items()},
        {
            (a, key): Cell(*values)
            for key, row in rows.items()
            for a, values in row["gallery"].items()
        },
        {
            key: Found(harm, AttackPlan.from_text(text), seed, sentence)
            for key, (harm, text, seed, sentence) in ((k, row["found"]) for k, row in rows.items())
        },
        {
            key: tuple(
                Attempt(AttackPlan.from_text(text), harm, seen, bool(unseen))
                for text, harm, seen, unseen in row["attempts"]
            )
            for key, row in rows.items()
        },
    )


def _short(value: float, digits: int = _DIGITS) -> float:
    return float(f"{value:.{digits}g}")
