"""Plain sentences computed from results; they also say where CLAIR does badly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clair.method.detection import FLAGGED, NOT_COMPARABLE, SUSPECT
from clair.method.evidence import MIN_CLIENTS
from clair.method.fit import ClairFit
from clair.method.kinds import all_evidence, client_margins, ranked
from clair.method.metrics import DetectionScores
from clair.method.words import KINDS
from clair.simulation.scenario import ScenarioResult

#: Two errors closer than this, relative, are told as equal.
TIE = 0.05
#: Below this an error or an angle is rounding, and told as zero.
ROUNDING = 1e-9

_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Write a number and a noun as prose.

    Examples
    --------
    >>> count(1, "client"), count(3, "client"), count(12, "client")
    ('one client', 'three clients', '12 clients')
    """
    word = _WORDS[number] if 0 <= number < len(_WORDS) else str(number)
    return f"{word} {noun if number == 1 else plural or noun + 's'}"


def listing(names: Sequence[str]) -> str:
    """Write names as prose.

    Examples
    --------
    >>> listing(["a"]), listing(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def times(ratio: float) -> str:
    """Write a ratio as prose: one decimal below ten, none above.

    Examples
    --------
    >>> times(2.53), times(31.2)
    ('2.5×', '31×')
    """
    return f"{ratio:.1f}×" if ratio < 9.95 else f"{ratio:.0f}×"


def amount(value: float) -> str:
    """Write an error or angle with two or three significant digits, if possible no exponent.

    Examples
    --------
    >>> amount(0.9612), amount(12.34), amount(0.0000002), amount(3e-15)
    ('0.96', '12.3', '2e-07', '0')
    """
    if abs(value) < ROUNDING:
        return "0"
    if abs(value) < 1e-4:
        return f"{value:.0e}"
    return f"{value:.3g}" if abs(value) >= 10 else f"{value:.2g}"


def detection_sentence(scores: DetectionScores, n_clients: int) -> str:
    """Say who was flagged and who is suspect, against the truth."""
    if n_clients < MIN_CLIENTS and not scores.n_flagged:
        return f"{count(n_clients, 'client').capitalize()} are too few to tell who differs"
    return _flagged(scores, n_clients) + suspects_clause(scores)


def _flagged(scores: DetectionScores, n_clients: int) -> str:
    n, right, wrong = scores.n_contaminated, scores.n_correct, scores.false_alarms
    honest = n_clients - n
    if n == 0:
        if wrong == 0:
            return "Nobody is poisoned, and CLAIR flagged nobody"
        return f"Nobody is poisoned, yet CLAIR flagged {wrong} of {honest} honest clients"
    if right == 0 and scores.poisoned_suspects:
        none = f"none of the {n} poisoned clients" if n > 1 else "not the one poisoned client"
        return (
            f"CLAIR flagged {none} and {count(wrong, 'honest one') if wrong else 'no honest one'}"
        )
    if right == 0:
        return f"CLAIR missed {_all_of(n)} and flagged " + (
            f"{count(wrong, 'honest one')} instead" if wrong else "nobody"
        )
    found = _all_of(n) if right == n else f"only {right} of {n} poisoned clients"
    return f"CLAIR flagged {found} and {count(wrong, 'honest one') if wrong else 'no honest one'}"


def suspects_clause(scores: DetectionScores) -> str:
    """Say who is suspect and what that means, to follow a verdict; "" if nobody is."""
    if not scores.suspects:
        return ""
    bad, honest = scores.poisoned_suspects, scores.suspects - scores.poisoned_suspects
    if scores.n_contaminated == 0:
        who = count(honest, "client")
    else:
        told = [
            f"{count(number, kind)}"
            for number, kind in ((bad, "poisoned one"), (honest, "honest one"))
            if number
        ]
        who = listing(told)
    verb = "is" if scores.suspects == 1 else "are"
    return f"; {who} {verb} suspect: refined, but with little or no weight in what the others learn"


def _all_of(n: int) -> str:
    """Write "all n poisoned clients" as prose, also for one or two."""
    if n <= 2:
        return "the one poisoned client" if n == 1 else "both poisoned clients"
    return f"all {n} poisoned clients"


def gain_sentence(clair: float, local: float, fedavg: float) -> str:
    """Compare the honest clients' error with that of training alone and of averaging.

    Parameters
    ----------
    clair, local, fedavg : float
        Mean error over honest clients, >= 0.
    """
    if max(clair, local) < ROUNDING:
        text = "without noise the honest clients keep their exact updates, as they would alone"
    elif clair < ROUNDING:
        text = "the honest clients' updates are recovered exactly"
    elif clair < local * (1 - TIE):
        text = (
            f"the honest clients' error is {times(local / clair)} smaller than when each trains "
            f"alone ({amount(clair)} instead of {amount(local)})"
        )
    elif clair <= local * (1 + TIE):
        text = f"the honest clients gained nothing over training alone ({amount(clair)})"
    elif local < ROUNDING:
        text = f"joining in cost the honest clients {amount(clair)}; alone they make no error"
    else:
        text = (
            f"joining in cost the honest clients: their error is {times(clair / local)} that of "
            f"training alone ({amount(local)} → {amount(clair)})"
        )
    if max(clair, fedavg) < ROUNDING:
        return f"{text}, and as averaging everybody does"
    if fedavg < clair * (1 - TIE):
        return f"{text}; averaging everybody would have been better here ({amount(fedavg)})"
    if fedavg <= clair * (1 + TIE):
        return f"{text}; averaging everybody does as well ({amount(fedavg)})"
    return f"{text}; averaging everybody leaves an error of {amount(fedavg)}"


def scenario_sentence(result: ScenarioResult) -> str:
    """Write the sentence under the title of a page about the matrix model."""
    n_clients = result.problem.contaminated.size
    who = detection_sentence(result.detection, n_clients)
    what = gain_sentence(
        result.error_of(result.chosen).mean,
        result.error_of("local").mean,
        result.error_of("fedavg").mean,
    )
    return f"{who}; {what}.{majority_sentence(result.detection.n_contaminated, n_clients)}"


def poison_sentence(result: ScenarioResult) -> str:
    """Say what the poison costs an average, apart from what honest clients' differences cost."""
    everybody, honest = (result.error_of(key).mean for key in ("fedavg", "fedavg_benign"))
    text = f"Averaging everybody leaves an error of {amount(everybody)}"
    if not result.detection.n_contaminated:
        return f"{text}, all of it due to clients that truly differ."
    text += f", averaging the honest alone would leave {amount(honest)}: "
    if everybody <= honest * (1 + TIE):
        return text + "the poison hardly matters to an average here, clients that differ do."
    return text + f"the poison makes it {times(everybody / honest)} as large."


def majority_sentence(n_contaminated: int, n_clients: int) -> str:
    """Say why nothing can tell the groups apart from one half on, to follow; "" below."""
    if 2 * n_contaminated < n_clients:
        return ""
    return (
        f" With {n_contaminated} of {n_clients} clients poisoned, nothing can tell who is honest: "
        "honest is by definition what most clients agree on."
    )


def verdict_caveats(scores: DetectionScores) -> list[str]:
    """Say what a verdict got wrong, one sentence per kind of mistake."""
    notes = []
    if scores.missed:
        held = scores.poisoned_suspects
        also = f", of whom {held} {'is' if held == 1 else 'are'} suspect" if held else ""
        notes.append(f"Here CLAIR did not flag {count(scores.missed, 'poisoned client')}{also}.")
    if scores.false_alarms:
        notes.append(
            f"Here CLAIR flagged {count(scores.false_alarms, 'honest client')}; a flagged client "
            "keeps its own update and loses the help of the others."
        )
    if honest := scores.suspects - scores.poisoned_suspects:
        notes.append(
            f"Here {count(honest, 'honest client')} {'is' if honest == 1 else 'are'} suspect, so "
            "the others learn little or nothing from what was learned there."
        )
    return notes


def verdict_lines(fit: ClairFit, contaminated: np.ndarray) -> list[str]:
    """Say who is poisoned, flagged and suspect and why, in lines of plain text."""
    degrees = np.array(fit.degrees)
    first = f"poisoned: {clients_list(contaminated)}"
    for degree in (FLAGGED, SUSPECT, NOT_COMPARABLE):
        if degree != NOT_COMPARABLE or (degrees == degree).any():
            first += f"; {degree}: {clients_list(degrees == degree)}"
    lines = [first]
    margins = client_margins(fit.evidence)
    for degree in (FLAGGED, SUSPECT):
        for k in ranked(fit.degrees, fit.scores, degree):
            line = "" if margins[k] is None else f" ({margins[k]:.2f} times the line)"
            lines.append(f"  client {k + 1} is {degree}{line}: {fit.reasons[k]}")
    kinds = "; ".join(
        f"{KINDS[kind.kind].name}: {clients_list(kind.flagged)}" for kind in all_evidence(fit)
    )
    return [*lines, f"above the line, by kind of evidence: {kinds}"]


def clients_list(mask: np.ndarray) -> str:
    """Write the numbers of the marked clients, counted from 1.

    Examples
    --------
    >>> clients_list(np.array([True, False, True]))
    '1, 3'
    """
    return ", ".join(str(k + 1) for k in np.flatnonzero(mask)) or "none"
