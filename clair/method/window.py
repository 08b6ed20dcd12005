"""The window of lambda in which the convex program recovers, and the weight to choose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clair.method.linalg import hstack_blocks


def default_lam(n_clients: int, rank: int, n_modules: int = 1) -> float:
    """Compute the weight that needs no contaminated fraction, ``sqrt(2 r m / K)``.

    For evenly sized clients it lies in the window for every fraction below one half, and the
    window closes at one half. Ours, from the conditions of Xu, Caramanis, Sanghavi 2012.

    Examples
    --------
    >>> round(default_lam(n_clients=24, rank=3), 3)
    0.5
    """
    return float(np.sqrt(2 * rank * n_modules / n_clients))


def lam_window(
    modules: Sequence[np.ndarray], subspaces: Sequence[np.ndarray], contaminated: np.ndarray
) -> tuple[float, float]:
    """Predict the interval of lambda in which the convex program recovers a given split.

    Parameters
    ----------
    modules : sequence of ndarray, each of shape (n_clients, d, b)
        Client blocks of each module.
    subspaces : sequence of ndarray, each of shape (d, rank)
        Orthonormal basis of the shared subspace of each module (true or estimated).
    contaminated : ndarray of bool, shape (n_clients,)

    Returns
    -------
    lam_min : float
        Largest ``||V_k||_F`` of a benign client, V the right singular vectors of the benign
        low-rank part.
    lam_max : float
        ``1 / ||[P_perp S_k / ||P_perp S_k||_F]_k||_2`` over contaminated clients; infinite where
        there are none. The window is empty if below `lam_min`.

    Notes
    -----
    Our reading of the dual conditions of Xu, Caramanis, Sanghavi 2012, section IV, with the part
    of contaminated clients inside the subspace left out of V. In simulation both ends agree with
    the measured ones to about 15 %; `clair.theory.witness` keeps that part and is good to a few
    per cent.
    """
    benign = ~contaminated
    leverage = np.zeros(int(benign.sum()))
    outside = []
    for blocks, basis in zip(modules, subspaces, strict=True):
        coefficients = basis.T @ blocks[benign]
        gram = (coefficients @ coefficients.transpose(0, 2, 1)).sum(axis=0)
        solved = np.linalg.pinv(gram, hermitian=True) @ coefficients
        leverage += np.einsum("kij,kij->k", coefficients, solved)
        bad = blocks[contaminated]
        outside.append(bad - basis @ (basis.T @ bad))
    lam_min = float(np.sqrt(leverage.max()))
    if not contaminated.any():
        return lam_min, float("inf")
    norms = np.sqrt(sum(np.einsum("kij,kij->k", part, part) for part in outside))
    norms = np.where(norms > 0, norms, 1.0)
    largest = max(_spectral_norm(part / norms[:, None, None]) for part in outside)
    return lam_min, 1 / largest if largest > 0 else float("inf")


def choose_lam(window: tuple[float, float], n_clients: int, rank: int, n_modules: int = 1) -> float:
    """Choose the weight to solve with, from an estimated window.

    The geometric mean of an open window; ``sqrt(2) * lam_min`` where nobody is flagged (the default
    with the measured incoherence put in); `default_lam` where the window is closed, or begins at 0
    because the benign clients' updates are zero.
    """
    lam_min, lam_max = window
    if lam_max == float("inf"):
        return max(float(np.sqrt(2)) * lam_min, default_lam(n_clients, rank, n_modules))
    if 0 < lam_min < lam_max:
        return float(np.sqrt(lam_min * lam_max))
    return default_lam(n_clients, rank, n_modules)


def incoherence(lam_min: float, n_benign: int, rank: int) -> float:
    """Compute the benign clients' block incoherence mu, ``lam_min**2 * n_benign / rank``, >= 1.

    It is 1 where every benign client contributes equally to the subspace, and grows when a few
    clients carry much of a direction.
    """
    return lam_min**2 * n_benign / rank


def ideal_window(
    n_clients: int, n_contaminated: int, rank: int, mu: float = 1.0
) -> tuple[float, float]:
    """Compute the window of lambda against the worst coordinated contamination, in closed form.

    ``sqrt(mu r / ((1 - gamma) K))`` to ``sqrt(r / (gamma K))``: contaminated clients that all send
    the same matrix with r equal singular values outside the subspace. Ours, from the conditions of
    Xu, Caramanis, Sanghavi 2012. With mu = 1 it contains `default_lam` for every contaminated
    fraction below one half and is empty from one half on.

    Examples
    --------
    >>> [round(lam, 3) for lam in ideal_window(n_clients=20, n_contaminated=5, rank=3)]
    [0.447, 0.775]
    """
    lam_min = float(np.sqrt(mu * rank / (n_clients - n_contaminated)))
    lam_max = float(np.sqrt(rank / n_contaminated)) if n_contaminated else float("inf")
    return lam_min, lam_max


def collapse_lam(modules: Sequence[np.ndarray]) -> float:
    """Compute the largest lambda at which the low-rank part of the convex program is zero.

    ``min over modules of 1 / ||[M_k / ||M_k||_F]_k||_2`` with ``||M_k||_F`` joint over modules.
    L = 0, S = M is optimal exactly if the only dual variable it allows, ``lam M_k / ||M_k||_F``,
    has no singular value above one. Ours; elementary.

    Parameters
    ----------
    modules : sequence of ndarray, each of shape (n_clients, d, b)

    Returns
    -------
    float
        > 0; infinite if all updates are zero.
    """
    norms = np.sqrt(sum(np.einsum("kij,kij->k", blocks, blocks) for blocks in modules))
    norms = np.where(norms > 0, norms, 1.0)
    largest = max(_spectral_norm(blocks / norms[:, None, None]) for blocks in modules)
    return 1 / largest if largest > 0 else float("inf")


def _spectral_norm(blocks: np.ndarray) -> float:
    """Compute the largest singular value of blocks side by side."""
    wide = hstack_blocks(blocks)
    gram = wide @ wide.T if wide.shape[0] <= wide.shape[1] else wide.T @ wide
    return float(np.sqrt(max(np.linalg.eigvalsh(gram)[-1], 0.0)))
