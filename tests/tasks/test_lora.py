"""Batched adapters: the same as one client after another, attached and removed without trace."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from clair.federated.copytask.data import (
    IGNORE,
    TARGET_START,
    CopyTaskConfig,
    encode,
    make_federation,
)
from clair.federated.copytask.model import (
    ADAPTED_MODULES,
    FrozenPrefix,
    answer_logits,
    load_base_model,
)
from clair.federated.copytask.scoring import Batch
from clair.federated.lora import ClientLora, ClientUpdates, client_matmul
from clair.federated.shares import halves, whole
from clair.federated.training import Schedule, train_clients

N_CLIENTS = 4
CPU = torch.device("cpu")


@pytest.fixture
def model():
    return load_base_model(CPU)


@pytest.fixture
def pairs():
    clients = make_federation(CopyTaskConfig(n_clients=N_CLIENTS, n_local=3, seed=2)).clients
    return [(client.texts, client.targets) for client in clients]


def attach(model, n_clients=N_CLIENTS, rank=3, **options):
    rng = np.random.default_rng(0)
    return ClientLora(model, ADAPTED_MODULES, n_clients=n_clients, rank=rank, rng=rng, **options)


def train(model, pairs, lora, steps=12):
    data = Batch(pairs, CPU)
    return train_clients(
        lambda: data.losses(answer_logits(model, data.tokens, TARGET_START)),
        lora.parameters(),
        Schedule(steps, 1e-2),
    )


def test_client_matmul_uses_each_clients_own_matrix_whatever_the_inner_axes() -> None:
    rng = torch.Generator().manual_seed(0)
    weight = torch.randn(3, 5, 2, generator=rng)
    for inner in ((), (4,), (4, 6)):
        x = torch.randn(3 * 7, *inner, 2, generator=rng)
        expected = torch.cat([x[7 * k : 7 * k + 7] @ weight[k].T for k in range(3)])
        torch.testing.assert_close(client_matmul(x, weight), expected)


def test_all_at_once_equals_one_client_after_another(model, pairs) -> None:
    together = attach(model)
    losses = train(model, pairs, together)
    together.remove()
    for k, pair in enumerate(pairs):
        alone = attach(model, n_clients=1)
        own = train(model, [pair], alone)
        alone.remove()
        np.testing.assert_allclose(losses[:, k], own[:, 0], atol=1e-5)
        for name, (B, A) in alone.factors().items():
            np.testing.assert_allclose(together.factors()[name][0][k], B[0], atol=2e-4)
            np.testing.assert_allclose(together.factors()[name][1][k], A[0], atol=2e-4)
    assert losses[-1].mean() < 0.8 * losses[0].mean()


def test_halves_train_in_the_same_batch_as_they_would_alone(model) -> None:
    clients = make_federation(CopyTaskConfig(n_clients=N_CLIENTS, n_local=4, seed=2)).clients
    data = Batch([(client.texts, client.targets) for client in clients], CPU)
    prefix = FrozenPrefix(model, data.tokens, TARGET_START)
    everybody = np.arange(N_CLIENTS)

    def trained(*shares):
        answers = data.answers(shares)
        part = prefix.at(answers.places)
        lora = attach(model, sum(map(len, shares)), layout=answers.layout)
        losses = train_clients(
            lambda: answers.losses(part.logits()), lora.parameters(), Schedule(8, 1e-2)
        )
        with torch.no_grad():
            errors = answers.errors(part.logits()).numpy()
        lora.remove()
        return losses, errors

    shares = (whole(everybody, 4), *halves(everybody, 4))
    together = trained(*shares)
    for found, apart in zip(together, zip(*map(trained, shares), strict=True), strict=True):
        np.testing.assert_allclose(found, np.concatenate(apart, axis=-1), atol=1e-4)
    texts = np.concatenate([shares[1].examples, shares[2].examples], axis=1)
    assert np.sort(texts, axis=1).tolist() == [[0, 1, 2, 3]] * N_CLIENTS


def test_answers_lose_only_their_padding(model, pairs) -> None:
    data = Batch(pairs, CPU)
    logits = answer_logits(model, data.tokens, TARGET_START)
    answers = data.answers()
    labels = torch.from_numpy(data.labels).view(N_CLIENTS, -1)
    for k, rows in enumerate(logits.view(N_CLIENTS, labels.shape[1], -1)):
        expected = cross_entropy(rows, labels[k], ignore_index=IGNORE)
        torch.testing.assert_close(data.losses(logits)[k], expected)
    counted = labels.view(N_CLIENTS, 3, -1) != IGNORE
    right = logits.argmax(-1).view_as(counted) == labels.view_as(counted)
    scores = answers.accuracy(logits.flatten(0, 1)[answers.places])
    exact = (right | ~counted).all(2).double().mean(1)
    np.testing.assert_allclose(scores.exact_match, exact, atol=1e-6)
    np.testing.assert_allclose(
        scores.token, (right & counted).sum((1, 2)) / counted.sum((1, 2)), atol=1e-6
    )


def test_training_starts_at_the_base_leaves_it_frozen_and_removing_restores_it(
    model, pairs
) -> None:
    tokens = Batch(pairs, CPU).tokens
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    base = answer_logits(model, tokens, TARGET_START)
    lora = attach(model)
    assert torch.equal(answer_logits(model, tokens, TARGET_START), base)
    train(model, pairs, lora)
    changed = answer_logits(model, tokens, TARGET_START)
    assert (changed - base).abs().max() > 0.1
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    lora.remove()
    lora.remove()
    assert torch.equal(answer_logits(model, tokens, TARGET_START), base)


def test_factors_carry_the_scaling_and_equal_dense_updates(model, pairs) -> None:
    tokens = Batch(pairs, CPU).tokens
    lora = attach(model, rank=3, alpha=6.0)
    train(model, pairs, lora)
    adapted = answer_logits(model, tokens, TARGET_START)
    lora.remove()
    assert lora.scaling == 2.0
    dense = ClientUpdates(model, {name: B @ A for name, (B, A) in lora.factors().items()})
    torch.testing.assert_close(
        answer_logits(model, tokens, TARGET_START), adapted, atol=1e-4, rtol=1e-4
    )
    dense.remove()


def test_the_prefix_gives_the_whole_models_logits(model, pairs) -> None:
    data = Batch(pairs, CPU)
    prefix = FrozenPrefix(model, data.tokens, TARGET_START)
    lora = attach(model)
    train(model, pairs, lora)
    torch.testing.assert_close(
        prefix.logits(), answer_logits(model, data.tokens, TARGET_START), atol=1e-4, rtol=1e-4
    )
    lora.remove()
    torch.testing.assert_close(
        prefix.logits(), answer_logits(model, data.tokens, TARGET_START), atol=1e-4, rtol=1e-4
    )


def test_the_prefix_is_cut_anywhere_while_updates_are_attached(model, pairs, monkeypatch) -> None:
    data = Batch(pairs, CPU)
    whole = FrozenPrefix(model, data.tokens, TARGET_START)
    monkeypatch.setattr("clair.federated.copytask.model.PREFIX_CHUNK", len(data.tokens) - 1)
    lora = attach(model)
    cut = FrozenPrefix(model, data.tokens, TARGET_START)
    lora.remove()
    torch.testing.assert_close(cut.logits(), whole.logits())


def test_only_linear_modules_can_be_adapted(model) -> None:
    with pytest.raises(ValueError, match=r"nn.Linear layers, got 'model.norm'"):
        ClientUpdates(model, {"model.norm": np.zeros((1, 2, 2))})


def test_a_client_without_a_future_does_not_touch_the_others() -> None:
    """Check that, with AdamW on summed losses, a client's path depends on its own data only."""
    target = torch.tensor([[1.0, 2.0], [3.0, -1.0]])

    def final(k: slice) -> torch.Tensor:
        x = torch.zeros_like(target[k]).requires_grad_()
        train_clients(lambda: ((x - target[k]) ** 2).sum(1), [x], Schedule(9, 0.1))
        return x.detach()

    assert torch.equal(final(slice(0, 2))[1], final(slice(1, 2))[0])


def test_schedule_warms_up_and_decays_to_a_tenth() -> None:
    rates = [Schedule(80, 1.0).rate(step) for step in range(80)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[-1] == pytest.approx(0.1)
    assert (np.diff(rates[5:]) < 0).all()


# peft asks the model for a property that transformers has renamed.
@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
def test_losses_agree_with_peft(pairs) -> None:
    peft = pytest.importorskip("peft")
    ours = load_base_model(CPU)
    lora = attach(ours)
    start = {name: value.detach().clone() for name, value in lora.A.items()}
    losses = train(ours, pairs, lora, steps=20)
    options = peft.LoraConfig(r=3, lora_alpha=3, target_modules=list(ADAPTED_MODULES))
    for k, (texts, targets) in enumerate(pairs):
        model = peft.get_peft_model(load_base_model(CPU), options)
        for name in ADAPTED_MODULES:
            module = model.base_model.model.get_submodule(name)
            module.lora_A["default"].weight.data.copy_(start[name][k])
        tokens, labels = (torch.from_numpy(array) for array in encode(texts, targets))
        optimiser = torch.optim.AdamW(
            [p for p in model.parameters() if p.requires_grad],
            lr=1e-2,
            betas=(0.9, 0.99),
            weight_decay=0.0,
        )
        own = []
        for step in range(20):
            optimiser.param_groups[0]["lr"] = Schedule(20, 1e-2).rate(step)
            logits = model(input_ids=tokens[:, :-1], use_cache=False).logits
            loss = torch.nn.functional.cross_entropy(
                logits[:, TARGET_START - 1 :].flatten(0, 1), labels.flatten()
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            own.append(float(loss.detach()))
        np.testing.assert_allclose(losses[:, k], own, atol=1e-4)
        assert own[-1] < 0.8 * own[0]
