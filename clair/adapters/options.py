"""What an audit is asked to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from clair._validation import check_automatic, check_choice, check_integer
from clair.method.compressed_fit import FitOptions

PEFT_SIDES = ("output", "input")


@dataclass(frozen=True)
class AuditOptions:
    """Settings of an audit, validated on construction.

    Attributes
    ----------
    rank : int or "auto"
        Dimension of the subspace the honest clients share in each module, >= 1.
    side : {"output", "input"}
        Whether the verdict looks at columns (LoRA's B) or rows (LoRA's A) of the updates. Clients
        that start from one common A agree on the rows by construction, so columns decide by
        default. Both are always computed and shown.
    solver : {"convex", "irls"}
        For the split into low rank and contamination.
    pooling : {"none", "eb", "halves"}
        For refined adapters; "halves" needs two half adapters of each client.
    detector : {"residual", "norms"}
        Our evidence, or contamination norms as published.
    screen_coefficients : bool
        Whether to look for sign flips inside the shared subspace.
    compare_shape : bool
        Whether to look for entries heavier-tailed than the others'.
    tol : float
        Tolerance of the solver.
    max_iter : int
        Bound on its iterations.
    allow_unjudged : bool
        Whether a set may be called clean although adapters or modules in it were not judged.

    Raises
    ------
    ValueError
        If a setting breaks its rule; the message names the setting, the rule and the value.
    """

    rank: int | str = "auto"
    side: str = "output"
    solver: str = "convex"
    pooling: str = "none"
    detector: str = "residual"
    screen_coefficients: bool = False
    compare_shape: bool = True
    tol: float = 1e-6
    max_iter: int = 200
    allow_unjudged: bool = False

    def __post_init__(self) -> None:
        check_automatic("rank", self.rank)
        if self.rank != "auto":
            check_integer("rank", self.rank, minimum=1)
        check_choice("side", self.side, PEFT_SIDES)
        self.fit_options("output")

    def fit_options(self, side: str) -> FitOptions:
        """Make the keywords of `clair.fit` for one side."""
        return FitOptions(
            side=side,
            lam="auto",
            solver=self.solver,
            pooling=self.pooling,
            detector=self.detector,
            threshold="auto",
            gap="auto",
            polish=True,
            screen_coefficients=self.screen_coefficients,
            compare_shape=self.compare_shape,
            tol=self.tol,
            max_iter=self.max_iter,
        )

    def to_json(self) -> dict[str, Any]:
        """Convert the settings to JSON values."""
        return asdict(self)
