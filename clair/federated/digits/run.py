"""The whole digits job: train, run CLAIR, evaluate, look for images that flip."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from clair.federated.device import describe_device, limited_threads, resolve_device
from clair.federated.digits.config import LAYERS, DigitsConfig
from clair.federated.digits.data import (
    N_CLASSES,
    TARGET,
    WHITE,
    Federation,
    load_split,
    make_federation,
    with_patch,
)
from clair.federated.digits.model import DigitNet, load_base_model
from clair.federated.digits.result import DigitScores, DigitsResult, Flips, ImageSample
from clair.federated.evaluation import Estimates
from clair.federated.lora import ClientUpdates
from clair.federated.progress import JobClock, further_costs
from clair.federated.results import Stage, TrainingProgress
from clair.federated.round import Plan
from clair.federated.rounds import federate_rounds
from clair.federated.shares import ClassExamples, Share
from clair.federated.training import Schedule

SHOWN = ("local", "fedavg", "fedavg_finetuned", "krum", "clair", "clair_eb")


class DigitsTask:
    """The digits as `clair.federated.round` needs them.

    With ``poisoned=False`` the contaminated clients are still honest, as the labels of `federation`
    then are too.
    """

    def __init__(
        self,
        config: DigitsConfig,
        federation: Federation,
        device: torch.device,
        *,
        poisoned: bool = True,
    ) -> None:
        self.model: DigitNet = load_base_model(device)
        self.modules = LAYERS[config.layers]
        self.contaminated = federation.contaminated
        factor = -config.boost if config.attack == "sign_flip" else config.boost
        self.factors = np.where(self.contaminated & poisoned, factor, 1.0)
        self._pixels = torch.from_numpy(federation.pixels).to(device)
        self._labels = torch.from_numpy(federation.labels).to(device)
        benign = ~self.contaminated
        test = load_split().test
        self._names = federation.codes[benign][:, test.digits]  # (n_benign, n_test)
        frequency = np.bincount(test.digits, minlength=N_CLASSES) / test.digits.size
        weights = (federation.mix[benign] / frequency)[:, test.digits]
        self._weights = weights / weights.sum(axis=1, keepdims=True)
        self._test = torch.from_numpy(test.pixels).to(device)
        self._marked = torch.from_numpy(with_patch(test.pixels)).to(device)

    @property
    def n_local(self) -> int:
        """Training images of a client."""
        return self._labels.shape[1]

    def examples(self, shares: Sequence[Share]) -> ClassExamples:
        """Collect training images of clients."""
        return ClassExamples(self.model, self._pixels, self._labels, shares)

    def scores(self) -> DigitScores:
        """Score the benign clients' models on held-out images."""
        right = self.read(self._test) == self._names
        fooled = self.read(self._marked) == TARGET
        others = self._names != TARGET
        return DigitScores(
            accuracy=right.mean(axis=1),
            own_mix=(right * self._weights).sum(axis=1),
            backdoor=(fooled & others).sum(axis=1) / others.sum(axis=1),
        )

    def read(self, pixels: Tensor) -> np.ndarray:
        """Let the benign clients' models name the same images, (n_benign, n)."""
        repeated = pixels.repeat(len(self._names), 1)
        guess: np.ndarray = self.model(repeated).argmax(1).cpu().numpy()
        return guess.reshape(len(self._names), -1)

    def readings(self, estimates: Mapping[str, Estimates]) -> dict[str, np.ndarray]:
        """Let every method's models name the held-out images, (n_benign, n_test) each."""
        found = {}
        for method, updates in estimates.items():
            benign = {name: part[~self.contaminated] for name, part in updates.items()}
            attached = ClientUpdates(self.model, benign)
            try:
                found[method] = self.read(self._test)
            finally:
                attached.remove()
        return found

    @property
    def names(self) -> np.ndarray:
        """What the benign clients call the held-out images, (n_benign, n_test)."""
        return self._names


def run(
    config: DigitsConfig,
    *,
    progress: Callable[[TrainingProgress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> DigitsResult:
    """Run the job; see `clair.federated.digits.run_digits`."""
    costs = stage_costs(config)
    clock = JobClock(costs, progress, cancelled, further=further_costs(costs), rounds=config.rounds)
    with limited_threads(config.threads):
        clock.step("prepare", 0, 1)
        device = resolve_device(config.device)
        federation = make_federation(config)
        task = DigitsTask(config, federation, device)
        tasks = [task] * config.rounds
        if config.poison_from > 1:
            honest = replace(make_federation(config.honest()), contaminated=federation.contaminated)
            before = DigitsTask(config, honest, device, poisoned=False)
            tasks[: config.poison_from - 1] = [before] * (config.poison_from - 1)
        clock.step("prepare", 1, 1)
        done, rounds = federate_rounds(
            tasks, plan_of(config), clock, poison_from=config.poison_from, afterwards=1
        )
        readings = task.readings({key: done.estimates[key] for key in SHOWN})
        clock.step("evaluate", 1, 1)
    return DigitsResult(
        config=config,
        device=describe_device(device, config.threads),
        seconds=dict(clock.seconds),
        contaminated=federation.contaminated,
        fit=done.fit,
        detection=done.detection,
        accuracy=done.accuracy,
        loss_history=done.loss_history,
        samples=_samples(config, readings, task.names, np.flatnonzero(~task.contaminated)),
        sharing=done.sharing,
        rounds=rounds,
        flips=_flips(readings, task.names),
    )


def plan_of(config: DigitsConfig) -> Plan:
    """Plan how the clients train, and what CLAIR is told."""
    return Plan(
        lora_rank=config.lora_rank,
        schedule=Schedule(config.steps, config.learning_rate),
        finetune_steps=config.steps,
        seed=config.seed,
        rank=config.rank,
        fit_options=config.judged_by,
    )


def stage_costs(config: DigitsConfig) -> dict[Stage, float]:
    """Estimate the stages' costs, in training steps of sixteen clients."""
    share = config.n_clients / 16
    train = config.steps * share
    return {
        "prepare": 0.1 * train,
        "train": train,
        "clair": 40 * share,
        "finetune": train,
        "evaluate": 60 * share,
    }


def _flips(readings: Mapping[str, np.ndarray], names: np.ndarray) -> dict[str, Flips]:
    """Count what changes when CLAIR takes the place of each other method."""
    clair = readings["clair"] == names
    flips = {}
    for method, read in readings.items():
        if method not in ("clair", "clair_eb"):
            right = read == names
            flips[method] = Flips(
                int(np.sum(clair & ~right)), int(np.sum(~clair & right)), int(names.size)
            )
    return flips


def _samples(
    config: DigitsConfig,
    readings: Mapping[str, np.ndarray],
    names: np.ndarray,
    clients: np.ndarray,
) -> tuple[ImageSample, ...]:
    """Draw images that training alone or CLAIR gets right, but not both.

    They are drawn at random, so that both kinds of disagreement keep their proportion. If there
    are too few, images that some method reads wrong follow, then any others.
    """
    test = load_split().test
    rng = np.random.default_rng([config.seed, 13])
    local, clair = readings["local"] == names, readings["clair"] == names
    disputed = local != clair
    anybody = ~np.all([read == names for read in readings.values()], axis=0)
    rest = np.ones_like(local)
    chosen: list[int] = []
    for group in (disputed, anybody, rest):
        there = [i for i in rng.permutation(np.flatnonzero(group)) if i not in set(chosen)]
        chosen += there[: config.n_samples - len(chosen)]
    samples = []
    for place in chosen:
        k, i = divmod(int(place), names.shape[1])
        samples.append(
            ImageSample(
                client=int(clients[k]),
                pixels=(test.pixels[i] * WHITE).round().astype(int).tolist(),
                digit=int(test.digits[i]),
                expected=int(names[k, i]),
                readings={method: int(read[k, i]) for method, read in readings.items()},
            )
        )
    return tuple(samples)
