"""What attackers agree on, as plain numbers: groups of them, each with its own tactic.

A `Tactic` is a point of one small family that holds the attacks known to trouble robust
aggregation, and those in between; an `AttackPlan` lets groups of attackers follow different ones
(a loud decoy in front of quiet colleagues). Plans are written and read as JSON, and as one short
word for an address or a command line, so an attack that was found once can be shown, kept and
repeated anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from clair._validation import check_integer, check_real
from clair.method.linalg import block_norms, orthonormal


@dataclass(frozen=True)
class AttackContext:
    """What an attacker knows: everything but the defence's own random choices.

    Attributes
    ----------
    benign : ndarray of shape (n_benign, d_out, d_in)
        The benign clients' true updates.
    benign_errors : ndarray of shape (n_benign, d_out, d_in)
        Their estimation errors: a benign client sends the sum of both.
    errors : ndarray of shape (n_attackers, d_out, d_in)
        The attackers' own estimation errors, which are added to whatever an attack returns; an
        attack without noise subtracts them.
    subspace : ndarray of shape (d_out, rank)
        Orthonormal basis of the shared subspace.
    rank : int
        Rank of the shared subspace; attacks of low rank use the same.
    magnitude : float
        Typical Frobenius norm of a benign update; ``scale`` is relative to it.
    heterogeneity : float
        How much colluders differ from each other, as benign clients do.
    noise : float
        Standard deviation of each entry of the estimation errors, >= 0.
    scale : float
        Strength of the attack, > 0; 1 is the size of a benign update.
    """

    benign: np.ndarray
    benign_errors: np.ndarray
    errors: np.ndarray
    subspace: np.ndarray
    rank: int
    magnitude: float
    heterogeneity: float
    noise: float
    scale: float


#: Longest text that is read as a plan; the longest that is written has less than 800 characters.
MAX_TEXT = 1000


def _number(default: float, low: float, high: float, about: str) -> Any:
    return field(default=default, metadata={"low": low, "high": high, "about": about})


@dataclass(frozen=True)
class Tactic:
    """How one group of attackers makes its updates.

    An attacker sends a sum: ``own`` times its honest update, a foreign part, ``copy`` times a
    victim's update, ``echo`` times the victim's residual, ``mean`` times the benign mean,
    ``deviation`` times the benign clients' entrywise standard deviation and ``noise`` times its
    estimation error. The victim is the benign client that stands out most: the one with the largest
    part outside the shared subspace. The strength of an attack multiplies the foreign part,
    `tilt` (up to 1), `copy`, `echo` and `deviation`.

    Attributes
    ----------
    share : float
        Weight of the group among the attackers, in [0, 1]; every group gets at least one while
        there are attackers left.
    own : float
        Factor of the honest update: 1 keeps it, 0 drops it, -1 reverses it.
    tilt : float
        Sine of the angle by which the group turns the shared directions towards foreign ones of its
        own, in [0, 1].
    size : float
        Frobenius norm of the foreign part relative to a typical benign update, >= 0.
    directions : int
        Rank of the foreign part; 0 for a dense one.
    agree : float
        How far the group shares the directions of the foreign part: 0 each its own, 1 all the same.
    alike : float
        As `agree`, for the coefficients along the directions; with both at 1 the foreign parts are
        identical.
    inside : float
        Share of the foreign part's energy inside the shared subspace, in [0, 1].
    spike : float
        Exponent of the foreign factors' entries: 0 gives entries of one size (light tails), 1
        Gaussian ones, more a few large ones (heavy tails).
    ladder : float
        Ratio by which the residual grows from one client of the group to the next, >= 1.
    copy : float
        Factor of the victim's update as it was sent.
    echo : float
        Factor of the victim's residual, its part outside the shared subspace.
    mean, deviation : float
        Factors of the benign mean and of the standard deviation of each entry over benign clients.
    noise : float
        Factor of the attacker's own estimation error: 0 sends without noise, 1 as benign clients.
    """

    share: float = _number(1.0, 0, 1, "weight of the group")
    own: float = _number(1.0, -100, 100, "own honest update")
    tilt: float = _number(0.0, 0, 1, "shared directions turned")
    size: float = _number(0.0, 0, 1000, "size of the foreign part")
    directions: int = _number(1, 0, 64, "its rank (0: dense)")
    agree: float = _number(1.0, 0, 1, "its directions shared")
    alike: float = _number(1.0, 0, 1, "its coefficients shared")
    inside: float = _number(0.0, 0, 1, "its share inside the subspace")
    spike: float = _number(1.0, 0, 4, "its tails")
    ladder: float = _number(1.0, 1, 10, "growth from client to client")
    copy: float = _number(0.0, -10, 10, "a victim's update")
    echo: float = _number(0.0, -10, 10, "a victim's residual")
    mean: float = _number(0.0, -100, 100, "the honest mean")
    deviation: float = _number(0.0, -100, 100, "the honest deviation")
    noise: float = _number(1.0, 0, 10, "own noise")

    def __post_init__(self) -> None:
        for item in fields(self):
            value, low, high = getattr(self, item.name), item.metadata["low"], item.metadata["high"]
            if item.name == "directions":
                check_integer(item.name, value, minimum=low, maximum=high)
            else:
                number = check_real(item.name, value, minimum=low, maximum=high)
                object.__setattr__(self, item.name, number)

    def to_json(self) -> dict[str, float]:
        """Convert to JSON values: the share, and the fields that differ from an honest client's."""
        usual = asdict(Tactic())
        return {k: v for k, v in asdict(self).items() if k == "share" or v != usual[k]}


@dataclass(frozen=True)
class AttackPlan:
    """A tactic for each group of attackers.

    Attributes
    ----------
    tactics : tuple of Tactic
        One to four.

    Examples
    --------
    >>> plan = AttackPlan((Tactic(size=1, own=0, noise=0),))
    >>> AttackPlan.from_json(plan.to_json()) == plan
    True
    """

    tactics: tuple[Tactic, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.tactics) <= 4:
            raise ValueError(f"tactics must be one to four, got {len(self.tactics)}")

    def to_json(self) -> list[dict[str, float]]:
        """Convert to JSON values, one object per tactic; see `Tactic.to_json`."""
        return [tactic.to_json() for tactic in self.tactics]

    @staticmethod
    def from_json(values: Any) -> AttackPlan:
        """Rebuild a plan from what `to_json` wrote.

        Raises
        ------
        ValueError
            If `values` is not a list of objects with the fields of `Tactic` in their ranges.
        """
        if not isinstance(values, Sequence) or not all(isinstance(v, Mapping) for v in values):
            raise ValueError("plan must be a list of objects, one a group of attackers")
        known = [item.name for item in fields(Tactic)]
        for value in values:
            if unknown := [key for key in value if key not in known]:
                raise ValueError(
                    f"plan must have fields among {', '.join(known)}, got {unknown[0]!r}"
                )
        return AttackPlan(tuple(Tactic(**value) for value in values))

    def to_text(self) -> str:
        """Write the plan as one word of letters, digits, ``.``, ``-`` and ``_``.

        Fields and values alternate, and a double underscore parts the tactics.

        Examples
        --------
        >>> AttackPlan((Tactic(share=0, size=40), Tactic(own=-1, noise=0.5))).to_text()
        'share_0_size_40__share_1_own_-1_noise_0.5'
        """
        return "__".join(
            "_".join(f"{name}_{repr(value).removesuffix('.0')}" for name, value in one.items())
            for one in self.to_json()
        )

    @staticmethod
    def from_text(text: str) -> AttackPlan:
        """Rebuild a plan from what `to_text` wrote.

        Raises
        ------
        ValueError
            If `text` is longer than `MAX_TEXT`, or does not alternate fields of `Tactic` and
            numbers in their ranges.
        """
        if len(text) > MAX_TEXT:
            raise ValueError(f"plan must have at most {MAX_TEXT} characters, got {len(text)}")
        return AttackPlan.from_json([_tactic_values(part) for part in text.split("__")])

    def groups(self, n_attackers: int) -> list[np.ndarray]:
        """Split ``range(n_attackers)`` into the positions of each tactic's attackers.

        Groups are filled in order; with fewer attackers than tactics the last ones stay empty.
        """
        shares = np.array([max(t.share, 1e-9) for t in self.tactics])
        first = np.minimum(1, np.maximum(n_attackers - np.arange(len(shares)), 0))
        spare = n_attackers - int(first.sum())
        wanted = n_attackers * shares / shares.sum() - first
        wanted = np.maximum(wanted, 0.0)
        wanted *= spare / max(float(wanted.sum()), 1e-12)
        ends = np.rint(np.cumsum(wanted)).astype(int) + np.cumsum(first)
        ends[-1] = n_attackers
        return np.split(np.arange(n_attackers), ends[:-1])

    def __call__(
        self, honest: np.ndarray, context: AttackContext, rng: np.random.Generator
    ) -> np.ndarray:
        """Make what the attackers send; the caller adds the estimation errors of all clients.

        Parameters
        ----------
        honest : ndarray of shape (n_attackers, d_out, d_in)
            What the attackers would honestly have sent.
        context : AttackContext
        rng : numpy.random.Generator

        Returns
        -------
        ndarray of shape (n_attackers, d_out, d_in)
        """
        sent = honest.copy()
        streams = rng.spawn(len(self.tactics))
        groups = self.groups(len(honest))
        for tactic, group, stream in zip(self.tactics, groups, streams, strict=True):
            if len(group):
                sent[group] = _group(tactic, honest[group], context.errors[group], context, stream)
        return sent


def _tactic_values(text: str) -> dict[str, float]:
    """Read the fields and numbers of one tactic; their names and ranges are checked later."""
    words = text.split("_")
    names, numbers = words[::2], words[1::2]
    if len(names) != len(numbers) or len(set(names)) != len(names):
        raise ValueError(f"plan must alternate fields, each once, and numbers, got {text!r:.60}")
    values: dict[str, float] = {}
    for name, number in zip(names, numbers, strict=True):
        try:
            values[name] = int(number) if name == "directions" else float(number)
        except ValueError:
            wrong = f"{name!r:.30} of a plan must be a number, got {number!r:.30}"
            raise ValueError(wrong) from None
    return values


def victim(context: AttackContext) -> int:
    """Find the benign client with the largest part off the subspace, as a position among them."""
    return int(np.argmax(block_norms(_outside(context.benign + context.benign_errors, context))))


def _outside(blocks: np.ndarray, context: AttackContext) -> np.ndarray:
    basis = context.subspace
    outside: np.ndarray = blocks - basis @ (basis.T @ blocks)
    return outside


def _group(
    tactic: Tactic,
    honest: np.ndarray,
    errors: np.ndarray,
    context: AttackContext,
    rng: np.random.Generator,
) -> np.ndarray:
    """Make what one group sends, less its estimation errors, which all updates get later."""
    turn_rng, foreign_rng = rng.spawn(2)
    scale = context.scale
    sent = tactic.own * _turned(honest, min(scale * tactic.tilt, 1.0), context, turn_rng)
    sent += _sizes(tactic, len(honest), context)[:, None, None] * _foreign(
        tactic, honest.shape, context, foreign_rng
    )
    if tactic.copy or tactic.echo:
        k = victim(context)
        theirs = context.benign[k] + context.benign_errors[k]
        sent += scale * (tactic.copy * theirs + tactic.echo * _outside(theirs[None], context))
    if tactic.mean:
        sent += tactic.mean * context.benign.mean(axis=0)
    if tactic.deviation:
        sent += scale * tactic.deviation * context.benign.std(axis=0)
    sent += (tactic.noise - 1) * errors
    return sent


def _sizes(tactic: Tactic, n: int, context: AttackContext) -> np.ndarray:
    """Compute the norms of the foreign parts, (n,); a ladder is relative to the noise's norm."""
    d_out, rank = context.subspace.shape
    outside = context.noise * np.sqrt((d_out - rank) * context.benign.shape[2])
    steps = tactic.ladder ** (2.0 * np.arange(1, n + 1)) - 1
    size = tactic.size * context.magnitude
    sizes: np.ndarray = context.scale * np.sqrt(size**2 + steps * outside**2)
    return sizes


def _turned(
    honest: np.ndarray, sine: float, context: AttackContext, rng: np.random.Generator
) -> np.ndarray:
    """Turn the shared subspace of honest updates towards one that the group agrees on."""
    basis = context.subspace
    d_out, rank = basis.shape
    if sine == 0 or d_out < 2 * rank:
        return honest
    false = orthonormal(_outside(rng.standard_normal((1, d_out, rank)), context)[0])
    moved = (np.sqrt(1 - sine**2) - 1) * basis + sine * false
    turned: np.ndarray = honest + moved @ (basis.T @ honest)
    return turned


def _foreign(
    tactic: Tactic, shape: tuple[int, ...], context: AttackContext, rng: np.random.Generator
) -> np.ndarray:
    """Draw foreign parts of norm 1, (n, d_out, d_in)."""
    n, d_out, d_in = shape
    if tactic.size == 0 and tactic.ladder == 1:
        return np.zeros(shape)

    def draw(rows: int, columns: int, common: float) -> np.ndarray:
        shared = rng.standard_normal((rows, columns))
        mixed = common * shared + np.sqrt(1 - common**2) * rng.standard_normal((n, rows, columns))
        powered: np.ndarray = np.sign(mixed) * np.abs(mixed) ** tactic.spike
        return powered

    if tactic.directions == 0:
        foreign = draw(d_out, d_in, tactic.alike)
    else:
        rank = min(tactic.directions, d_out, d_in)
        foreign = draw(d_out, rank, tactic.agree) @ draw(rank, d_in, tactic.alike)
    inside = context.subspace @ draw(context.rank, d_in, tactic.alike)
    share = tactic.inside if d_out > context.rank else 1.0
    return np.sqrt(1 - share) * _unit(_outside(foreign, context)) + np.sqrt(share) * _unit(inside)


def _unit(blocks: np.ndarray) -> np.ndarray:
    norms = np.maximum(block_norms(blocks), np.finfo(float).tiny)
    scaled: np.ndarray = blocks / norms[:, None, None]
    return scaled
