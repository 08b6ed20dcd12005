"""A federation under Flower in memory: `ClairStrategy`, FedAvg and no federation, one by one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from flwr.app import Message
from flwr.serverapp.strategy import FedAvg, Strategy

from clair.federated.copytask.data import make_federation
from clair.federated.copytask.run import SIDE
from clair.federated.device import describe_device, limited_threads, resolve_device
from clair.federated.progress import JobClock
from clair.federated.results import RoundOutcome, TrainingProgress
from clair.flower.config import FlowerConfig
from clair.flower.copying import Alone, Change, CopyingGrid, crash, not_a_number
from clair.flower.result import CopiedScores, FlowerResult
from clair.flower.strategy import ClairStrategy
from clair.flower.verdicts import RoundVerdict

#: Strategies in the order in which they run; the loss curves are CLAIR's.
STRATEGIES = ("clair", "fedavg", "local")


def run(
    config: FlowerConfig,
    *,
    progress: Callable[[TrainingProgress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> FlowerResult:
    """Run the rounds; see `clair.flower.run_flower`."""
    clock = JobClock({"prepare": 0.02, "train": 1.0}, progress, cancelled)
    with limited_threads(config.threads), _quiet():
        clock.step("prepare", 0, 1)
        federation = make_federation(config.copying())
        truth, unlucky = federation.contaminated, unlucky_clients(config, federation.contaminated)
        clock.step("prepare", 1, 1)
        losses: list[np.ndarray] = []
        scores: dict[str, list[CopiedScores]] = {}
        verdicts: list[RoundVerdict] = []
        for i, key in enumerate(STRATEGIES):
            watched = _Watched(config, unlucky, truth, clock, i, losses if i == 0 else [])
            strategy = _strategy(key, config)
            strategy.start(watched, watched.initial(), num_rounds=config.rounds)
            scores[key] = watched.scores
            if isinstance(strategy, ClairStrategy):
                verdicts, rank = strategy.verdicts, strategy.subspace_rank
    rounds = tuple(
        RoundOutcome(
            number=number,
            degrees=tuple(client.degree for client in verdict.clients),
            reasons=tuple(client.reason for client in verdict.clients),
            poisoned=truth & (number >= config.poison_from),
            accuracy={key: scores[key][number - 1] for key in ("local", "fedavg", "clair")},
        )
        for number, verdict in enumerate(verdicts, start=1)
    )
    return FlowerResult.of_rounds(
        config,
        rounds,
        truth,
        rank=rank,
        device=describe_device(resolve_device(config.device), config.threads),
        seconds=dict(clock.seconds),
        loss_history=np.array(losses),
        mishap_clients=unlucky,
    )


def unlucky_clients(config: FlowerConfig, contaminated: np.ndarray) -> dict[str, int]:
    """Choose the honest client of each mishap, from the last ones on."""
    honest = np.flatnonzero(~contaminated)[::-1]
    return {name: int(k) for name, k in zip(config.mishaps, honest, strict=False)}


class _Watched(CopyingGrid):
    """A grid that reports every step and keeps the scores of every round."""

    def __init__(
        self,
        config: FlowerConfig,
        unlucky: Mapping[str, int],
        truth: np.ndarray,
        clock: JobClock,
        turn: int,
        losses: list[np.ndarray],
    ) -> None:
        changes: dict[tuple[int, int], Change] = {}
        for name, change in (("crash", crash), ("broken", not_a_number)):
            if name in unlucky:
                changes[config.mishaps[name], unlucky[name] + 1] = change
        leaves = {unlucky["leave"] + 1: config.mishaps["leave"]} if "leave" in unlucky else {}
        super().__init__(config.copying(), changes, leaves, self._report)
        honest = np.flatnonzero(~truth)
        self._counted = ~np.isin(honest, list(unlucky.values()))
        self._settings, self._clock, self._turn, self._losses = config, clock, turn, losses
        self.scores: list[CopiedScores] = []

    def _report(self, step: int, losses: np.ndarray) -> None:
        done = (self.round - 1) * self._settings.steps + step
        self._losses.append(losses)
        total = self._settings.rounds * self._settings.steps
        with self._clock.part(self._turn, len(STRATEGIES)):
            self._clock.step("train", done, total, losses)

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> list[Message]:
        """Keep the scores of a round once its clients have evaluated what they are sent."""
        replies = super().send_and_receive(messages, timeout=timeout)
        if replies[0].metadata.message_type == "evaluate":
            counted = {key: values[self._counted] for key, values in self.copied.items()}
            self.scores.append(CopiedScores(**counted))
        return replies


def _strategy(key: str, config: FlowerConfig) -> Strategy:
    if key == "fedavg":
        return FedAvg()
    if key == "local":
        return Alone()
    return ClairStrategy(
        sent_back=config.sent_back,
        rank=config.rank,
        fit_options={"side": SIDE, **config.judged_by},
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Flower's log to errors meanwhile."""
    log = logging.getLogger("flwr")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)
