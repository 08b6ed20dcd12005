"""Ridge regression with its penalty chosen by generalised cross-validation.

References
----------
Golub, Heath, Wahba, Generalized cross-validation as a method for choosing a good ridge parameter,
Technometrics 1979.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

#: Penalties tried, relative to the number of samples; absolute ones for `joint_ridge`.
PENALTIES = np.logspace(-4, 2, 37)
JOINT_PENALTIES = np.logspace(-3, 4, 57)


@dataclass(frozen=True)
class RidgeFit:
    """A ridge estimate and its estimated error.

    Attributes
    ----------
    coefficients : ndarray of shape (d_out, d_in)
    penalty : float
        The lambda chosen.
    degrees : float
        Degrees of freedom, the trace of the hat matrix.
    noise_variance : float
        Estimated variance of a response around its mean.
    variance : float
        Estimated variance of a row of `coefficients`, summed over its d_in entries.
    """

    coefficients: np.ndarray
    penalty: float
    degrees: float
    noise_variance: float
    variance: float


class Design(NamedTuple):
    """One client's inputs decomposed once, for any responses: ``left @ diag(values) @ right``."""

    left: np.ndarray
    values: np.ndarray
    right: np.ndarray

    @classmethod
    def of(cls, inputs: np.ndarray) -> Design:
        """Decompose inputs of shape (n, d_in)."""
        return cls(*np.linalg.svd(inputs, full_matrices=False))


class _Spectrum:
    """One client's regression, for any number of penalties."""

    def __init__(self, design: Design, responses: np.ndarray) -> None:
        self.n, self.d_out = responses.shape
        left, self.values, self.right = design
        self.projected = left.T @ responses  # (m, d_out)
        self.energy = np.einsum("ij,ij->i", self.projected, self.projected)
        everything = float(np.einsum("ij,ij->", responses, responses))
        self.outside = max(everything - float(self.energy.sum()), 0.0)

    def curves(self, penalties: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute the residual sum of squares and degrees of freedom for each penalty."""
        squares = self.values**2
        kept = squares / (squares + penalties[:, None])  # (n_penalties, m)
        return self.outside + (1 - kept) ** 2 @ self.energy, kept.sum(axis=1)

    def solve(self, penalty: float) -> RidgeFit:
        """Compute the ridge estimate for one penalty."""
        left_over, degrees = self.curves(np.array([penalty]))
        shrink = self.values / (self.values**2 + penalty)
        noise = float(left_over[0] / (self.d_out * (self.n - degrees[0])))
        return RidgeFit(
            coefficients=(self.projected * shrink[:, None]).T @ self.right,
            penalty=penalty,
            degrees=float(degrees[0]),
            noise_variance=noise,
            variance=noise * float(np.sum(shrink**2)),
        )


def ridge_gcv(inputs: np.ndarray | Design, responses: np.ndarray) -> RidgeFit:
    """Minimise ``||Y - X D'||^2 + penalty ||D||^2`` with one penalty for all responses.

    The penalty minimises ``(||Y - H Y||^2 / n) / (1 - tr(H) / n)^2`` over `PENALTIES`.

    Parameters
    ----------
    inputs : ndarray of shape (n, d_in) or Design
    responses : ndarray of shape (n, d_out)

    Returns
    -------
    RidgeFit
    """
    design = inputs if isinstance(inputs, Design) else Design.of(inputs)
    spectrum = _Spectrum(design, responses)
    penalties = spectrum.n * PENALTIES
    left_over, degrees = spectrum.curves(penalties)
    best = int(np.argmin(left_over / (spectrum.n - degrees) ** 2))
    return spectrum.solve(float(penalties[best]))


def joint_ridge(clients: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[RidgeFit]:
    """Estimate by ridge at several clients with one penalty, chosen by all of them together.

    With few responses the criterion of a single client is noisy. The best penalty is noise variance
    over coefficient variance, the same for clients that are alike in both. So their criteria are
    added, as logarithms, which weighs every client the same.

    Parameters
    ----------
    clients : sequence of (inputs, responses)

    Returns
    -------
    list of RidgeFit
    """
    spectra = [_Spectrum(Design.of(inputs), responses) for inputs, responses in clients]
    criterion = np.zeros(JOINT_PENALTIES.size)
    for spectrum in spectra:
        left_over, degrees = spectrum.curves(JOINT_PENALTIES)
        criterion += np.log(left_over) - 2 * np.log(spectrum.n - degrees)
    best = float(JOINT_PENALTIES[int(np.argmin(criterion))])
    return [spectrum.solve(best) for spectrum in spectra]
