"""What a client does with its own texts: train an adapter with PEFT, and test one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from flwr.app import ArrayRecord
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from torch.nn.functional import cross_entropy

from clair.federated.copytask import CopyTaskConfig
from clair.federated.copytask.data import IGNORE, TARGET_START, ClientData, encode, make_federation
from clair.federated.copytask.federated import update_factor
from clair.federated.copytask.model import ADAPTED_MODULES, load_base_model
from clair.federated.training import Schedule


def settings(n_clients: int, run_config: Mapping[str, Any]) -> CopyTaskConfig:
    """Collect the settings that server and clients agree on."""
    return CopyTaskConfig(
        n_clients=n_clients,
        poisoned_fraction=float(run_config["poisoned-fraction"]),
        attack=str(run_config["attack"]),
        steps=int(run_config["local-steps"]),
        seed=int(run_config["seed"]),
    )


def adapter_model(config: CopyTaskConfig) -> torch.nn.Module:
    """Load the base model with an untrained adapter: the same one for everybody."""
    torch.manual_seed(config.seed)
    lora = LoraConfig(
        r=config.lora_rank, lora_alpha=config.lora_rank, target_modules=list(ADAPTED_MODULES)
    )
    return get_peft_model(load_base_model(torch.device("cpu")), lora)


def arrays_of(model: torch.nn.Module) -> ArrayRecord:
    """Collect the adapter's factors under PEFT's names."""
    return ArrayRecord(get_peft_model_state_dict(model))


def load_arrays(model: torch.nn.Module, arrays: ArrayRecord) -> None:
    """Put factors that the server sent into the model."""
    set_peft_model_state_dict(model, arrays.to_torch_state_dict())


def data_of(config: CopyTaskConfig, client: int) -> tuple[ClientData, bool]:
    """Draw a client's texts, and whether it is poisoned."""
    federation = make_federation(config)
    return federation.clients[client], bool(federation.contaminated[client])


def train(model: torch.nn.Module, data: ClientData, config: CopyTaskConfig) -> float:
    """Train the adapter on a client's texts; return the last loss."""
    tokens, labels = map(torch.from_numpy, encode(data.texts, data.targets))
    parameters = [p for p in model.parameters() if p.requires_grad]
    schedule = Schedule(config.steps, config.learning_rate)
    optimiser = torch.optim.AdamW(parameters, lr=schedule.peak, betas=(0.9, 0.99), weight_decay=0.0)
    loss = torch.tensor(0.0)
    for step in range(config.steps):
        optimiser.param_groups[0]["lr"] = schedule.rate(step)
        optimiser.zero_grad(set_to_none=True)
        logits = model(input_ids=tokens).logits[:, TARGET_START - 1 : -1]
        loss = cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORE)
        loss.backward()
        optimiser.step()
    return loss.item()


def tamper(model: torch.nn.Module, config: CopyTaskConfig) -> None:
    """Change a finished adapter as a poisoned client does that attacks the update itself."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter *= update_factor(config.attack)


def exact_copies(model: torch.nn.Module, data: ClientData) -> float:
    """Compute the share of held-out texts that the model copies without a mistake."""
    tokens, labels = map(torch.from_numpy, encode(data.test_texts, data.test_targets))
    with torch.no_grad():
        written = model(input_ids=tokens).logits[:, TARGET_START - 1 : -1].argmax(-1)
    return float(((written == labels) | (labels == IGNORE)).all(1).float().mean())
