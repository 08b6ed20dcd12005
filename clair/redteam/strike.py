"""One attack on one draw, as the attacker sees it: who was caught, and what every defence paid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from clair.method.detection import FLAGGED, KEPT, SUSPECT
from clair.method.evidence import Evidence
from clair.redteam.defences import ROUNDING
from clair.redteam.former import former_evidence, former_refinement
from clair.simulation.scenario import (
    Scenario,
    ScenarioResult,
    run_scenario,
    without_poisoned,
)

#: Rows of the comparison: keys of `clair.baselines.METHODS`, and the former rule.
ROWS = (
    "clair",
    "clair_former",
    "fedavg",
    "median",
    "geometric_median",
    "trimmed_mean",
    "krum",
    "multi_krum",
    "pca",
    "local",
)
RULES = ("today", "former")
#: What becomes of one of the attacker's clients.
CAUGHT, SUSPECTED, MISSED = "caught", "suspect", "missed"


class Price(NamedTuple):
    """Error of the honest clients under a method, over that of the oracle.

    Attributes
    ----------
    attacked, alone : float
        With the attacker's clients, and where they stay away.
    """

    attacked: float
    alone: float

    @property
    def cost(self) -> float:
        """What the attack adds, relative to the attacker's staying away; negative if it helps."""
        return self.attacked / self.alone - 1


@dataclass(frozen=True)
class Strike:
    """What an attack does.

    Attributes
    ----------
    result : ScenarioResult
        Of the whole federation.
    alone : ScenarioResult
        Of the same draw without the attacker's clients.
    former : Evidence
        What the rule of before says of the whole federation.
    prices : dict of str to Price
        By `ROWS`.
    """

    result: ScenarioResult
    alone: ScenarioResult
    former: Evidence
    prices: dict[str, Price]

    @property
    def held(self) -> np.ndarray:
        """The attacker's clients, ndarray of bool, shape (n_clients,)."""
        return self.result.problem.contaminated

    def flagged(self, rule: str = "today") -> np.ndarray:
        """Look up whom a rule of `RULES` flags, ndarray of bool, shape (n_clients,)."""
        return self.former.flagged if rule == "former" else self.result.fit.flagged

    def degrees(self, rule: str = "today") -> tuple[str, ...]:
        """Look up every client's degree; the former rule knows but flagged and kept."""
        if rule == "former":
            return tuple(FLAGGED if flag else KEPT for flag in self.former.flagged)
        return self.result.fit.degrees

    def fates(self, rule: str = "today") -> dict[str, tuple[int, ...]]:
        """List the attacker's clients, counted from 1, by what becomes of them."""
        found: dict[str, list[int]] = {CAUGHT: [], SUSPECTED: [], MISSED: []}
        names = {FLAGGED: CAUGHT, SUSPECT: SUSPECTED}
        for k, degree in enumerate(self.degrees(rule)):
            if self.held[k]:
                found[names.get(degree, MISSED)].append(k + 1)
        return {fate: tuple(clients) for fate, clients in found.items()}

    @property
    def score(self) -> float:
        """Harm done undetected: what the attack costs the honest clients of CLAIR.

        0 if one of the attacker's clients is flagged, or if the honest lose nothing.
        """
        if self.flagged()[self.held].any():
            return 0.0
        return max(self.prices["clair"].cost, 0.0)


def strike(scenario: Scenario) -> Strike:
    """Try a scenario's attack or plan against every defence.

    Parameters
    ----------
    scenario : Scenario
        With at least one poisoned and three honest clients, and no change to how CLAIR runs but
        its rank.

    Returns
    -------
    Strike

    Examples
    --------
    >>> from clair import ProblemSpec
    >>> found = strike(Scenario(ProblemSpec(attack="colluding")))
    >>> len(found.fates()["caught"]), found.prices["fedavg"].cost > found.prices["clair"].cost
    (5, True)
    """
    result = run_scenario(scenario)
    alone = without_poisoned(result)
    former = former_evidence(result.problem.updates, result.fit.rank)
    spec = result.problem.spec
    typical = float(np.sqrt(spec.rank * (1 + spec.heterogeneity**2)))
    least = max(result.error_of("clair_oracle").rmse, ROUNDING * typical)
    prices = {
        key: _former_price(result, alone, former, least)
        if key == "clair_former"
        else Price(
            _rounded(result.error_of(key).rmse, typical) / least,
            _rounded(alone.error_of(key).rmse, typical) / least,
        )
        for key in ROWS
    }
    return Strike(result, alone, former, prices)


def _rounded(error: float, typical: float) -> float:
    """Lift an error that is nothing but rounding to the size of rounding, so that it compares."""
    return max(error, ROUNDING * typical)


def _former_price(
    result: ScenarioResult, alone: ScenarioResult, former: Evidence, least: float
) -> Price:
    spec = result.problem.spec
    typical = float(np.sqrt(spec.rank * (1 + spec.heterogeneity**2)))

    def error(of: ScenarioResult, flagged: np.ndarray) -> float:
        estimates = former_refinement(of.problem.updates, flagged, of.fit.rank)
        honest = ~of.problem.contaminated
        errors = estimates[honest] - of.problem.true_updates[honest]
        return _rounded(float(np.sqrt(np.mean(np.sum(errors**2, axis=(1, 2))))), typical)

    before = former_evidence(alone.problem.updates, alone.fit.rank)
    return Price(error(result, former.flagged) / least, error(alone, before.flagged) / least)
