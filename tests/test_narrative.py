"""The plain sentences say what happened, also when it is not flattering."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from clair.method.metrics import detection_scores
from clair.sentences import (
    amount,
    clients_list,
    count,
    detection_sentence,
    gain_sentence,
    scenario_sentence,
    times,
)
from clair.simulation.matrix_model import ProblemSpec
from clair.simulation.scenario import Scenario, run_scenario


def mask(*marked: int, n: int = 10) -> np.ndarray:
    """Make a boolean vector with the given positions set."""
    result = np.zeros(n, dtype=bool)
    result[list(marked)] = True
    return result


@pytest.mark.parametrize(
    ("flagged", "truth", "sentence"),
    [
        ((), (), "Nobody is poisoned, and CLAIR flagged nobody"),
        ((1, 2), (), "Nobody is poisoned, yet CLAIR flagged 2 of 10 honest clients"),
        ((1, 2), (1, 2), "CLAIR flagged both poisoned clients and no honest one"),
        ((4,), (4,), "CLAIR flagged the one poisoned client and no honest one"),
        ((1, 5), (1,), "CLAIR flagged the one poisoned client and one honest one"),
        ((1, 5, 6), (1, 2), "CLAIR flagged only 1 of 2 poisoned clients and two honest ones"),
        ((), (1, 2, 3), "CLAIR missed all 3 poisoned clients and flagged nobody"),
        ((), (1,), "CLAIR missed the one poisoned client and flagged nobody"),
        ((7,), (1, 2), "CLAIR missed both poisoned clients and flagged one honest one instead"),
    ],
)
def test_detection(flagged: tuple[int, ...], truth: tuple[int, ...], sentence: str) -> None:
    scores = detection_scores(mask(*flagged), mask(*truth))
    assert detection_sentence(scores, 10) == sentence


def test_three_clients_are_said_to_be_too_few() -> None:
    scores = detection_scores(mask(n=3), mask(1, n=3))
    assert "too few" in detection_sentence(scores, 3)
    assert "too few" not in detection_sentence(detection_scores(mask(1, n=3), mask(1, n=3)), 3)
    few = run_scenario(Scenario(ProblemSpec(3, poisoned_fraction=0.0)))
    assert "too few" in scenario_sentence(few)


@pytest.mark.parametrize(("share", "said"), [(0.45, False), (0.5, True), (0.6, True)])
def test_from_one_half_on_the_sentence_says_why_nothing_can_tell(share: float, said: bool) -> None:
    result = run_scenario(Scenario(ProblemSpec(18, poisoned_fraction=share, attack="colluding")))
    assert ("by definition" in scenario_sentence(result)) is said


@pytest.mark.parametrize(
    ("flagged", "suspect", "truth", "begins", "told"),
    [
        ((), (1, 2, 3), (1, 2, 3), "CLAIR flagged none of the 3", "; three poisoned ones are"),
        ((1, 2), (1, 5, 6), (1, 2), "CLAIR flagged both", "; two honest ones are"),
        (
            (1,),
            (2, 5),
            (1, 2),
            "CLAIR flagged only 1 of 2",
            "; one poisoned one and one honest one",
        ),
        ((), (4,), (), "Nobody is poisoned, and CLAIR flagged nobody", "; one client is suspect"),
    ],
)
def test_suspects_are_told_apart(flagged, suspect, truth, begins, told) -> None:
    scores = detection_scores(mask(*flagged), mask(*truth), mask(*suspect))
    sentence = detection_sentence(scores, 10)
    assert sentence.startswith(begins)
    assert told in sentence
    plain = detection_scores(mask(*flagged), mask(*truth))
    assert (plain.f1, plain.suspects) == (scores.f1, 0)


@pytest.mark.parametrize(
    ("clair", "local", "fedavg", "parts"),
    [
        (
            0.4,
            1.0,
            1.6,
            ["2.5× smaller than when each trains alone (0.4 instead of 1)", "error of 1.6"],
        ),
        (0.4, 1.0, 0.2, ["2.5× smaller", "averaging everybody would have been better here (0.2)"]),
        (0.4, 1.0, 0.41, ["averaging everybody does as well (0.41)"]),
        (1.0, 1.0, 2.0, ["gained nothing over training alone (1)"]),
        (2.0, 1.0, 3.0, ["joining in cost", "2.0× that of training alone (1 → 2)"]),
        (0.5, 0.0, 3.0, ["cost the honest clients 0.5; alone they make no error"]),
        (0.0, 0.0, 3.0, ["keep their exact updates"]),
        (4e-16, 0.0, 3e-16, ["keep their exact updates", "as averaging everybody does"]),
        (1e-14, 1.0, 3.0, ["recovered exactly"]),
    ],
)
def test_gain(clair: float, local: float, fedavg: float, parts: list[str]) -> None:
    told = gain_sentence(clair, local, fedavg)
    assert all(part in told for part in parts)


@pytest.mark.parametrize(
    ("spec", "options", "parts"),
    [
        ({}, {}, ["flagged all 5 poisoned clients and no honest one", "2.5× smaller"]),
        ({"poisoned_fraction": 0.0}, {}, ["Nobody is poisoned, and CLAIR flagged nobody"]),
        (
            {"poisoned_fraction": 0.0, "heterogeneity": 0.0},
            {},
            ["averaging everybody would have been better"],
        ),
        ({"attack": "sign_flip"}, {}, ["CLAIR missed all 5 poisoned clients"]),
        ({"attack": "sign_flip"}, {"screen_coefficients": True}, ["flagged all 5"]),
        ({"off_subspace": 1.0}, {}, ["joining in cost the honest clients"]),
        ({"noise": 0.0}, {}, ["keep their exact updates"]),
    ],
)
def test_scenarios(spec: dict[str, Any], options: dict[str, Any], parts: list[str]) -> None:
    told = scenario_sentence(run_scenario(Scenario(ProblemSpec(**spec), **options)))
    assert all(part in told for part in parts), told
    assert told.endswith(".")


def test_the_sentence_is_about_the_variant_that_was_asked_for() -> None:
    plain = run_scenario(Scenario(ProblemSpec(heterogeneity=0.0)))
    pooled = run_scenario(Scenario(ProblemSpec(heterogeneity=0.0), pooling="eb"))
    assert amount(plain.error_of("clair").mean) in scenario_sentence(plain)
    assert amount(pooled.error_of("clair_eb").mean) in scenario_sentence(pooled)
    assert scenario_sentence(plain) != scenario_sentence(pooled)


def test_small_words() -> None:
    assert [count(n, "client") for n in (0, 1, 2, 10)] == [
        "no clients",
        "one client",
        "two clients",
        "10 clients",
    ]
    assert [times(r) for r in (1.04, 9.96, 31.4)] == ["1.0×", "10×", "31×"]
    assert [amount(v) for v in (0.0, 1e-12, 2.4e-5, 0.123, 12.34)] == [
        "0",
        "0",
        "2e-05",
        "0.12",
        "12.3",
    ]
    assert clients_list(mask(0, 3)) == "1, 4"
    assert clients_list(mask()) == "none"
