"""The run of the Federation page: what it shows is what the strategy decided."""

from __future__ import annotations

import pytest

pytest.importorskip("flwr", reason="needs Flower: tests/requirements-extras.txt")

from clair.federated import Cancelled
from clair.flower import FlowerConfig, run_flower

SHORT = FlowerConfig(n_clients=9, rounds=3, steps=40, crash=2, broken=3, leave=0, seed=4)


def test_a_run_with_mishaps_goes_through_and_names_who_and_why() -> None:
    reports: list = []
    result = run_flower(SHORT, progress=reports.append)
    fractions = [one.fraction for one in reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1)
    assert result.loss_history.shape == (120, 9)
    first, second, third = result.rounds
    assert set(first.degrees) <= {"kept", "suspect"}  # nobody is poisoned yet
    assert set(result.mishap_clients) == {"crash", "broken"}
    crashed, broken = (result.mishap_clients[name] for name in ("crash", "broken"))
    assert (second.degrees[crashed], third.degrees[broken]) == ("set aside", "set aside")
    assert "out of memory" in second.reasons[crashed]
    assert "NaN" in third.reasons[broken]
    assert third.degrees[crashed] in ("kept", "suspect")  # judged again in the next round
    for k in result.contaminated.nonzero()[0]:
        assert second.degrees[k] == third.degrees[k] == "flagged"
    sent = {key: scores.sent.mean() for key, scores in third.accuracy.items()}
    assert sent["clair"] > sent["local"] > sent["fedavg"] == 0  # FedAvg takes the NaN


def test_a_run_is_cancelled_at_the_next_step() -> None:
    seen: list = []
    with pytest.raises(Cancelled):
        run_flower(SHORT, progress=seen.append, cancelled=lambda: len(seen) >= 5)
    assert len(seen) == 5
