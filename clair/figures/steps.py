"""The solver's iterations as frames that the browser plays: numbers, words and colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from clair.figures.palette import PAPERS, ThemeName, role_style
from clair.method.linalg import hstack_blocks
from clair.method.solvers import IterationRecord
from clair.sentences import ROUNDING, amount, count
from clair.simulation.scenario import ScenarioResult

#: A change smaller than this share of the largest value cannot be seen in the drawing.
VISIBLE = 0.01
#: Both solvers stop below this (the default of `clair.fit`, which a scenario does not change).
TOLERANCE = 1e-7


@dataclass(frozen=True)
class Frame:
    """What is drawn of one iteration.

    Attributes
    ----------
    iteration : int
        As in `clair.method.solvers.IterationRecord`; 0 is the state the convex solver starts from.
    singular_values, block_norms : tuple of float
        Of L and of the clients' tiles in S; for IRLS of the weighted updates, and the distances.
    objective, primal_residual, dual_residual, penalty : float or None
        None where there is none: before the first step, and for what IRLS does not have.
    words : str
        What the iteration has done, in a sentence or two.
    """

    iteration: int
    singular_values: tuple[float, ...]
    block_norms: tuple[float, ...]
    objective: float | None
    primal_residual: float | None
    dual_residual: float | None
    penalty: float | None
    words: str


@dataclass(frozen=True)
class Steps:
    """All frames of a fit, and the words around them.

    Attributes
    ----------
    frames : tuple of Frame
    title, caption : str
        The takeaway, and how to read the drawing.
    data : dict
        Everything the browser needs, as JSON values.
    """

    frames: tuple[Frame, ...]
    title: str
    caption: str
    data: dict[str, Any]


def solver_steps(result: ScenarioResult, theme: ThemeName) -> Steps:
    """Make the frames of the very iterations that led to `result`.

    Parameters
    ----------
    result : ScenarioResult
    theme : {"light", "dark"}
        Which palette the browser draws with.
    """
    convex = result.scenario.solver == "convex"
    received = _received(result)
    frames = _convex_frames(result, received) if convex else _irls_frames(result)
    title, zero = _title(result), ROUNDING * float(received.max())
    styles = {role: role_style(role, theme).color for role in ("benign", "contaminated")}
    styles |= {"clair": role_style("recovered", theme).color, "grid": PAPERS[theme].grid}
    data = {
        "solver": result.scenario.solver,
        "status": result.fit.status,
        "rank": result.fit.rank,
        "tolerance": TOLERANCE,
        "received": [_short(value) for value in received],
        "truth": result.problem.contaminated.tolist(),
        "flagged": result.fit.flagged.tolist(),
        "colors": styles,
        "iterations": [frame.iteration for frame in frames],
        "values": [[_short(v, zero) for v in frame.singular_values] for frame in frames],
        "norms": [[_short(v, zero) for v in frame.block_norms] for frame in frames],
        "objective": [_short(frame.objective) for frame in frames],
        "primal": [_short(frame.primal_residual) for frame in frames],
        "dual": [_short(frame.dual_residual) for frame in frames],
        "penalty": [_short(frame.penalty) for frame in frames],
        "words": [frame.words for frame in frames],
    }
    return Steps(frames, title, _caption(result), data)


def settled(result: ScenarioResult) -> int:
    """Find the first iteration from which on nothing visible moves any more."""
    history = result.fit.history
    least = ROUNDING * float(history[0].singular_values.max())
    for first in range(len(history) - 1, -1, -1):
        record, last = history[first], history[-1]
        for now, end in (
            (record.singular_values, last.singular_values),
            (record.block_norms, last.block_norms),
        ):
            if np.abs(now - end).max(initial=0.0) > max(VISIBLE * float(end.max()), least):
                return history[min(first + 1, len(history) - 1)].iteration
    return history[0].iteration


def part_of(share: float) -> str:
    """Write a relative size in words: per cent, or one part in so many.

    Examples
    --------
    >>> part_of(0.0423), part_of(2.3e-8), part_of(0.0)
    ('4.2 %', 'one part in 43,000,000', 'nothing')
    """
    if share >= 0.0005:
        return f"{amount(100 * share)} %"
    return f"one part in {float(f'{1 / share:.2g}'):,.0f}" if share > 0 else "nothing"


def _received(result: ScenarioResult) -> np.ndarray:
    """Compute the singular values of everything received, on the side that CLAIR examines."""
    blocks = result.problem.updates
    if result.scenario.side == "input":
        blocks = blocks.transpose(0, 2, 1)
    values: np.ndarray = np.linalg.svd(hstack_blocks(blocks), compute_uv=False)
    return np.where(values > ROUNDING * max(float(values[0]), 1e-300), values, 0.0)


def _convex_frames(result: ScenarioResult, received: np.ndarray) -> tuple[Frame, ...]:
    history = result.fit.history
    n_clients = len(history[0].block_norms)
    start = Frame(
        0,
        tuple(received[: len(history[0].singular_values)].tolist()),
        (0.0,) * n_clients,
        None,
        None,
        None,
        None,
        "Before the first step: all that was received counts as shared and stands in L, with "
        f"{int(np.sum(received > 0))} directions; every client's tile in S is empty.",
    )
    frames = [start]
    for record in history:
        before = frames[-1]
        text = _convex_words(record, before, last=record is history[-1], status=result.fit.status)
        frames.append(_frame(record, text))
    return tuple(frames)


def _convex_words(record: IterationRecord, before: Frame, *, last: bool, status: str) -> str:
    positive = int(np.sum(record.singular_values > 0))
    gone = int(np.sum(np.array(before.singular_values) > 0)) - positive
    change = f", {gone} fewer than before" if gone > 0 else ""
    change = f", {-gone} more than before" if gone < 0 else change
    off, n = int(np.sum(record.block_norms == 0)), len(record.block_norms)
    tiles = f"{off} of {n} clients {'has' if off == 1 else 'have'} nothing in S"
    tiles = {0: "every client has something in S", n: "no client has anything in S"}.get(off, tiles)
    text = (
        f"{positive} of {len(record.singular_values)} directions are left in L{change}; {tiles}; "
        f"L + S misses what was received by {part_of(record.primal_residual)}."
    )
    if not last:
        return text
    end = (
        "Finished: L + S fits and nothing moves any more, both to one part in ten million."
        if status == "converged"
        else "Stopped here before reaching its tolerance."
    )
    return f"{text} {end}"


def _irls_frames(result: ScenarioResult) -> tuple[Frame, ...]:
    history = result.fit.history
    frames = []
    for at, record in enumerate(history):
        if at == 0:
            text = (
                "First fit: every client counts the same, which is plain PCA. From here on, the "
                "farther a client is from the subspace, the less it counts."
            )
        else:
            text = _irls_words(record, history[at - 1])
        if record is history[-1] and len(history) > 1:
            text += (
                " Finished: the total distance no longer changes."
                if result.fit.status == "converged"
                else " Stopped here before reaching its tolerance."
            )
        frames.append(_frame(record, text, weighted=True))
    return tuple(frames)


def _irls_words(record: IterationRecord, before: IterationRecord) -> str:
    distances = np.maximum(before.block_norms, before.penalty)
    far = int(distances.argmax())
    weight = float(distances.min() / distances[far])
    return (
        f"Fitted anew with client {far + 1}, the farthest, counting {weight:.0%} of the nearest "
        f"one; the total distance to the subspace changed by {part_of(record.primal_residual)}."
    )


def _frame(record: IterationRecord, words: str, *, weighted: bool = False) -> Frame:
    primal = float(record.primal_residual)
    return Frame(
        record.iteration,
        tuple(record.singular_values.tolist()),
        tuple(record.block_norms.tolist()),
        float(record.objective),
        primal if np.isfinite(primal) else None,
        None if weighted else float(record.dual_residual),
        None if weighted else float(record.penalty),
        words,
    )


def _short(value: float | None, zero: float = 0.0) -> float | None:
    """Round to five digits, more than can be seen; values below `zero` become 0."""
    if value is None:
        return None
    return float(f"{value:.5g}") if value >= zero else 0.0


def _title(result: ScenarioResult) -> str:
    n = len(result.fit.history)
    if n == 1:
        return "The solver needed a single iteration: there is nothing to play"
    seen = settled(result)
    rest = n - seen
    if result.fit.status != "converged":
        return f"The solver stopped unfinished after {n} iterations"
    if rest < 2:
        return f"Until the last of its {n} iterations the solver moves something you can see"
    if seen == 1:
        more = count(rest, "more", "more")
        return f"The first iteration does nearly everything; {more} only confirm it"
    return f"All you can see happens in {seen} of {n} iterations; the other {rest} only polish"


def _caption(result: ScenarioResult) -> str:
    decides = "residual score" if result.scenario.detector == "residual" else "contamination norm"
    ends = (
        f"Who is flagged (▼, shown at the last iteration) is decided afterwards, by the {decides}."
    )
    if result.scenario.solver == "irls":
        return (
            "IRLS fits a subspace, weighs the clients by how near they are, and fits again. It has "
            "no L and S that shrink: a tile's ink is a client's distance from the subspace, the "
            "bars are the directions that are kept. These are its own iterations from the start; "
            f"the search for the rank came before. {ends}"
        )
    if result.problem.spec.noise > 0 and (result.fit.contamination_norms > 0).all():
        ends += " With noise every client keeps something in S: set it to 0 to see tiles empty."
    return (
        "Each step shrinks what L has of each direction (its singular values) and the tiles of S "
        f"by a little and then repairs L + S = M. λ = {amount(result.fit.lam)} was chosen before, "
        "by a first rough verdict that is not shown; from there these are all iterations of the "
        f"fit on the screen, starting cold with S empty. {ends}"
    )
