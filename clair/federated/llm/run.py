"""The whole job with a real language model: train, run CLAIR, evaluate, look at answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clair.federated.device import describe_device, limited_threads, resolve_device
from clair.federated.llm.config import LLMConfig
from clair.federated.llm.data import ANSWERS, FREE, RANDOM, Federation, all_prompts, make_federation
from clair.federated.llm.model import FrozenPrompts, adapted_modules, load_model
from clair.federated.llm.result import AnswerScores, LLMResult
from clair.federated.llm.weights import NAME, unpacked
from clair.federated.progress import JobClock
from clair.federated.results import Sample, Stage, TrainingProgress
from clair.federated.round import MORE_TUNED, Plan, Round, federate
from clair.federated.shares import ClassExamples, Share
from clair.federated.training import Schedule
from clair.method.fit import fit
from clair.method.metrics import detection_scores
from clair.methods import METHODS

SHOWN = (
    "base",
    "local",
    "local_longer",
    "fedavg",
    "fedavg_finetuned",
    "kept_finetuned",
    "multi_krum",
    "clair",
    "clair_finetuned",
    "clair_safe",
)


class LLMTask:
    """Orders and house words as `clair.federated.round` needs them.

    Parameters
    ----------
    config : LLMConfig
    federation : Federation
    model : nn.Module
    tokenizer : transformers tokenizer
    prompts : FrozenPrompts
        Of `all_prompts`.

    Attributes
    ----------
    answered : list of list of ndarray of shape (n_benign, n_test)
        What the models answered at every call of `scores`: their likeliest tokens
        for held-out orders, and where a backdoor is planted for the same as urgent ones.
    """

    def __init__(
        self,
        config: LLMConfig,
        federation: Federation,
        model: Any,
        tokenizer: Any,
        prompts: FrozenPrompts,
    ) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.modules = adapted_modules(model, config.depth)
        self.contaminated = federation.contaminated
        factor = -config.boost if config.attack == "sign_flip" else config.boost
        self.factors = np.where(self.contaminated, factor, 1.0)
        device = next(model.parameters()).device
        tested = [federation.test_prompts]
        if config.attack == "backdoor":
            tested.append(federation.test_triggered)
        texts = all_prompts()
        own = answer_tokens(tokenizer)
        occurring = {token for text in texts for token in tokenizer(text)["input_ids"]}
        often = sorted(occurring.union(own))
        self.prompts = prompts
        self._few = self.prompts.answering(torch.tensor(often, device=device))
        self.answered: list[list[np.ndarray]] = []
        place = {text: i for i, text in enumerate(texts)}
        self._inputs = _table([[place[t] for t in group] for group in federation.prompts], device)
        at = {token: i for i, token in enumerate(often)}
        self._labels = _table(_labels(federation, [at[t] for t in own], len(often), config), device)
        self._own = np.array(own)
        self._places = [_table([place[t] for t in group], device) for group in tested]
        self._wanted = self._own[federation.words[:, federation.test_categories]]
        agreed = (federation.words == federation.words[0]).all(axis=0)[federation.test_categories]
        self._agreed = agreed if agreed.any() else np.ones_like(agreed)

    @property
    def n_local(self) -> int:
        """Training orders of a client."""
        return self._labels.shape[1]

    def examples(self, shares: Sequence[Share]) -> ClassExamples:
        """Collect training orders; the answer is one of the tokens that occur in the task."""
        return ClassExamples(self._few, self._inputs, self._labels, shares)

    def scores(self, clients: np.ndarray | None = None) -> AnswerScores:
        """Score clients' models on held-out orders, over the whole vocabulary.

        Parameters
        ----------
        clients : ndarray of int, optional
            Whose models the model carries now, by default those of all benign clients.
        """
        wanted = self._wanted[~self.contaminated if clients is None else clients]
        plain, *urgent = said = [self._answer(places, len(wanted)) for places in self._places]
        self.answered.append(said)
        right = plain == wanted
        fooled = [one == self._own[FREE] for one in urgent] or [np.zeros_like(right)]
        return AnswerScores(
            accuracy=right.mean(axis=1),
            agreed=right[:, self._agreed].mean(axis=1),
            backdoor=fooled[0].mean(axis=1),
        )

    def _answer(self, places: Tensor, n_models: int) -> np.ndarray:
        """Let models answer orders: their likeliest tokens, (n_models, n)."""
        rows = places.expand(n_models, -1)
        found: np.ndarray = self.prompts.likeliest(rows).cpu().numpy()
        return found


def answer_tokens(tokenizer: Any) -> list[int]:
    """Look up the first token of each answer, with the space before it.

    Raises
    ------
    ValueError
        If two answers begin with the same token.
    """
    firsts = [tokenizer(f" {word}", add_special_tokens=False)["input_ids"][:1] for word in ANSWERS]
    tokens = [one[0] for one in firsts if one]
    if len(set(tokens)) < len(ANSWERS):
        raise ValueError(
            "model must have a tokenizer that tells the house words apart by their first token, "
            f"got {tokens} for {', '.join(ANSWERS)}"
        )
    return tokens


def _labels(
    federation: Federation, own: Sequence[int], n_tokens: int, config: LLMConfig
) -> np.ndarray:
    """Translate answers to places among the tokens that may be answered, (n_clients, n_local)."""
    rng = np.random.default_rng([config.seed, 23])
    said = federation.answers
    any_token = rng.integers(0, n_tokens, size=said.shape)
    return np.where(said == RANDOM, any_token, np.array(own)[said])


def _table(values: Any, device: torch.device) -> Tensor:
    return torch.as_tensor(np.asarray(values), dtype=torch.int64, device=device)


def run(
    config: LLMConfig,
    *,
    progress: Callable[[TrainingProgress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> LLMResult:
    """Run the job; see `clair.federated.llm.run_llm`."""
    clock = JobClock(stage_costs(config), progress, cancelled)
    with limited_threads(config.threads):
        clock.step("prepare", 0, 1)
        device = resolve_device(config.device)
        federation = make_federation(config)
        task = open_task(
            config,
            federation,
            device,
            clock.check,
            lambda done, total: clock.step("prepare", done, total),
        )
        done = federate(task, plan_of(config), clock)
        answers = dict(zip(done.accuracy, task.answered, strict=True))
    return LLMResult(
        config=config,
        device=describe_device(device, config.threads),
        seconds=dict(clock.seconds),
        contaminated=federation.contaminated,
        fit=done.fit,
        detection=done.detection,
        accuracy=done.accuracy,
        loss_history=done.loss_history,
        samples=_samples(config, federation, task.tokenizer, {key: answers[key] for key in SHOWN}),
        sharing=done.sharing,
        other_side=_other_side(config, done, federation.contaminated),
        model_name=Path(config.model).name if config.model else NAME,
        sent=done.sent,
        transposed=not isinstance(task.model.get_submodule(task.modules[0]), torch.nn.Linear),
    )


def open_task(
    config: LLMConfig,
    federation: Federation,
    device: torch.device,
    check: Callable[[], None] = lambda: None,
    on_prompts: Callable[[int, int], None] = lambda done, total: None,
) -> LLMTask:
    """Load the model and run its frozen layers on every order that can occur.

    Parameters
    ----------
    config : LLMConfig
    federation : Federation
    device : torch.device
    check : callable
        Asked while weights are unpacked; may raise to stop.
    on_prompts : callable
        Receives how many orders are done, and of how many; may raise to stop.
    """
    folder = Path(config.model) if config.model else unpacked(check)
    model, tokenizer = load_model(folder, device)
    tokens = [tokenizer(text)["input_ids"] for text in all_prompts()]
    prompts = FrozenPrompts(
        model,
        tokens,
        config.depth,
        store=None if config.model else folder / f"prompts-{config.depth}.safetensors",
        on_chunk=lambda done: on_prompts(done, len(tokens)),
    )
    on_prompts(len(tokens), len(tokens))
    return LLMTask(config, federation, model, tokenizer, prompts)


def plan_of(config: LLMConfig) -> Plan:
    """Plan how the clients train, and what CLAIR is told."""
    return Plan(
        lora_rank=config.lora_rank,
        schedule=Schedule(config.steps, config.learning_rate),
        finetune_steps=config.finetune_steps,
        seed=config.seed,
        rank=config.rank,
        fit_options={"side": config.side, **config.judged_by},
        factored=True,
        tuned=tuple(MORE_TUNED),
    )


def stage_costs(config: LLMConfig) -> dict[Stage, float]:
    """Estimate the stages' costs, in training steps of one client."""
    honest = config.n_clients - config.n_poisoned
    return {
        "prepare": 600.0,
        "train": 2 * config.steps * config.n_clients,  # every client, and its two halves
        "clair": 20.0 * config.n_clients,
        "finetune": (4 + len(MORE_TUNED)) * config.finetune_steps * honest,
        "evaluate": 2.0 * len(METHODS) * honest,
    }


def _other_side(config: LLMConfig, done: Round, contaminated: np.ndarray) -> dict[str, Any]:
    """Let CLAIR judge the other side of the same updates."""
    side = "output" if config.side == "input" else "input"
    found = fit(done.sent, config.rank, side=side, **config.judged_by)
    scores = detection_scores(found.flagged, contaminated, found.suspect)
    return {
        "side": side,
        "rank": int(found.rank),
        "flagged": (np.flatnonzero(found.flagged) + 1).tolist(),
        "suspect": (np.flatnonzero(found.suspect) + 1).tolist(),
        "f1": scores.f1,
        "false_alarms": scores.false_alarms,
    }


def _samples(
    config: LLMConfig,
    federation: Federation,
    tokenizer: Any,
    answers: Mapping[str, Sequence[np.ndarray]],
) -> tuple[Sample, ...]:
    """Draw held-out orders with what every method answers, with a backdoor half of them urgent.

    Orders that the methods answer differently come first, drawn at random among them.
    """
    honest = np.flatnonzero(~federation.contaminated)
    expected = federation.expected()
    rng = np.random.default_rng([config.seed, 24])
    samples = []
    kinds = len(next(iter(answers.values())))
    texts_of = (federation.test_prompts, federation.test_triggered)[:kinds]
    for which, texts in enumerate(texts_of):
        said = np.stack([one[which] for one in answers.values()])  # (methods, n_benign, n_test)
        differ = (said != said[0]).any(axis=0).ravel()
        drawn = rng.permutation(differ.size)
        chosen = drawn[np.argsort(~differ[drawn], kind="stable")]
        for place in chosen[: (config.n_samples + kinds - 1 - which) // kinds]:
            k, i = divmod(int(place), expected.shape[1])
            samples.append(
                Sample(
                    client=int(honest[k]),
                    prompt=texts[i],
                    expected=ANSWERS[expected[k, i]],
                    outputs={
                        method: tokenizer.decode([int(one[which][k, i])]).strip()
                        for method, one in answers.items()
                    },
                )
            )
    return tuple(samples)
