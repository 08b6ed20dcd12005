"""How little a further task needs: everything below `federate` and `show_page` is its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from clair.federated.progress import JobClock
from clair.federated.results import MethodScores
from clair.federated.round import Plan, federate
from clair.federated.shares import ClassExamples
from clair.federated.training import Schedule

N_CLIENTS, N_LOCAL, N_TEST, N_INPUTS, N_CLASSES = 12, 24, 200, 10, 6


@dataclass(frozen=True)
class BlobScores(MethodScores):
    """Share of held-out points named right."""

    right: np.ndarray


class BlobTask:
    """Clients name clouds of points, three of six differently; a quarter lie and shout."""

    modules = ("layer",)
    n_local = N_LOCAL

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        centres = 2.2 * rng.standard_normal((N_CLASSES, N_INPUTS))
        self.model = nn.Sequential()
        self.model.add_module("layer", nn.Linear(N_INPUTS, N_CLASSES))
        with torch.no_grad():
            self.model.layer.weight.copy_(torch.from_numpy(0.3 * centres))
            self.model.layer.bias.zero_()
        self.model.requires_grad_(False)
        self.contaminated = np.arange(N_CLIENTS) % 4 == 3
        self.factors = np.where(self.contaminated, 4.0, 1.0)
        self._train, self._names, self._test, self._truth = [], [], [], []
        for bad in self.contaminated:
            codes = np.arange(N_CLASSES)
            codes[:3] = rng.permutation(3)
            for n, points, names in (
                (N_LOCAL, self._train, self._names),
                (N_TEST, self._test, self._truth),
            ):
                kinds = rng.integers(N_CLASSES, size=n)
                points.append(centres[kinds] + rng.standard_normal((n, N_INPUTS)))
                names.append((codes[kinds] + 3 * (bad and n == N_LOCAL)) % N_CLASSES)

    def examples(self, shares) -> ClassExamples:
        points = torch.tensor(np.stack(self._train), dtype=torch.float32)
        return ClassExamples(self.model, points, torch.tensor(np.stack(self._names)), shares)

    def scores(self) -> BlobScores:
        honest = np.flatnonzero(~self.contaminated)
        points = np.concatenate([self._test[k] for k in honest])
        read = self.model(torch.tensor(points, dtype=torch.float32)).argmax(1).numpy()
        truth = np.stack([self._truth[k] for k in honest])
        return BlobScores((read.reshape(truth.shape) == truth).mean(axis=1))


def test_a_fourth_task_in_one_file() -> None:
    plan = Plan(lora_rank=4, schedule=Schedule(60, 3e-2), finetune_steps=60, seed=0, rank=3)
    clock = JobClock(dict.fromkeys(("train", "clair", "finetune", "evaluate"), 1.0))
    done = federate(BlobTask(seed=4), plan, clock)
    means = {key: float(value.right.mean()) for key, value in done.accuracy.items()}
    assert done.detection.exact
    assert means["clair"] > max(means["base"], means["fedavg"]) + 0.1
    assert list(clock.seconds) == ["train", "clair", "finetune", "evaluate"]
    assert set(done.accuracy["clair"].to_json()) == {"right", "right_sd"}
    assert means["clair_safe"] > means["local"]
    for name, part in done.estimates["clair_safe"].items():
        np.testing.assert_array_equal(part, done.candidates[done.sharing.chosen][name])
