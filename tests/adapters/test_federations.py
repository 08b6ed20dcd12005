"""Verdicts on kinds of federations that people have, each over ten draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from clair.adapters import AuditOptions, audit, read_folder
from clair.adapters.refined import Plan

ATTENTION = tuple(f"model.layers.{i}.self_attn.{kind}_proj" for i in range(2) for kind in "qv")
PERCEPTRON = tuple(f"model.layers.{i}.mlp.{kind}_proj" for i in range(2) for kind in ("up", "down"))
D_OUT, D_IN, RANK, SHARED = 44, 36, 4, 3


def own_start(rng: np.random.Generator, module: str) -> np.ndarray:
    """Draw a factor A of the client's own."""
    return rng.standard_normal((RANK, D_IN))


def common_start(seed: int, moved: float) -> Callable[..., np.ndarray]:
    """Make A as sent by the server and moved a little by every client, or frozen."""

    def start(rng: np.random.Generator, module: str) -> np.ndarray:
        sent = np.random.default_rng([seed, 3, *module.encode()]).standard_normal((RANK, D_IN))
        return sent + moved * rng.standard_normal(sent.shape)

    return start


def federation(
    site: Any,
    seed: int,
    n: int = 8,
    *,
    sizes: Mapping[int, float] | None = None,
    start: Callable[..., np.ndarray] = own_start,
    noise: float = 0.2,
    shared: int = SHARED,
    more: tuple[int, ...] = (),
    apart: Mapping[int, float] | None = None,
    options: AuditOptions | None = None,
) -> Any:
    """Write a federation and audit it.

    Parameters
    ----------
    site : Site
    seed : int
    n : int
        Clients.
    sizes : mapping of int to float, optional
        Poisoned clients, which share no direction, and the size of their updates.
    start : callable
        Gives the factor A.
    noise : float
        Size of each client's own part.
    shared : int
        Directions that honest clients share in each module.
    more : tuple of int
        Clients that adapt the perceptrons, too.
    apart : mapping of int to float, optional
        Clients that share what the others do, and the size of a direction of their own.
    options : AuditOptions, optional
    """
    poisoned = sizes or {}
    for k in range(n):
        rng, tensors = np.random.default_rng([seed, 1, k]), {}
        for module in ATTENTION + PERCEPTRON * (k in more):
            basis = np.random.default_rng([seed, 2, *module.encode()])
            U = (rng if k in poisoned else basis).standard_normal((D_OUT, shared))
            own = noise * rng.standard_normal((D_OUT, RANK))
            if k in (apart or {}):
                alone = rng.standard_normal((D_OUT, 1)) @ rng.standard_normal((1, RANK))
                own += apart[k] * alone
            B = U @ rng.standard_normal((shared, RANK)) + own
            name = f"base_model.model.{module}"
            tensors[f"{name}.lora_A.weight"] = start(rng, module).astype(np.float32)
            tensors[f"{name}.lora_B.weight"] = (poisoned.get(k, 1.0) * B).astype(np.float32)
        site.add(f"c{k}", tensors=tensors)
    return audit(read_folder(site.root), options)


def flagged(result: Any) -> set[str]:
    return {client.name for client in result.named("flagged")}


draws = pytest.mark.parametrize("seed", range(10))


@draws
def test_poison_shows_where_everybody_started_from_one_sent_by_the_server(site, seed):
    result = federation(site, seed, sizes={6: 1.0}, start=common_start(seed, 0.05))
    assert flagged(result) == {"c6"}
    assert result.exit_code == 1
    # All clients share their rows by construction, so rows say nothing about any client.
    assert result.sides["input"].shared_energy > 0.95
    assert result.sides["input"].degrees != result.sides["output"].degrees
    assert any("start from one common A" in note for note in result.notes)


@draws
def test_nobody_is_flagged_where_rows_are_frozen_or_targets_differ(site, tmp_path, seed):
    # The kurtosis of four small matrices stands out by chance in one federation of forty.
    options = AuditOptions(compare_shape=False)
    start = common_start(seed, 0.0)
    frozen = federation(site, seed, start=start, noise=0.3, shared=4, options=options)
    assert flagged(frozen) == set()
    site.root = tmp_path / "mixed"
    mixed = federation(site, seed, more=(5, 6, 7), options=options)
    assert flagged(mixed) == set()
    (note,) = [note for note in mixed.notes if "not comparable" in note]
    assert f"{len(PERCEPTRON)} modules" in note
    assert "c5, c6 and c7" in note


@draws
def test_a_boosted_client_does_not_hide_another(site, seed):
    result = federation(site, seed, 10, sizes={3: 10.0, 7: 1.0})
    assert flagged(result) == {"c3", "c7"}


@draws
def test_three_clients_are_too_few_to_tell(site, seed):
    result = federation(site, seed, 3, sizes={1: 5.0} if seed % 2 else None)
    assert flagged(result) == set()
    assert result.exit_code == 2
    assert "at least 4 are needed" in result.reason


def test_degrees_grow_with_the_deviation_and_suspects_teach_nobody(site, tmp_path):
    seen = []
    for step, size in enumerate((0.0, 0.16, 1.0)):
        site.root = tmp_path / str(step)
        result = federation(site, 3, 12, apart={4: size})
        client = next(c for c in result.clients if c.name == "c4")
        seen.append(client.verdict)
        assert (client.verdict == "kept") == (not client.reasons)
        others = {c.verdict for c in result.clients if c.name != "c4"}
        assert others == {"kept"}
        if client.verdict == "suspect":
            assert result.exit_code == 3
            assert "Suspect: c4" in result.sentence()
            assert client.influence == 0
            suspect = result
    assert seen == ["kept", "suspect", "flagged"]
    refined = Plan.of(suspect)
    name, module = next(iter(suspect.judged.modules.items()))
    everybody = refined.clients_with(name)
    assert 4 in everybody
    before = refined.refine(module, everybody)
    louder = replace(module, output=module.output.copy())
    louder.output[4] *= 3
    after = refined.refine(louder, everybody)
    np.testing.assert_allclose(np.delete(after, 4, 0), np.delete(before, 4, 0), atol=1e-9)
    assert not np.allclose(after[4], before[4])
