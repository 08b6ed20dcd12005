"""Settings of one federated regression, and what poisoned clients may do in it."""

from __future__ import annotations

from dataclasses import dataclass

from clair.federated.config import FederationConfig, TaskAttack, choice, real, switch, whole

ATTACKS: dict[str, TaskAttack] = {
    attack.key: attack
    for attack in (
        TaskAttack(
            "colluders",
            "Colluders, one false map",
            "All poisoned clients add the responses of one and the same false map to their own, "
            "so their estimates agree with each other.",
        ),
        TaskAttack(
            "response_shift",
            "Response shift",
            "Each poisoned client adds a constant of its own to every response.",
        ),
        TaskAttack(
            "label_swap",
            "Label swap",
            "Each poisoned client files its responses under the wrong names: the response columns "
            "are permuted.",
            scaled=False,
        ),
        TaskAttack(
            "leverage",
            "Leverage points",
            "Each poisoned client plants a few samples far out in the input space, with responses "
            "of a false map of its own: a fifth of the data that outweighs the rest.",
        ),
        TaskAttack(
            "random_responses",
            "Random responses",
            "Poisoned clients draw their responses at random; there is nothing to learn from them.",
            scaled=False,
        ),
        TaskAttack(
            "negated",
            "Negated responses",
            "Poisoned clients record every response with the opposite sign.",
            scaled=False,
        ),
        TaskAttack(
            "sign_flip",
            "Sign flip of the estimate",
            "Poisoned clients estimate honestly and send the exact opposite, which stays inside "
            "the shared directions: only the coefficient screen can see it.",
            kind="update",
            scaled=False,
        ),
    )
}


@dataclass(frozen=True)
class RegressionConfig(FederationConfig):
    """Settings of one federated multi-response regression, validated on construction.

    Client k holds inputs ``X_k`` (n_k, d_in), the first of which is constant, and responses
    ``Y_k = X_k (Theta_0 + Delta_k)' + noise`` (n_k, d_out). Theta_0 is known to everybody.

    Attributes
    ----------
    n_clients : int
        3 to 64.
    samples : int
        Typical number of samples of a client, 6 to 2000.
    size_ratio : float
        How many times more samples the largest client has than the smallest, 1 to 50; sizes are
        spread evenly on a logarithmic scale around `samples`.
    correlation : float
        Correlation of neighbouring inputs, in [0, 1); every client has an order and signs of its
        own, hence a covariance of its own.
    noise : float
        Standard deviation of each response around its mean, > 0; the adaptation to be learned has
        variance 1 per response.
    heterogeneity : float
        In-subspace heterogeneity h >= 0: coefficients are common plus h times own, scaled so that
        the size of an adaptation does not depend on h.
    off_subspace : float
        Size of a client's own part outside the shared subspace relative to its part inside, >= 0.
    strength : float
        Of the attacks that have one: size of the false map relative to an honest one, > 0.
    precision_weights : bool
        Weigh clients by the precision they report (ours).
    refit : bool
        Re-estimate inside the recovered subspace from a client's own data (ours).
    own_weight : bool
        Keep a James-Stein share of a client's own off-subspace part (ours).
    true_rank : int
        Rank of the shared subspace, 1 to 8.
    d_out, d_in : int
        Responses and inputs (the constant included), 8 to 64.
    n_test : int
        Held-out samples of a client, 1 to 2000.
    """

    n_clients: int = whole(20, 3, 64)
    poisoned_fraction: float = real(0.3, 0, 0.5, open_maximum=True)
    attack: str = choice("colluders", ATTACKS)
    samples: int = whole(40, 6, 2000)
    size_ratio: float = real(1.0, 1, 50)
    correlation: float = real(0.5, 0, 1, open_maximum=True)
    noise: float = real(1.0, 0, 100, open_minimum=True)
    heterogeneity: float = real(1.0, 0)
    off_subspace: float = real(0.2, 0)
    strength: float = real(1.5, 0, open_minimum=True)
    precision_weights: bool = switch(False)
    refit: bool = switch(True)
    own_weight: bool = switch(True)
    true_rank: int = whole(3, 1, 8)
    d_out: int = whole(24, 8, 64)
    d_in: int = whole(16, 8, 64)
    n_test: int = whole(200, 1, 2000)

    @property
    def least_squares_constant(self) -> float:
        """Squared relative error of least squares times n, for large n."""
        rho, d = self.correlation, self.d_in - 1
        inverse = 1 + (2 + (d - 2) * (1 + rho**2)) / (1 - rho**2)
        return self.noise**2 * inverse / (1 + self.off_subspace**2)
