"""Settings of one federated regression, and what poisoned clients may do in it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from clair._validation import check_choice, check_integer, check_real
from clair.simulation.matrix_model import count_contaminated

MAX_RANK = 8


@dataclass(frozen=True)
class RegressionAttack:
    """One kind of poisoning.

    Attributes
    ----------
    key, label : str
        Name in configurations, name shown to people.
    sentence : str
        What it does, in one plain sentence.
    kind : {"data", "update"}
        Whether a client's data or its finished estimate is tampered with.
    scaled : bool
        Whether the strength of the attack matters.
    """

    key: str
    label: str
    sentence: str
    kind: Literal["data", "update"] = "data"
    scaled: bool = True


ATTACKS: dict[str, RegressionAttack] = {
    attack.key: attack
    for attack in (
        RegressionAttack(
            "colluders",
            "Colluders, one false map",
            "All poisoned clients add the responses of one and the same false map to their own, "
            "so their estimates agree with each other.",
        ),
        RegressionAttack(
            "response_shift",
            "Response shift",
            "Each poisoned client adds a constant of its own to every response.",
        ),
        RegressionAttack(
            "label_swap",
            "Label swap",
            "Each poisoned client files its responses under the wrong names: the response columns "
            "are permuted.",
            scaled=False,
        ),
        RegressionAttack(
            "leverage",
            "Leverage points",
            "Each poisoned client plants a few samples far out in the input space, with responses "
            "of a false map of its own: a fifth of the data that outweighs the rest.",
        ),
        RegressionAttack(
            "random_responses",
            "Random responses",
            "Poisoned clients draw their responses at random; there is nothing to learn from them.",
            scaled=False,
        ),
        RegressionAttack(
            "negated",
            "Negated responses",
            "Poisoned clients record every response with the opposite sign.",
            scaled=False,
        ),
        RegressionAttack(
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
class RegressionConfig:
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
    poisoned_fraction : float
        In [0, 0.5); the number is rounded and stays below half.
    attack : str
        A key of `ATTACKS`.
    strength : float
        Of the attacks that have one: size of the false map relative to an honest one, > 0.
    rank : int or "auto"
        Rank of the shared subspace CLAIR looks for.
    screen_coefficients : bool
        As in `clair.fit`.
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
    seed : int
        Non-negative; the same config gives the same bytes.

    Raises
    ------
    ValueError
        If a setting breaks its rule; the message names the setting, the rule and the value.
    """

    n_clients: int = 20
    samples: int = 40
    size_ratio: float = 1.0
    correlation: float = 0.5
    noise: float = 1.0
    heterogeneity: float = 1.0
    off_subspace: float = 0.2
    poisoned_fraction: float = 0.3
    attack: str = "colluders"
    strength: float = 1.5
    rank: int | Literal["auto"] = "auto"
    screen_coefficients: bool = False
    precision_weights: bool = False
    refit: bool = True
    own_weight: bool = True
    true_rank: int = 3
    d_out: int = 24
    d_in: int = 16
    n_test: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        check_integer("n_clients", self.n_clients, minimum=3, maximum=64)
        check_integer("samples", self.samples, minimum=6, maximum=2000)
        check_real("size_ratio", self.size_ratio, minimum=1, maximum=50)
        check_real("correlation", self.correlation, minimum=0, maximum=1, open_maximum=True)
        check_real("noise", self.noise, minimum=0, maximum=100, open_minimum=True)
        check_real("heterogeneity", self.heterogeneity, minimum=0)
        check_real("off_subspace", self.off_subspace, minimum=0)
        check_real(
            "poisoned_fraction", self.poisoned_fraction, minimum=0, maximum=0.5, open_maximum=True
        )
        check_choice("attack", self.attack, ATTACKS)
        check_real("strength", self.strength, minimum=0, open_minimum=True)
        if self.rank != "auto":
            check_integer("rank", self.rank, minimum=1, maximum=MAX_RANK)
        for name in ("screen_coefficients", "precision_weights", "refit", "own_weight"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be True or False, got {getattr(self, name)!r}")
        check_integer("true_rank", self.true_rank, minimum=1, maximum=MAX_RANK)
        check_integer("d_out", self.d_out, minimum=8, maximum=64)
        check_integer("d_in", self.d_in, minimum=8, maximum=64)
        check_integer("n_test", self.n_test, minimum=1, maximum=2000)
        check_integer("seed", self.seed, minimum=0, maximum=2**63 - 1)

    @property
    def n_poisoned(self) -> int:
        """Number of contaminated clients: the rounded share, always below half."""
        return count_contaminated(self.poisoned_fraction, self.n_clients)

    @property
    def least_squares_constant(self) -> float:
        """Squared relative error of least squares times n, for large n."""
        rho, d = self.correlation, self.d_in - 1
        inverse = 1 + (2 + (d - 2) * (1 + rho**2)) / (1 - rho**2)
        return self.noise**2 * inverse / (1 + self.off_subspace**2)

    def to_json(self) -> dict[str, Any]:
        """Convert the settings to JSON scalars."""
        return asdict(self)
