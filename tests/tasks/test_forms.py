"""Factored rounds give what dense ones give, without multiplying anything out."""

from __future__ import annotations

import numpy as np
import pytest

from clair.baselines import estimate_all
from clair.federated.forms import Tuned, joined, select
from clair.federated.progress import JobClock
from clair.federated.round import MORE_TUNED, Plan, federate
from clair.federated.training import Schedule
from clair.method.fit import fit
from clair.method.updates import FactoredUpdates, LoraFactors
from clair.methods import METHODS
from tests.tasks.test_fourth_task import BlobTask


def test_a_factored_round_ends_as_a_dense_one() -> None:
    def run(factored: bool):
        clock = JobClock(dict.fromkeys(("train", "clair", "finetune", "evaluate"), 1.0))
        plan = Plan(4, Schedule(20, 3e-2), 10, 0, 3, factored=factored, tuned=tuple(MORE_TUNED))
        return federate(BlobTask(seed=4), plan, clock)

    dense, factored = run(False), run(True)
    entrywise = {key for key, info in METHODS.items() if info.entrywise}
    assert set(dense.estimates) - set(factored.estimates) == entrywise
    for key, estimate in factored.estimates.items():
        whole = estimate["layer"].dense()
        np.testing.assert_allclose(whole, dense.estimates[key]["layer"], atol=2e-5, err_msg=key)
        assert factored.accuracy[key].right.mean() == pytest.approx(
            dense.accuracy[key].right.mean(), abs=0.005
        )
    for key, errors in dense.tests.items():
        np.testing.assert_allclose(factored.tests[key], errors, atol=1e-5)


def test_only_factors_can_stay_factored() -> None:
    updates = np.random.default_rng(0).standard_normal((5, 6, 4))
    with pytest.raises(ValueError, match="factored must be False where updates are not"):
        estimate_all(updates, fit=fit(updates, rank=1), factored=True)


def test_selecting_and_joining_keep_every_client() -> None:
    rng = np.random.default_rng(1)

    def some(n: int) -> FactoredUpdates:
        return FactoredUpdates(
            rng.standard_normal((7, 3)),
            rng.standard_normal((n, 3, 2)),
            rng.standard_normal((5, 2)),
        )

    one, other = some(4), some(3)
    both = joined([one, other])
    np.testing.assert_allclose(both.dense(), np.concatenate([one.dense(), other.dense()]))
    own = LoraFactors(rng.standard_normal((4, 7, 2)), rng.standard_normal((4, 2, 5)))
    tuned = Tuned(one, own)
    mask = np.array([True, False, True, True])
    np.testing.assert_allclose(select(tuned, mask).dense(), tuned.dense()[mask])
    same = np.broadcast_to(rng.standard_normal((7, 5)), (4, 7, 5))
    assert select(same, mask).shape == (3, 7, 5)
    assert select(same, np.array([1, 2])).strides[0] == 0  # still shared, not copied
    with pytest.raises(TypeError, match="all be factored or all dense"):
        joined([one, one.dense()])
