"""The matrix model: clients whose updates share a subspace, some of them contaminated."""

from __future__ import annotations

import warnings
from dataclasses import InitVar, dataclass, replace

import numpy as np

from clair._validation import check_choice, check_integer, check_mask, check_real
from clair.method.linalg import block_norms, orthonormal
from clair.simulation.attack_plan import AttackContext, AttackPlan
from clair.simulation.attacks import ATTACKS, Attack

#: Random streams of a problem; anything drawn later takes a higher stream number.
STREAMS = 7


@dataclass(frozen=True)
class ProblemSpec:
    """Everything that determines one synthetic problem.

    Benign client k holds ``Delta_k = U C_k + H_k``; the server sees ``Delta_k + E_k``.

    Attributes
    ----------
    n_clients : int
        Number of clients K, >= 3.
    d_out, d_in : int
        Shape of an update, >= 1.
    rank : int
        Dimension r of the shared subspace, 1 <= rank <= min(d_out, d_in).
    poisoned_fraction : float
        Share of contaminated clients, in [0, 1), rounded to whole clients: fewer than half of them
        below 0.5, at least half from there on, and always one honest client.
    noise : float
        Standard deviation of each entry of the estimation error E_k, >= 0.
    heterogeneity : float
        In-subspace heterogeneity: ``C_k = C_0 + heterogeneity * own draw``, entries of variance
        1 / d_in, >= 0.
    off_subspace : float
        Off-subspace heterogeneity: ``||H_k||_F = off_subspace * sqrt(rank)``, >= 0.
    attack : str
        A key of ``clair.simulation.attacks.ATTACKS``.
    attack_scale : float
        Strength of the attack relative to a typical benign update, > 0.
    unevenness : float
        Standard deviation of the logarithm of the clients' sizes, >= 0; raises the block
        incoherence of the benign clients.
    data_spread : float
        Standard deviation of the logarithm of the clients' numbers of examples, >= 0. The
        estimation error of a client shrinks with the root of its examples; `noise` is that of the
        client in the middle.
    second_attack : str
        What part of the contaminated clients do instead, a key of the same table as `attack`.
    second_share : float
        Share of the contaminated clients that do, in [0, 1], rounded to whole clients.
    seed : int
        Non-negative. The same spec gives the same bytes.
    contaminated_fraction : float, optional
        Former name of `poisoned_fraction`; warns, and goes with version 0.2.

    Raises
    ------
    ValueError
        If a field is out of its range.
    """

    n_clients: int = 20
    d_out: int = 32
    d_in: int = 32
    rank: int = 3
    poisoned_fraction: float = 0.25
    noise: float = 0.03
    heterogeneity: float = 1.0
    off_subspace: float = 0.0
    attack: str = "low_rank"
    attack_scale: float = 1.0
    seed: int = 0
    unevenness: float = 0.0
    data_spread: float = 0.0
    second_attack: str = "sign_flip"
    second_share: float = 0.0
    contaminated_fraction: InitVar[float | None] = None

    def __post_init__(self, contaminated_fraction: float | None) -> None:
        if contaminated_fraction is not None:
            warnings.warn(_FORMER_NAME, DeprecationWarning, stacklevel=3)
            object.__setattr__(self, "poisoned_fraction", contaminated_fraction)
        check_integer("n_clients", self.n_clients, minimum=3)
        check_integer("d_out", self.d_out, minimum=1)
        check_integer("d_in", self.d_in, minimum=1)
        check_integer("rank", self.rank, minimum=1)
        if self.rank > min(self.d_out, self.d_in):
            raise ValueError(
                f"rank must be at most min(d_out, d_in) = {min(self.d_out, self.d_in)}, "
                f"got {self.rank}"
            )
        check_real(
            "poisoned_fraction",
            self.poisoned_fraction,
            minimum=0,
            maximum=1,
            open_maximum=True,
        )
        for name in ("noise", "heterogeneity", "off_subspace", "unevenness", "data_spread"):
            check_real(name, getattr(self, name), minimum=0)
        check_real("attack_scale", self.attack_scale, minimum=0, open_minimum=True)
        check_choice("attack", self.attack, ATTACKS)
        check_choice("second_attack", self.second_attack, ATTACKS)
        check_real("second_share", self.second_share, minimum=0, maximum=1)
        check_integer("seed", self.seed, minimum=0)

    @property
    def n_contaminated(self) -> int:
        """Number of contaminated clients; fewer than half exactly if the fraction is below 0.5."""
        return count_contaminated(self.poisoned_fraction, self.n_clients)


_FORMER_NAME = "contaminated_fraction is called poisoned_fraction now; the old name goes in 0.2"


def count_contaminated(fraction: float, n_clients: int) -> int:
    """Round a share of the clients to whole clients, on the same side of one half.

    Examples
    --------
    >>> [count_contaminated(share, 10) for share in (0.25, 0.49, 0.5, 0.99)]
    [2, 4, 5, 9]
    """
    nearest = round(fraction * n_clients)
    if fraction < 0.5:
        return min(nearest, (n_clients - 1) // 2)
    return min(max(nearest, (n_clients + 1) // 2), n_clients - 1)


@dataclass(frozen=True)
class Problem:
    """A sampled problem: what the server sees, and apart from it the ground truth.

    Attributes
    ----------
    spec : ProblemSpec
    updates : ndarray of shape (n_clients, d_out, d_in)
        What the server sees; methods may use nothing else.
    true_updates : ndarray of shape (n_clients, d_out, d_in)
        Ground truth: noiseless honest updates, of contaminated clients too.
    subspace : ndarray of shape (d_out, rank)
        Ground truth: orthonormal basis of the shared subspace.
    contaminated : ndarray of bool, shape (n_clients,)
        Ground truth: who is contaminated.
    """

    spec: ProblemSpec
    updates: np.ndarray
    true_updates: np.ndarray
    subspace: np.ndarray
    contaminated: np.ndarray


def sample_problem(spec: ProblemSpec, plan: AttackPlan | Attack | None = None) -> Problem:
    """Sample the matrix model.

    Each ingredient (subspace, coefficients, off-subspace part, noise, choice of clients, attack)
    has its own random stream, and clients come first in every array: raising the noise leaves the
    subspace as it was, and more contaminated clients include the earlier ones.

    Parameters
    ----------
    spec : ProblemSpec
    plan : AttackPlan or callable, optional
        What the contaminated clients do instead of the attacks that `spec` names; a function has
        the signature of those in ``clair.simulation.attacks``.

    Returns
    -------
    Problem

    Examples
    --------
    >>> problem = sample_problem(ProblemSpec(n_clients=8, d_out=6, d_in=5, rank=2))
    >>> problem.updates.shape, int(problem.contaminated.sum())
    ((8, 6, 5), 2)
    """
    shape = (spec.n_clients, spec.d_out, spec.d_in)
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence(spec.seed).spawn(STREAMS)]
    subspace_rng, shared_rng, own_rng, off_rng, noise_rng, choice_rng, attack_rng = streams

    subspace = orthonormal(subspace_rng.standard_normal((spec.d_out, spec.rank)))
    common = shared_rng.standard_normal((spec.rank, spec.d_in))
    own = own_rng.standard_normal((spec.n_clients, spec.rank, spec.d_in))
    coefficients = (common + spec.heterogeneity * own) / np.sqrt(spec.d_in)
    sizes = np.exp(spec.unevenness * choice_rng.standard_normal(spec.n_clients))
    true_updates = subspace @ coefficients * sizes[:, None, None]

    if spec.off_subspace > 0 and spec.rank < spec.d_out:
        off = off_rng.standard_normal(shape)
        off -= subspace @ (subspace.T @ off)
        size = spec.off_subspace * np.sqrt(spec.rank)
        true_updates = true_updates + off * (size / block_norms(off))[:, None, None]

    contaminated = np.zeros(spec.n_clients, dtype=bool)
    contaminated[choice_rng.permutation(spec.n_clients)[: spec.n_contaminated]] = True
    errors = _noise_levels(spec)[:, None, None] * noise_rng.standard_normal(shape)
    sent = true_updates.copy()
    if spec.n_contaminated:
        context = AttackContext(
            benign=true_updates[~contaminated],
            benign_errors=errors[~contaminated],
            errors=errors[contaminated],
            subspace=subspace,
            rank=spec.rank,
            magnitude=float(np.sqrt(spec.rank * (1 + spec.heterogeneity**2))),
            heterogeneity=spec.heterogeneity,
            noise=spec.noise,
            scale=spec.attack_scale,
        )
        honest = true_updates[contaminated]
        sent[contaminated] = _attacked(spec, plan, honest, context, attack_rng)
    return Problem(spec, sent + errors, true_updates, subspace, contaminated)


def _stream(spec: ProblemSpec, number: int) -> np.random.Generator:
    """Open a random stream that later versions added, so that the earlier ones stay the same."""
    return np.random.default_rng(np.random.SeedSequence(spec.seed, spawn_key=(number,)))


def _noise_levels(spec: ProblemSpec) -> np.ndarray:
    """Draw each client's standard deviation of the estimation error, (n_clients,)."""
    examples = _stream(spec, STREAMS + 1).standard_normal(spec.n_clients)
    levels: np.ndarray = spec.noise * np.exp(-spec.data_spread * examples / 2)
    return levels


def _attacked(
    spec: ProblemSpec,
    plan: AttackPlan | Attack | None,
    honest: np.ndarray,
    context: AttackContext,
    rng: np.random.Generator,
) -> np.ndarray:
    """Make what the contaminated clients send, less their estimation errors."""
    if plan is not None:
        return plan(honest, context, rng)
    n_first = len(honest) - round(spec.second_share * len(honest))
    groups = (
        (spec.attack, slice(None, n_first), rng),
        (spec.second_attack, slice(n_first, None), _stream(spec, STREAMS + 2)),
    )
    sent = np.empty_like(honest)
    for attack, group, stream in groups:
        if len(honest[group]):
            own = replace(context, errors=context.errors[group])
            sent[group] = ATTACKS[attack].run(honest[group], own, stream)
    return sent


def sample_modules(
    spec: ProblemSpec, n_modules: int, plan: AttackPlan | Attack | None = None
) -> tuple[Problem, ...]:
    """Sample several modules of the same clients, the first of them as `sample_problem` does.

    Each module has a subspace, coefficients, errors and attacks of its own. Who is contaminated is
    the same in all.

    Parameters
    ----------
    spec : ProblemSpec
        Without `unevenness` and `data_spread` if there are several modules.
    n_modules : int
        >= 1.
    plan : AttackPlan or callable, optional
        See `sample_problem`.

    Returns
    -------
    tuple of Problem

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> first, second = sample_modules(ProblemSpec(n_clients=8), 2)
    >>> bool((first.contaminated == second.contaminated).all())
    True
    """
    check_modules(spec, n_modules)
    first = sample_problem(spec, plan)
    modules = [first]
    for number in range(1, n_modules):
        (seed,) = np.random.SeedSequence([spec.seed, number]).generate_state(1)
        drawn = sample_problem(replace(spec, seed=int(seed)), plan)
        order = np.empty(spec.n_clients, dtype=int)
        order[first.contaminated] = np.flatnonzero(drawn.contaminated)
        order[~first.contaminated] = np.flatnonzero(~drawn.contaminated)
        modules.append(
            replace(
                drawn,
                updates=drawn.updates[order],
                true_updates=drawn.true_updates[order],
                contaminated=first.contaminated,
            )
        )
    return tuple(modules)


def check_modules(spec: ProblemSpec, n_modules: int) -> None:
    """Check that problems of so many modules can be drawn, see `sample_modules`."""
    check_integer("n_modules", n_modules, minimum=1)
    # How much data a client has would have to be the same in all modules.
    for name in ("unevenness", "data_spread"):
        if n_modules > 1 and getattr(spec, name) > 0:
            raise ValueError(
                f"{name} must be 0 with more than one module, got {getattr(spec, name)}"
            )


def sample_halves(
    problem: Problem, *, inflated: np.ndarray | None = None, factor: float = 10.0
) -> tuple[np.ndarray, np.ndarray]:
    """Sample what clients would have sent after training on either half of their data.

    The full update is the mean of the two. Each half has an estimation error of its own, larger by
    the square root of two; poisoned clients send the same attack twice.

    Parameters
    ----------
    problem : Problem
    inflated : ndarray of bool, shape (n_clients,), optional
        Clients that lie about their halves: these differ `factor` times as much as they should.
    factor : float
        > 0.

    Returns
    -------
    pair of ndarray of shape (n_clients, d_out, d_in)

    Examples
    --------
    >>> problem = sample_problem(ProblemSpec(n_clients=8))
    >>> first, second = sample_halves(problem)
    >>> np.allclose((first + second) / 2, problem.updates)
    True
    """
    factor = check_real("factor", factor, minimum=0, open_minimum=True)
    levels = _noise_levels(problem.spec)[:, None, None]
    apart = levels * _stream(problem.spec, STREAMS).standard_normal(problem.updates.shape)
    if inflated is not None:
        apart[check_mask("inflated", inflated, len(apart))] *= factor
    return problem.updates + apart, problem.updates - apart
