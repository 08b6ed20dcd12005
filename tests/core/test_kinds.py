"""Kinds of evidence: the published rule beside ours, margins, and both as JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

import clair
from clair.baselines import estimate_all
from clair.method.detection import DEGREES
from clair.method.evidence import gap_rule
from clair.method.kinds import (
    all_evidence,
    client_margins,
    evidence_json,
    evidence_of,
    published_evidence,
    verdict_json,
)
from clair.method.words import KINDS

PROBLEMS = {
    "poisoned": {},
    "noise free": {"noise": 0.0},
    "clean and noise free": {"noise": 0.0, "poisoned_fraction": 0.0},
    "loud colluders": {"attack": "colluding", "attack_scale": 3.0, "poisoned_fraction": 0.4},
    "dense noise": {"attack": "random"},
}


@pytest.mark.parametrize("settings", PROBLEMS.values(), ids=PROBLEMS)
def test_the_published_rule_is_read_off_any_fit_exactly(settings):
    problem = clair.sample_problem(clair.ProblemSpec(n_clients=12, d_out=16, d_in=14, **settings))
    ours = clair.fit(problem.updates, rank=3)
    published = clair.fit(problem.updates, rank=3, detector="norms")
    found = published_evidence(ours)
    assert (found.flagged == published.flagged).all()
    assert found.threshold == pytest.approx(published.threshold)
    row = estimate_all(problem.updates, fit=ours, methods=["clair_published"])["clair_published"]
    np.testing.assert_allclose(row, published.refined, atol=1e-12)
    assert [kind.kind for kind in all_evidence(published)] == ["norms"]


def test_a_verdict_survives_json_with_clients_counted_from_one():
    problem = clair.sample_problem(clair.ProblemSpec(n_clients=12, d_out=16, d_in=14))
    fit = clair.fit(problem.updates, screen_coefficients=True)
    written = json.loads(json.dumps(verdict_json(fit), allow_nan=False))
    assert written["evidence"][0]["flagged"] == [int(k) + 1 for k in np.flatnonzero(fit.flagged)]
    again = evidence_of(written["evidence"])
    assert evidence_json(again) == written["evidence"]
    assert [one.kind for one in again] == [one.kind for one in all_evidence(fit)]
    assert {one["kind"] for one in written["evidence"] if not one["ours"]} == {"norms"}
    assert set(written["degrees"]) <= set(DEGREES)
    assert {kind.kind for kind in all_evidence(fit)} <= set(KINDS)


def test_a_margin_is_above_one_exactly_above_a_line():
    first = gap_rule("outside", np.array([1.0, 1.1, 0.9, 1.0, 5.0]))
    second = gap_rule("directions", np.array([1.0, 9.0, 0.9, 1.0, 1.0]))
    margins = np.array(client_margins((first, second)), dtype=float)
    assert (margins > 1).tolist() == [False, True, False, False, True]
    nobody = gap_rule("outside", np.ones(5))
    assert client_margins((nobody,)) == (None,) * 5
