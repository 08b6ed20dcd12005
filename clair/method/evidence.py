"""Kinds of evidence against a client, and how much each client counts in what the others get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clair.method.concentration import SCORE_FLOOR
from clair.method.linalg import block_grams, median
from clair.method.moments import Moments

#: A gap must reach the first ratio, and its far side the second times the median below.
GAP = (1.15, 1.25)
#: The same for the gap below which a client is beyond suspicion.
WEAK_GAP = (1.10, 1.15)
#: For the repetition on those that an earlier gap kept.
AGAIN = (1.25, 1.35)
#: For the strongest directions, which hold less noise and spread more.
DIRECTIONS_GAP = (1.30, 1.40)
#: For the root mean square over modules.
MODULES_GAP = (1.25, 1.35)
#: How many standard deviations of noise's concentration above 1 the two ratios of a gap are, at
#: least those of `GAP`.
STRUCTURE_SDS = (3.0, 6.0)
#: A gap below the m highest still compared, of n scores, is at least ``1 + SPREAD_FEW / (m n)``
#: times as wide as the scores below it spread.
SPREAD_FEW = 12.0
#: Factor on a gap's ratios by the number of clients compared: few scores have wide gaps by chance.
FEW = {4: 1.75, 5: 1.30, 6: 1.15, 7: 1.05}
MIN_CLIENTS = 4
#: Share of a kept client's usual signal that a noisy honest client still shows.
SIGNAL_SHARE = 0.7
#: Cosine with the kept clients' mean below minus which a client speaks against them.
AGAINST = 0.25
#: A residual is noise alone if its largest singular value squared is below this multiple of the
#: noise edge squared; those of the majority are if they are less than so many times as concentrated
#: as noise.
NOISE_SLACK = 1.25
#: Errors of the shared subspace explain up to so many times the energy outside that is expected of
#: them. They have structure, and honest clients with very many data send little else there.
LET_OUT = 4.0
#: Honest clients may have parts of low rank of their own. This many times the lower quartile of
#: such parts, relative to what each client sends inside, is taken as honest.
OWN_PARTS = 2.0
#: Who sends less than usual outside, and less than this share of the typical energy in all, may
#: have few data. An update from few samples has low rank, so structure does not count against it.
FEW_DATA = 0.6
#: Median of a squared standard normal variable.
CHI2_MEDIAN = 0.4549
#: Clients that count for less than this are suspect: what they send outside repeats others'.
REPEATS = 0.5


@dataclass(frozen=True)
class Evidence:
    """Scores of one kind and the line drawn between them.

    Attributes
    ----------
    kind : str
        A key of `clair.method.words.KINDS`.
    scores : ndarray of shape (n_clients,)
        >= 0, large for suspicious clients.
    flagged : ndarray of bool, shape (n_clients,)
    threshold : float
        Between the highest kept and the lowest flagged score; infinite where nobody is flagged.
    margin : float
        Lowest flagged over highest kept score, or where nobody is flagged the largest ratio of
        neighbours in the upper half; >= 1, and 1 where nobody is kept.
    """

    kind: str
    scores: np.ndarray
    flagged: np.ndarray
    threshold: float
    margin: float


def gap_rule(
    kind: str,
    scores: np.ndarray,
    gap: tuple[float, float] = GAP,
    *,
    again: tuple[float, float] | None = AGAIN,
    spread: bool = True,
    floor: float = 0.0,
    among: np.ndarray | None = None,
) -> Evidence:
    """Flag the clients above the gap in the upper half of the scores that chance explains least.

    Where the logarithms of scores fall off exponentially, the gap below the m highest is on average
    an m-th of the gap below the highest. So a gap counts m times, m being the number of scores
    above it that are still compared, and may be narrower the larger m is. If the gap that counts
    most is not wide enough, the widest is looked at.

    Parameters
    ----------
    kind : str
        Of the evidence.
    scores : ndarray of shape (n_clients,)
        >= 0, large for suspicious clients.
    gap : tuple of float
        The gap's least ratio between neighbours, and the least ratio of the first score above it
        to the median of those below. Both >= 1.
    again : tuple of float, optional
        The same for the rule repeated on those kept, until it finds nothing: loud clients would
        hide the others. None applies the rule once.
    spread : bool
        Whether to allow for chance: to count gaps as said, and to require that they are wide for
        how the scores below spread upwards of their median. Otherwise the widest gap is taken.
    floor : float
        Scores below are treated as equal to it.
    among : ndarray of bool, shape (n_clients,), optional
        The clients that are compared, all by default; the others are not flagged.

    Returns
    -------
    Evidence
        More than half of the clients compared are kept.

    References
    ----------
    Rényi 1953 (gaps of ordered exponential variables). The rule is ours.
    """
    clients = np.arange(len(scores)) if among is None else np.flatnonzero(among)
    # The quotient of any two must be a number, also where most scores are zero.
    least = max(floor, 1e-300 * float(scores.max(initial=0.0)), np.finfo(float).tiny)
    ordered = np.sort(np.maximum(scores[clients], least))
    half, top = len(ordered) // 2 + 1, len(ordered)
    ratios = ordered[half:] / ordered[half - 1 : -1]
    threshold, margin = float("inf"), float(ratios.max(initial=1.0))
    needed: tuple[float, float] | None = gap
    while needed is not None and half < top:
        cut = _wide_gap(ordered, top, needed, spread)
        if cut is None:
            break
        top, margin, needed = cut, float(ordered[cut] / ordered[cut - 1]), again
        threshold = float(np.sqrt(ordered[cut - 1]) * np.sqrt(ordered[cut]))
    flagged = np.zeros(len(scores), dtype=bool)
    flagged[clients] = np.maximum(scores[clients], least) > threshold
    return Evidence(kind, scores, flagged, threshold, margin)


def _wide_gap(
    ordered: np.ndarray, top: int, needed: tuple[float, float], spread: bool
) -> int | None:
    """Find the first score above the line among the `top` lowest; None if no gap is wide enough.

    The gap that chance explains least is looked at first. If it is not wide enough, the widest is:
    above it there may be a single loud client.
    """
    n, half = len(ordered), len(ordered) // 2 + 1
    steps = np.log(ordered[half:top] / ordered[half - 1 : top - 1])
    above = np.arange(top - half, 0, -1)
    for weighed in (steps * above, steps) if spread else (steps,):
        place = int(np.argmax(weighed))
        cut = half + place
        below = ordered[:cut]
        if ordered[cut] / ordered[cut - 1] < needed[0] or ordered[cut] < needed[1] * median(below):
            continue
        factor = 1 + SPREAD_FEW / (n * above[place])
        if not spread or steps[place] >= _upward_spread(below) * factor:
            return cut
    return None


def _upward_spread(ordered: np.ndarray) -> float:
    """Compute the root mean square of the upper half's logarithms about the median."""
    upper = np.log(ordered[len(ordered) // 2 :] / median(ordered))
    return float(np.sqrt(np.mean(upper**2)))


def threshold_rule(scores: np.ndarray, threshold: float) -> Evidence:
    """Flag every client whose score exceeds a given threshold."""
    flagged = scores > threshold
    highest, lowest = scores[~flagged].max(initial=0.0), scores[flagged].min(initial=np.inf)
    # There is nothing to compare where all are flagged or nobody is.
    both = flagged.any() and not flagged.all()
    with np.errstate(divide="ignore", over="ignore"):
        margin = float(np.divide(lowest, highest)) if both else 1.0
    return Evidence("threshold", scores, flagged, threshold, margin)


def stricter(gap: tuple[float, float], n_compared: int) -> tuple[float, float]:
    """Raise a gap's ratios where few clients are compared."""
    factor = FEW.get(n_compared, 1.0)
    return gap[0] * factor, gap[1] * factor


def structure_scores(
    moments: Sequence[Moments], kept: np.ndarray, rank: int, comparable: np.ndarray
) -> tuple[np.ndarray, tuple[float, float]] | None:
    """Measure how much more concentrated than noise it is what clients send outside.

    A matrix with singular values s_i is concentrated to the degree ``sum s_i^4 / (sum s_i^2)^2``,
    one over the number of directions that hold its energy. In noise of independent entries this is
    ``(p + q + 1) / (p q + 2)`` for a p x q matrix, whatever its size, with a relative standard
    deviation near ``2 / (p + q)``. A foreign part is more concentrated even where it is smaller
    than the noise, and what is sent without noise is so at any size. If a share
    x of the energy lies in one direction, it adds x^2. So much is taken off for what errors of the
    subspaces explain, and for a part of one's own as large as others have, relative to what each
    sends inside; but nobody is lowered below the typical client.

    Parameters
    ----------
    moments : sequence of Moments
        Normalised.
    kept : ndarray of bool, shape (n_clients,)
        Whose principal subspaces are the shared ones.
    rank : int
    comparable : ndarray of bool, shape (n_modules, n_clients)
        Where a client is compared.

    Returns
    -------
    (scores, gap) or None
        Concentration over that of noise, without what is explained, ndarray of shape (n_clients,),
        geometric mean over modules; 1 for clients who send nothing outside, or so little that they
        may have few data (`FEW_DATA`). And the ratios that a gap must reach, see `structure_gap`.
        Only modules count in which most clients send more and the median client sends noise. None
        where there are none, as among low-rank adapters: structure says nothing where it is usual.

    References
    ----------
    Marchenko, Pastur 1967 (the moments of noise); Wedin 1972 (the errors of the subspaces). The
    test is ours.
    """
    logs, counts, spread = np.zeros(len(kept)), np.zeros(len(kept)), 0.0
    for one, compared in zip(moments, comparable, strict=True):
        if not one.present[kept].any() or not compared.any():
            continue
        values, basis = one.principal(kept, min(rank, one.d))
        along, energy, concentration = one.concentration_outside(basis)
        p, q = one.noise_shape[0] - basis.shape[1], one.noise_shape[1]
        # Noise turns direction i by an angle of squared sine (noise in a column) / values_i.
        column = energy[kept & one.present].mean() / q
        turned = np.where(values > SCORE_FLOOR**2 * values[0], column, 0.0)
        turned /= np.maximum(values, np.finfo(float).tiny)
        rounding = SCORE_FLOOR**2 * np.maximum(one.energy, 1.0)
        heard = compared & (energy > rounding)
        if p < 1 or 2 * heard.sum() <= compared.sum():
            continue
        noise = (p + q + 1) / (p * q + 2)
        ratios = concentration / noise
        common = median(ratios[heard])
        if common > NOISE_SLACK:
            continue
        usual, typical = median(energy[compared]), median(one.energy[compared])
        inside = np.maximum(one.energy - energy, rounding)
        structured = energy * np.sqrt(np.maximum(concentration - noise, 0.0))
        own = OWN_PARTS * float(np.quantile((structured / inside)[heard], 0.25)) * inside
        let_out = LET_OUT * along @ turned
        shares = own / np.maximum(energy, usual), let_out / np.where(heard, energy, 1.0)
        explained = sum(np.minimum(share, 1.0) ** 2 for share in shares)
        # Only above the typical client, so that nobody stands out for what others' scores lose.
        left = np.maximum(ratios - explained / noise, common)
        ratios = np.minimum(ratios, left)
        heard &= (energy >= usual) | (one.energy >= FEW_DATA * typical)
        logs[heard] += np.log(ratios[heard])
        counts[heard] += 1
        spread = max(spread, noise_spread(p, q))
    return (np.exp(logs / np.maximum(counts, 1)), structure_gap(spread)) if counts.any() else None


def noise_spread(p: int, q: int) -> float:
    """Approximate the relative standard deviation of the concentration of p x q noise."""
    return 2 / (p + q)


def structure_gap(spread: float) -> tuple[float, float]:
    """Compute the ratios that a gap between concentrations must reach, at least those of `GAP`."""
    return max(GAP[0], 1 + STRUCTURE_SDS[0] * spread), max(GAP[1], 1 + STRUCTURE_SDS[1] * spread)


def noise_only(
    moments: Sequence[Moments],
    bases: Sequence[np.ndarray],
    clients: np.ndarray,
    kept: np.ndarray,
) -> np.ndarray:
    """Find clients who send what the kept clients do, under noise without structure.

    A client with few data is honest and noisy. Noise of independent entries has no singular value
    above ``s (sqrt(p - r) + sqrt(q))`` with s its standard deviation, and puts no more than its
    share of energy where the client's own signal is; a false direction does one or the other. Below
    the noise an honest client also has a signal inside the shared subspace, which does not point
    against what the others send there.

    Parameters
    ----------
    moments : sequence of Moments
    bases : sequence of ndarray of shape (d, rank)
    clients : ndarray of bool, shape (n_clients,)
        Whom to look at.
    kept : ndarray of bool, shape (n_clients,)
        Whose signal is usual.

    Returns
    -------
    ndarray of bool, shape (n_clients,)

    References
    ----------
    Marchenko, Pastur 1967; Davidson, Szarek 2001 (the edge). The test is ours.
    """
    if not clients.any():
        return clients
    found = clients & _with_signal(moments, bases, kept)
    for one, basis in zip(moments, bases, strict=True):
        rank = basis.shape[1]
        d_out, d_in = one.noise_shape
        asked = np.flatnonzero(found & one.present)
        blocks = one.thin[asked]
        own = basis.T @ blocks
        rest = blocks - basis @ own
        variances = np.einsum("kij,kij->k", rest, rest) / (max(d_out - rank, 1) * d_in)
        edges = variances * (np.sqrt(max(d_out - rank, 1)) + np.sqrt(d_in)) ** 2
        grams = block_grams(rest if one.d <= one.c else rest.transpose(0, 2, 1))
        # The largest eigenvalue is at least the energy-weighted mean of all.
        traces = np.maximum(np.trace(grams, axis1=1, axis2=2), np.finfo(float).tiny)
        largest = np.einsum("kij,kij->k", grams, grams) / traces
        for i, k in enumerate(asked):
            if largest[i] <= NOISE_SLACK * edges[i]:
                largest[i] = np.linalg.eigvalsh(grams[i])[-1]
            if largest[i] > NOISE_SLACK * edges[i]:
                found[k] = False
                continue
            # Along the rows in which the client speaks, noise has the energy of as many rows.
            _, strength, rows = np.linalg.svd(own[i], full_matrices=False)
            rows = rows[strength**2 > 2 * NOISE_SLACK * edges[i]]
            expected = variances[i] * (d_out - rank) * len(rows)
            if len(rows) and np.sum((rest[i] @ rows.T) ** 2) > 2 * NOISE_SLACK * expected:
                found[k] = False
    return found


def _with_signal(
    moments: Sequence[Moments], bases: Sequence[np.ndarray], kept: np.ndarray
) -> np.ndarray:
    """Find clients with a fair share of the usual signal inside the subspaces, not against it."""
    everybody = np.arange(len(kept))
    signal, products = np.zeros(len(kept)), np.zeros((len(kept), len(kept)))
    for one, basis in zip(moments, bases, strict=True):
        d_out, rank = one.noise_shape[0], basis.shape[1]
        inside = one.products_inside(basis, everybody)
        # Noise is as strong in each direction inside as outside.
        outside = one.energy - np.diag(inside)
        signal += np.diag(inside) - rank / max(d_out - rank, 1) * outside
        products += inside
    usual = median(signal[kept]) if kept.any() else 0.0
    lengths = np.sqrt(np.diag(products) * max(float(products[np.ix_(kept, kept)].sum()), 0.0))
    along = products[:, kept].sum(axis=1)
    return (signal > SIGNAL_SHARE * usual) & (along >= -AGAINST * lengths)


def influence_of(
    moments: Sequence[Moments], bases: Sequence[np.ndarray], kept: np.ndarray
) -> np.ndarray:
    """Weigh each kept client in what it shares with others, so that repeating gains nothing.

    What independent clients send outside the shared subspace is independent, apart from a part
    that all may have in common. The weights are those of generalised least squares for a common
    mean, ``D^-1 C^-1 D^-1 1``. C holds the correlations of the residuals between clients, reduced
    to what independent clients do not show. D holds the lengths of the residuals, at least the
    typical one. Clients that are alike get equal weights and loud ones get less. A group that sends
    the same gets one vote, under however much noise. So no group gains by agreeing outside, and no
    client by size.

    Parameters
    ----------
    moments : sequence of Moments
        Normalised.
    bases : sequence of ndarray of shape (d, rank)
        The shared subspaces.
    kept : ndarray of bool, shape (n_clients,)

    Returns
    -------
    ndarray of shape (n_clients,)
        In [0, 1]; 0 for the others.

    References
    ----------
    Aitken 1935 (generalised least squares); Marchenko, Pastur 1967 (what correlations of
    independent clients reach). The use is ours.
    """
    clients = np.flatnonzero(kept)
    weights = kept.astype(float)
    n = len(clients)
    if n < MIN_CLIENTS:
        return weights
    gram, energy = np.zeros((n, n)), np.zeros(n)
    for one, basis in zip(moments, bases, strict=True):
        gram += one.products_outside(basis, clients)
        energy += one.energy[clients]
    lengths = np.sqrt(np.maximum(np.diag(gram), 0.0))
    rounding = SCORE_FLOOR * median(energy) ** 0.5
    # A client that sends nothing outside repeats nobody there.
    heard = lengths > max(1e-9 * float(lengths.max()), rounding)
    clients, lengths, gram = clients[heard], lengths[heard], gram[np.ix_(heard, heard)]
    n = len(clients)
    if n < MIN_CLIENTS:
        return weights
    correlation = gram / np.outer(lengths, lengths)
    off = correlation[~np.eye(n, dtype=bool)]
    freedom = CHI2_MEDIAN / max(median(off**2), 1e-12)
    values, vectors = np.linalg.eigh(correlation)
    large = values > (1 + np.sqrt(n / freedom)) ** 2
    inverse = np.eye(n) + (vectors[:, large] * (1 / values[large] - 1)) @ vectors[:, large].T
    loudness = np.maximum(lengths / median(lengths), 1.0)
    raw = np.maximum(inverse @ (1 / loudness) / loudness, 0.0)
    weights[clients] = raw / raw.max() if raw.max() > 0 else 1.0
    return weights
