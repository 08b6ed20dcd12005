"""Make the base model: ``python -m clair.federated.copytask.pretrain``.

The model learns to copy text verbatim and *by position*. To keep it adaptable to house styles, half
the texts are random strings, a share of the target characters fed back to it is corrupted, and
labels are smoothed. Everything is drawn from one seed; the configuration and the accuracy reached
are written beside the weights.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from clair.federated.copytask.data import (
    CHARACTERS,
    IGNORE,
    MIN_LENGTH,
    TARGET_START,
    WIDTH,
    encode,
    sample_text,
)
from clair.federated.copytask.model import (
    ARCHITECTURE,
    WEIGHTS,
    answer_logits,
    build_model,
    save_weights,
)
from clair.federated.copytask.words import TOPIC_WORDS
from clair.federated.device import limited_threads
from clair.federated.training import Schedule

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM


@dataclass(frozen=True)
class PretrainConfig:
    """Settings of the base model's training.

    Attributes
    ----------
    steps, batch_size : int
    learning_rate : float
        Peak rate of AdamW.
    corruption : float
        Share of fed-back target characters replaced by random ones, in [0, 1).
    label_smoothing : float
        In [0, 1).
    seed, threads : int
    """

    steps: int = 1200
    batch_size: int = 64
    learning_rate: float = 3e-3
    corruption: float = 0.2
    label_smoothing: float = 0.2
    seed: int = 0
    threads: int = 1


def sample_texts(n: int, rng: np.random.Generator, random_share: float = 0.5) -> tuple[str, ...]:
    """Draw texts to copy, a share of them strings of random characters."""
    letters = np.array(list(CHARACTERS))
    uniform = np.full(len(TOPIC_WORDS), 1.0 / len(TOPIC_WORDS))
    return tuple(
        "".join(rng.choice(letters, size=rng.integers(MIN_LENGTH, WIDTH + 1)))
        if rng.random() < random_share
        else sample_text(uniform, rng)
        for _ in range(n)
    )


def exact_match(model: LlamaForCausalLM, texts: tuple[str, ...]) -> float:
    """Compute the share of texts the model copies without a mistake."""
    tokens, labels = (torch.from_numpy(array) for array in encode(texts, texts))
    with torch.no_grad():
        guess = answer_logits(model, tokens, TARGET_START).argmax(-1)
    return float(((guess == labels) | (labels == IGNORE)).all(1).double().mean())


def pretrain(config: PretrainConfig, weights: Path = WEIGHTS) -> dict[str, object]:
    """Train the base model and write it to `weights`; return the record written beside it."""
    rng = np.random.default_rng(config.seed)
    started = time.perf_counter()
    with limited_threads(config.threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = build_model().train()
        optimiser = torch.optim.AdamW(model.parameters(), lr=config.learning_rate)
        schedule = Schedule(config.steps, config.learning_rate, warmup=50)
        for step in range(config.steps):
            texts = sample_texts(config.batch_size, rng)
            tokens, labels = (torch.from_numpy(array) for array in encode(texts, texts))
            logits = answer_logits(model, _corrupt(tokens, config.corruption, rng), TARGET_START)
            loss = cross_entropy(
                logits.flatten(0, 1),
                labels.flatten(),
                ignore_index=IGNORE,
                label_smoothing=config.label_smoothing,
            )
            optimiser.param_groups[0]["lr"] = schedule.rate(step)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if step % 100 == 0 or step == config.steps - 1:
                print(f"step {step:5d}  loss {float(loss.detach()):.3f}", flush=True)
        model.eval()
        reached = {
            "exact_match_sentences": exact_match(model, sample_texts(500, rng, 0.0)),
            "exact_match_random_strings": exact_match(model, sample_texts(500, rng, 1.0)),
        }
    record = {
        "command": "python -m clair.federated.copytask.pretrain",
        "pretraining": asdict(config),
        "architecture": ARCHITECTURE,
        "n_parameters": sum(p.numel() for p in model.parameters()),
        "reached": reached,
        "seconds": round(time.perf_counter() - started, 1),
    }
    save_weights(model, record, weights)
    return record


def _corrupt(tokens: Tensor, share: float, rng: np.random.Generator) -> Tensor:
    """Replace a share of the target characters that the model is fed."""
    answer = tokens[:, TARGET_START:]
    hit = torch.from_numpy(rng.random(answer.shape) < share) & (answer < len(CHARACTERS))
    noise = torch.from_numpy(rng.integers(0, len(CHARACTERS), size=answer.shape))
    return torch.cat([tokens[:, :TARGET_START], torch.where(hit, noise, answer)], dim=1)


def main() -> None:
    """Parse the command line and make the base model."""
    parser = argparse.ArgumentParser(description="Make the text-copying base model.")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="safetensors file to write")
    parser.add_argument("--steps", type=int, default=PretrainConfig.steps)
    parser.add_argument("--seed", type=int, default=PretrainConfig.seed)
    arguments = parser.parse_args()
    record = pretrain(PretrainConfig(steps=arguments.steps, seed=arguments.seed), arguments.out)
    print(record["reached"], f"{record['seconds']} s")


if __name__ == "__main__":
    main()
