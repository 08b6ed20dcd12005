"""Angles, detection scores, errors."""

import numpy as np
import pytest
from scipy.linalg import subspace_angles

from clair.method.linalg import orthonormal
from clair.method.metrics import client_errors, detection_scores, principal_angles, subspace_error


def test_principal_angles_agree_with_scipy_on_unequal_dimensions():
    rng = np.random.default_rng(0)
    first, second = (orthonormal(rng.standard_normal((9, k))) for k in (2, 4))
    expected = np.sort(np.degrees(subspace_angles(first, second)))
    np.testing.assert_allclose(principal_angles(first, second), expected, atol=1e-9)
    np.testing.assert_allclose(principal_angles(second, first), expected, atol=1e-9)


@pytest.mark.parametrize("degrees", [0.0, 1e-6, 0.01, 30.0, 89.99, 90.0])
def test_a_known_rotation_is_measured_to_full_precision(degrees):
    t = np.radians(degrees)
    fixed = np.eye(4)[:, :2]
    turned = fixed.copy()
    turned[:, 1] = [0, np.cos(t), np.sin(t), 0]
    np.testing.assert_allclose(principal_angles(fixed, turned), [0, degrees], rtol=1e-7, atol=1e-12)
    assert subspace_error(fixed, turned) == pytest.approx(np.sin(t), rel=1e-7)


def test_detection_scores_count_by_hand():
    flagged = np.array([1, 1, 1, 0, 0, 0, 0], bool)
    contaminated = np.array([1, 0, 0, 1, 0, 0, 0], bool)
    scores = detection_scores(flagged, contaminated)
    assert scores.precision == pytest.approx(1 / 3)
    assert scores.recall == pytest.approx(1 / 2)
    assert scores.f1 == pytest.approx(0.4)
    assert (scores.false_alarms, scores.missed, scores.exact) == (2, 1, False)


@pytest.mark.parametrize(
    ("flagged", "contaminated", "precision", "recall", "f1"),
    [([0, 0], [0, 0], 1, 1, 1), ([1, 0], [0, 0], 0, 1, 0), ([0, 0], [0, 1], 0, 0, 0)],
)
def test_detection_scores_with_empty_sets(flagged, contaminated, precision, recall, f1):
    scores = detection_scores(np.array(flagged, bool), np.array(contaminated, bool))
    assert (scores.precision, scores.recall, scores.f1) == (precision, recall, f1)


def test_masks_must_be_boolean():
    with pytest.raises(ValueError, match=r"flagged must be a boolean array of shape \(2,\)"):
        detection_scores(np.array([0, 1]), np.array([True, False]))


def test_client_errors_are_frobenius_distances():
    truth = np.zeros((2, 1, 2))
    np.testing.assert_allclose(client_errors(truth + np.array([3.0, 4.0]), truth), [5, 5])
