"""How well a subspace, a set of clients or an update was recovered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clair._validation import check_mask
from clair.method.linalg import block_norms


def client_numbers(mask: np.ndarray) -> list[int]:
    """List the clients of a mask, counted from 1."""
    return [int(k) + 1 for k in np.flatnonzero(mask)]


def principal_angles(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Compute the principal angles between two subspaces, in degrees, smallest first.

    Parameters
    ----------
    first : ndarray of shape (d, r)
    second : ndarray of shape (d, s)
        Orthonormal columns.

    Returns
    -------
    ndarray of shape (min(r, s),)
        In [0, 90].

    Notes
    -----
    Small angles are taken from sines and large ones from cosines, so that both ends are accurate
    (Bjorck, Golub, Numerical methods for computing angles between linear subspaces, 1973).

    Examples
    --------
    >>> import numpy as np
    >>> principal_angles(np.eye(3)[:, :1], np.eye(3)[:, 1:2])
    array([90.])
    """
    if first.shape[1] > second.shape[1]:
        first, second = second, first
    overlap = second.T @ first
    cosines = np.linalg.svd(overlap, compute_uv=False)
    sines = np.linalg.svd(first - second @ overlap, compute_uv=False)[::-1]
    angles = np.where(
        cosines > np.sqrt(0.5), np.arcsin(np.clip(sines, 0, 1)), np.arccos(np.clip(cosines, 0, 1))
    )
    return np.degrees(angles)


def subspace_error(estimate: np.ndarray, truth: np.ndarray) -> float:
    """Compute the sine of the largest principal angle between two subspaces.

    Parameters
    ----------
    estimate : ndarray of shape (d, r)
    truth : ndarray of shape (d, s)
        Orthonormal columns. With r != s the smaller space is compared with its best match inside
        the larger one.

    Returns
    -------
    float
        In [0, 1]; 0 where one space contains the other.
    """
    return float(np.sin(np.radians(principal_angles(estimate, truth)[-1])))


@dataclass(frozen=True)
class DetectionScores:
    """Agreement between the flagged and the truly contaminated clients.

    Attributes
    ----------
    precision, recall, f1 : float
        In [0, 1]. All are 1 when nobody is contaminated and nobody is flagged.
    n_flagged, n_contaminated, n_correct, false_alarms, missed : int
        Numbers of clients.
    exact : bool
        Whether the two sets are equal.
    suspects, poisoned_suspects : int
        Clients that are suspect and not flagged, and how many of them are contaminated.
    """

    precision: float
    recall: float
    f1: float
    n_flagged: int
    n_contaminated: int
    n_correct: int
    false_alarms: int
    missed: int
    exact: bool
    suspects: int = 0
    poisoned_suspects: int = 0


def detection_scores(
    flagged: np.ndarray, contaminated: np.ndarray, suspect: np.ndarray | None = None
) -> DetectionScores:
    """Compute precision, recall and F1 of a set of flagged clients.

    Parameters
    ----------
    flagged, contaminated : ndarray of bool, shape (n_clients,)
    suspect : ndarray of bool, shape (n_clients,), optional
        Who is suspect, counted apart; nobody by default.

    Returns
    -------
    DetectionScores

    Raises
    ------
    ValueError
        If the masks are not boolean or differ in length.

    Examples
    --------
    >>> import numpy as np
    >>> detection_scores(np.array([True, True, False]), np.array([True, False, False])).precision
    0.5
    """
    contaminated = check_mask("contaminated", contaminated, len(contaminated))
    flagged = check_mask("flagged", flagged, len(contaminated))
    doubt = np.zeros_like(flagged) if suspect is None else suspect & ~flagged
    correct = int(np.sum(flagged & contaminated))
    n_flagged, n_contaminated = int(flagged.sum()), int(contaminated.sum())
    return DetectionScores(
        precision=correct / n_flagged if n_flagged else float(n_contaminated == 0),
        recall=correct / n_contaminated if n_contaminated else 1.0,
        f1=2 * correct / (n_flagged + n_contaminated) if n_flagged + n_contaminated else 1.0,
        n_flagged=n_flagged,
        n_contaminated=n_contaminated,
        n_correct=correct,
        false_alarms=n_flagged - correct,
        missed=n_contaminated - correct,
        exact=correct == n_flagged == n_contaminated,
        suspects=int(doubt.sum()),
        poisoned_suspects=int(np.sum(doubt & contaminated)),
    )


def client_errors(estimates: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Compute the Frobenius distance of each client's estimate from its true update.

    Parameters
    ----------
    estimates, truth : ndarray of shape (n_clients, d_out, d_in)

    Returns
    -------
    ndarray of shape (n_clients,)
    """
    return block_norms(estimates - truth)
