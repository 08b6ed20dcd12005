"""What a lesson can ask for: named numbers, computed from a result and never written down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np

from clair.sentences import ROUNDING, amount
from clair.simulation.scenario import ScenarioResult, run_scenario

Unit = Literal["times", "clients", "directions", "degrees", "percent", "points"]
#: Whose results a quantity is about: the matrix model, or the recorded run of a trained task.
SOURCES = ("lab", "copying", "llm")


class TrainedRun(Protocol):
    """What the quantities of a trained task need of its outcome."""

    @property
    def contaminated(self) -> np.ndarray: ...
    @property
    def flagged(self) -> np.ndarray: ...
    @property
    def accuracy(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Quantity:
    """A number that a step may ask for.

    Attributes
    ----------
    sentence : str
        What the number says, with a gap {} for the number and its unit.
    unit : {"times", "clients", "directions", "degrees", "percent", "points"}
    source : str
        One of `SOURCES`.
    compute : callable
        From a `ScenarioResult` or a `TrainedRun`.
    """

    sentence: str
    unit: Unit
    source: str
    compute: Callable[[Any], float]

    def say(self, value: float) -> str:
        """Write the number with its unit.

        Examples
        --------
        >>> QUANTITIES["fedavg_over_local"].say(1.7), QUANTITIES["found"].say(5.0)
        ('1.7×', '5')
        """
        match self.unit:
            case "times":
                return f"{amount(value)}×"
            case "degrees":
                return f"{amount(value)}°"
            case "percent":
                return f"{value:.0f}%"
            case "points":
                return f"{value:+.1f} points".replace("-", "−")
        return f"{value:g}"


def _ratio(first: str, second: str) -> Callable[[ScenarioResult], float]:
    """Divide the error of one method by that of another, which must not be zero."""

    def compute(result: ScenarioResult) -> float:
        over, under = result.error_of(first).mean, result.error_of(second).mean
        if under < ROUNDING:
            raise ValueError(f"{second} makes no error here, so nothing is a multiple of it")
        return over / under

    return compute


def _angle(result: ScenarioResult) -> float:
    if result.angles is None:
        raise ValueError("there is no true subspace to compare with on the input side")
    return float(result.angles[-1])


def _survived(result: ScenarioResult) -> float:
    """Count the liars up to which the verdict is exactly right, adding one at a time.

    Fewer than half of the clients lie.
    """
    spec, right = result.scenario.spec, 0
    for liars in range(1, (spec.n_clients - 1) // 2 + 1):
        spec = replace(spec, poisoned_fraction=liars / spec.n_clients)
        if not run_scenario(replace(result.scenario, spec=spec)).detection.exact:
            break
        right = liars
    return float(right)


def _copied(method: str, measure: str = "exact_match") -> Callable[[TrainedRun], float]:
    """Measure a share in percent, by default that of unseen texts copied exactly."""

    def compute(run: TrainedRun) -> float:
        return 100 * float(getattr(run.accuracy[method], measure).mean())

    return compute


def _found(run: TrainedRun) -> float:
    """Count the poisoned clients that are flagged."""
    return float((run.flagged & run.contaminated).sum())


def _false_alarms(run: TrainedRun) -> float:
    """Count the honest clients that are flagged."""
    return float((run.flagged & ~run.contaminated).sum())


def _healed(run: TrainedRun) -> float:
    """Compute how much of FedAvg's distance to training alone the poisoned cause, in percent."""
    alone, everybody = _copied("local")(run), _copied("fedavg")(run)
    return 100 * (_copied("fedavg_benign")(run) - everybody) / (alone - everybody)


QUANTITIES: dict[str, Quantity] = {
    "fedavg_over_local": Quantity(
        "FedAvg's error is {} that of training alone.",
        "times",
        "lab",
        _ratio("fedavg", "local"),
    ),
    "clair_over_fedavg": Quantity(
        "CLAIR's error is {} that of FedAvg.", "times", "lab", _ratio("clair", "fedavg")
    ),
    "clair_over_local": Quantity(
        "CLAIR's error is {} that of training alone.",
        "times",
        "lab",
        _ratio("clair", "local"),
    ),
    "pooled_over_fedavg": Quantity(
        "The error of CLAIR with pooling is {} that of FedAvg.",
        "times",
        "lab",
        _ratio("clair_eb", "fedavg"),
    ),
    "clair_gain": Quantity(
        "With CLAIR an honest client's error is {} smaller than alone.",
        "times",
        "lab",
        _ratio("local", "clair"),
    ),
    "poison_factor": Quantity(
        "FedAvg's error is {} that of an average of the honest alone.",
        "times",
        "lab",
        _ratio("fedavg", "fedavg_benign"),
    ),
    "median_over_local": Quantity(
        "The coordinate median's error is {} that of training alone.",
        "times",
        "lab",
        _ratio("median", "local"),
    ),
    "cost_of_missing": Quantity(
        "CLAIR's error is {} that of a CLAIR that is told who lies.",
        "times",
        "lab",
        _ratio("clair", "clair_oracle"),
    ),
    "found": Quantity(
        "CLAIR flags {} of the poisoned clients.",
        "clients",
        "lab",
        lambda result: float(result.detection.n_correct),
    ),
    "false_alarms": Quantity(
        "CLAIR flags {} of the honest clients.",
        "clients",
        "lab",
        lambda result: float(result.detection.false_alarms),
    ),
    "survived": Quantity(
        "Up to {} liars, every verdict is exactly right.",
        "clients",
        "lab",
        _survived,
    ),
    "rank": Quantity(
        "CLAIR finds {} shared directions.",
        "directions",
        "lab",
        lambda result: float(result.fit.rank),
    ),
    "angle": Quantity(
        "The directions found are {} away from the true ones.", "degrees", "lab", _angle
    ),
    "proven": Quantity(
        "The result carries {} proof that no other split is better.",
        "clients",
        "lab",
        lambda result: float(result.fit.certificate is not None and result.fit.certificate.holds),
    ),
    "alone_copies": Quantity(
        "Trained alone, a client copies {} of unseen texts without a mistake.",
        "percent",
        "copying",
        _copied("local"),
    ),
    "fedavg_copies": Quantity(
        "With FedAvg, {} of unseen texts are copied without a mistake.",
        "percent",
        "copying",
        _copied("fedavg"),
    ),
    "fedavg_letters": Quantity(
        "With FedAvg, {} of the letters are right.",
        "percent",
        "copying",
        _copied("fedavg", "token"),
    ),
    "clair_copies": Quantity(
        "With CLAIR, {} of unseen texts are copied without a mistake.",
        "percent",
        "copying",
        _copied("clair"),
    ),
    "pca_copies": Quantity(
        "With PCA, nobody flagged, {} of unseen texts are copied without a mistake.",
        "percent",
        "copying",
        _copied("pca"),
    ),
    "clair_over_pca": Quantity(
        "The lead of CLAIR over PCA, nobody flagged, is {}.",
        "points",
        "copying",
        lambda run: _copied("clair")(run) - _copied("pca")(run),
    ),
    "healed": Quantity(
        "Leaving the poisoned out brings back {} of what averaging costs.",
        "percent",
        "copying",
        _healed,
    ),
    "copying_found": Quantity(
        "CLAIR flags {} of the poisoned clients.",
        "clients",
        "copying",
        _found,
    ),
    "copying_false_alarms": Quantity(
        "CLAIR flags {} of the honest clients.",
        "clients",
        "copying",
        _false_alarms,
    ),
    "shops_alone": Quantity(
        "Trained alone, a shop gets {} of unseen orders right.",
        "percent",
        "llm",
        _copied("local", "accuracy"),
    ),
    "shops_fedavg": Quantity(
        "With FedAvg, {} of unseen orders are answered right.",
        "percent",
        "llm",
        _copied("fedavg", "accuracy"),
    ),
    "shops_fedavg_agreed": Quantity(
        "Where the shops agree, FedAvg answers {} right.",
        "percent",
        "llm",
        _copied("fedavg", "agreed"),
    ),
    "shops_backdoor": Quantity(
        "With FedAvg, {} of urgent orders are answered “Free”.",
        "percent",
        "llm",
        _copied("fedavg", "backdoor"),
    ),
    "shops_found": Quantity("CLAIR flags {} of the poisoned shops.", "clients", "llm", _found),
    "shops_false_alarms": Quantity(
        "CLAIR flags {} of the honest shops.", "clients", "llm", _false_alarms
    ),
    "shops_gain": Quantity(
        "The lead of CLAIR over training alone is {}.",
        "points",
        "llm",
        lambda run: _copied("clair", "accuracy")(run) - _copied("local", "accuracy")(run),
    ),
    "shops_kept": Quantity(
        "With the kept average, then fine-tuned, {} are answered right.",
        "percent",
        "llm",
        _copied("kept_finetuned", "accuracy"),
    ),
}
