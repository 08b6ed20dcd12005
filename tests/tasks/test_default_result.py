"""The run that ships with the page is the one it opens with and agrees with itself.

The browser test of the page computes it again and compares the numbers.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from clair.federated.copytask import OPENING
from clair.federated.copytask.data import make_federation
from clair.federated.copytask.precompute import RESULT
from clair.federated.copytask.result import CopyTaskResult
from clair.method.kinds import evidence_json
from clair.sentences import detection_sentence


@pytest.fixture(scope="module")
def outcome() -> CopyTaskResult:
    return CopyTaskResult.from_json(json.loads(RESULT.read_text(encoding="utf-8")))


def test_its_settings_are_those_the_page_opens_with(outcome):
    assert outcome.config == OPENING


def test_its_clients_and_samples_are_those_of_the_settings(outcome):
    federation = make_federation(outcome.config)
    np.testing.assert_array_equal(outcome.contaminated, federation.contaminated)
    assert outcome.samples
    for sample in outcome.samples:
        client = federation.clients[sample.client]
        assert not outcome.contaminated[sample.client]
        at = client.test_texts.index(sample.prompt)
        assert client.test_targets[at] == sample.expected
        assert set(sample.outputs) == set(outcome.accuracy)


def test_its_verdict_follows_from_its_scores(outcome):
    np.testing.assert_array_equal(outcome.scores > outcome.threshold, outcome.flagged)
    assert outcome.summary().startswith(detection_sentence(outcome.detection, outcome.n_clients))
    assert [degree == "flagged" for degree in outcome.degrees] == outcome.flagged.tolist()


def test_what_is_written_is_read_again(outcome):
    assert outcome.summary() == outcome.recorded["shown"]["sentence"]
    assert outcome.recorded["evidence"] == evidence_json(outcome.evidence)
    assert outcome.evidence[-1].kind == "norms"


def test_its_means_are_those_of_its_clients(outcome):
    assert outcome.loss_history.shape == (outcome.config.steps, outcome.n_clients)
    for method, values in outcome.accuracy.items():
        assert values.exact_match.shape == (int((~outcome.contaminated).sum()),)
        mean = outcome.recorded["accuracy"][method]["exact_match"]
        assert values.exact_match.mean() == pytest.approx(mean, abs=1e-4)
