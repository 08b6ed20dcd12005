"""Text copying as `clair.federated.round` needs it: losses, scores, and what is tampered with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from clair.federated.copytask.config import CopyTaskConfig
from clair.federated.copytask.data import TARGET_START, Federation, make_federation
from clair.federated.copytask.model import ADAPTED_MODULES, FrozenPrefix
from clair.federated.copytask.scoring import Answers, Batch
from clair.federated.results import MethodAccuracy
from clair.federated.shares import Share

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

SCALED_BY = 10.0


class CopyTask:
    """The clients' texts and the model they share.

    Parameters
    ----------
    config : CopyTaskConfig
    federation : Federation
    model : LlamaForCausalLM
        Frozen.
    poisoned : bool
        False where the contaminated clients are still honest; the texts of `federation` are too.
    """

    modules = ADAPTED_MODULES

    def __init__(
        self,
        config: CopyTaskConfig,
        federation: Federation,
        model: LlamaForCausalLM,
        *,
        poisoned: bool = True,
    ) -> None:
        self.model = model
        self.contaminated = federation.contaminated
        bad = self.contaminated & poisoned
        self.factors = np.where(bad, update_factor(config.attack), 1.0)
        self.device = next(model.parameters()).device
        self._precision = config.precision
        clients = federation.clients
        self._data = Batch([(c.texts, c.targets) for c in clients], self.device)
        honest = [c for c, bad in zip(clients, self.contaminated, strict=True) if not bad]
        self._test = Batch([(c.test_texts, c.test_targets) for c in honest], self.device)

    @classmethod
    def before(
        cls, config: CopyTaskConfig, contaminated: np.ndarray, model: LlamaForCausalLM
    ) -> CopyTask:
        """Make the same task while the contaminated clients are still honest."""
        honest = replace(make_federation(config.honest()), contaminated=contaminated)
        return cls(config, honest, model, poisoned=False)

    @property
    def n_local(self) -> int:
        """Training texts of a client."""
        return self._data.n

    def examples(self, shares: Sequence[Share]) -> CopyExamples:
        """Collect training texts; losses are means over characters, errors shares of texts."""
        return CopyExamples(self._prefix, self._data.answers(shares), self._arithmetic)

    def scores(self) -> MethodAccuracy:
        """Score the benign clients' models on held-out texts."""
        prefix, answers = self._held_out
        return answers.accuracy(prefix.logits())

    @cached_property
    def _prefix(self) -> FrozenPrefix:
        return FrozenPrefix(self.model, self._data.tokens, TARGET_START)

    @cached_property
    def _held_out(self) -> tuple[FrozenPrefix, Answers]:
        answers = self._test.answers()
        prefix = FrozenPrefix(self.model, self._test.tokens, TARGET_START)
        return prefix.at(answers.places), answers

    def _arithmetic(self) -> AbstractContextManager[object]:
        if self._precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)


class CopyExamples:
    """Some of the clients' training texts under the model as it is now."""

    def __init__(
        self,
        prefix: FrozenPrefix,
        answers: Answers,
        arithmetic: Callable[[], AbstractContextManager[object]],
    ) -> None:
        self._prefix = prefix.at(answers.places)
        self._answers = answers
        self._arithmetic = arithmetic
        self.layout = answers.layout

    def losses(self) -> Tensor:
        """Compute the mean cross entropy over the characters of each model's texts, (n_models,)."""
        with self._arithmetic():
            return self._answers.losses(self._prefix.logits())

    def errors(self) -> Tensor:
        """Compute the share of each model's texts that it copies with a mistake, (n_models,)."""
        return self._answers.errors(self._prefix.logits())


def update_factor(attack: str) -> float:
    """Look up by what a contaminated client multiplies its update; 1 for data poisoning."""
    return {"sign_flip": -1.0, "scaled": SCALED_BY}.get(attack, 1.0)
