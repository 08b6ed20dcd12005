"""ClairStrategy on Flower's own messages, in memory."""

from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("flwr", reason="needs Flower: tests/requirements-extras.txt")

from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

from clair.flower import ClairStrategy
from tests.flower.conftest import RANK, A, B, World, arrays, product


def degrees(verdict) -> dict[int, str]:
    return {client.node: client.degree for client in verdict.clients}


def test_the_poisoned_are_dropped_in_every_round_and_the_others_gain(world: World) -> None:
    strategy = ClairStrategy()
    result = strategy.start(world.grid(), world.start, num_rounds=3)
    flagged = sorted(world.names[node] for node in world.bad)
    assert [sorted(verdict.flagged) for verdict in strategy.verdicts] == [flagged] * 3
    assert strategy.personal.keys() == set(world.names) - world.bad
    assert {verdict.rank for verdict in strategy.verdicts} == {2}
    true = world.problem.true_updates
    for node, adapter in strategy.personal.items():
        error = np.linalg.norm(product(adapter) - true[node - 1])
        assert error < 0.5 * np.linalg.norm(product(result.arrays) - true[node - 1])
    metrics = result.train_metrics_clientapp[3]
    assert metrics["clair-flagged"] == 2
    kept = sorted(strategy.personal)
    assert metrics["loss"] == pytest.approx(np.mean(kept))  # the flagged are not heard
    assert all(
        client.reason for client in strategy.verdicts[-1].clients if client.node in world.bad
    )


def test_the_average_can_be_sent_back_to_everybody(world: World) -> None:
    strategy = ClairStrategy(sent_back="average")
    strategy.start(world.grid(), world.start, num_rounds=2)
    assert strategy.personal == {}
    assert sorted(map(len, (v.flagged for v in strategy.verdicts))) == [2, 2]


def crash(_: RecordDict) -> RecordDict:
    raise RuntimeError("out of memory")


def other_names(content: RecordDict) -> RecordDict:
    old = content["arrays"]
    content["arrays"] = ArrayRecord({key.replace("lora_A", "lora_a"): old[key] for key in old})
    return content


def other_shape(content: RecordDict) -> RecordDict:
    content["arrays"] = arrays(np.zeros((24, RANK + 1)), np.zeros((RANK + 1, 20)))
    return content


def not_finite(content: RecordDict) -> RecordDict:
    b = content["arrays"][B].numpy().copy()
    b[3, 2] = np.nan
    content["arrays"] = arrays(b, content["arrays"][A].numpy())
    return content


def nothing(content: RecordDict) -> RecordDict:
    del content["arrays"]
    return content


def integers(content: RecordDict) -> RecordDict:
    content["arrays"][B] = Array(np.ones((24, RANK), dtype=np.int64))
    return content


def noise_for_numbers(content: RecordDict) -> RecordDict:
    old = content["arrays"][B]
    content["arrays"][B] = Array(old.dtype, tuple(old.shape), old.stype, b"\x00" * 90)
    return content


def a_header_that_asks_for_a_terabyte(content: RecordDict) -> RecordDict:
    header = io.BytesIO()
    fields = {"descr": "<f8", "fortran_order": False, "shape": (2**37,)}
    np.lib.format.write_array_header_1_0(header, fields)
    content["arrays"][B] = Array("float32", (24, RANK), "numpy.ndarray", header.getvalue())
    return content


def too_many_bytes(content: RecordDict) -> RecordDict:
    old = content["arrays"][B]
    content["arrays"][B] = Array(old.dtype, tuple(old.shape), old.stype, old.data + b"\0" * 10**5)
    return content


@pytest.mark.parametrize(
    "change",
    [
        crash,
        other_names,
        other_shape,
        not_finite,
        nothing,
        integers,
        noise_for_numbers,
        a_header_that_asks_for_a_terabyte,
        too_many_bytes,
    ],
)
def test_a_reply_that_cannot_be_used_costs_its_client_only(world: World, change) -> None:
    broken = next(node for node in sorted(world.names) if node not in world.bad)
    strategy, without = ClairStrategy(), ClairStrategy()
    result = strategy.start(world.grid({broken: change}), world.start, num_rounds=2)
    grid = world.grid()
    grid.gone.add(broken)
    expected = without.start(grid, world.start, num_rounds=2)
    for verdict, other in zip(strategy.verdicts, without.verdicts, strict=True):
        found = degrees(verdict)
        assert found.pop(broken) == "set aside"
        assert found == degrees(other)
        assert all(client.reason for client in verdict.clients if client.node == broken)
    assert np.array_equal(product(result.arrays), product(expected.arrays))


def test_whoever_stops_answering_is_set_aside_and_the_round_goes_on(world: World) -> None:
    grid, strategy = world.grid(), ClairStrategy(min_available_nodes=8)
    strategy.start(grid, world.start, num_rounds=1)
    lost = next(node for node in world.names if node not in world.bad)
    asked = strategy.configure_train(2, world.start, ConfigRecord(), grid)
    grid.gone.add(lost)
    strategy.aggregate_train(2, grid.send_and_receive(asked))
    last = {client.node: client for client in strategy.verdicts[-1].clients}
    assert last[lost].degree == "set aside"
    assert last[lost].name == world.names[lost]  # known from the round before
    assert strategy.verdicts[-1].judged
    strategy.configure_train(3, world.start, ConfigRecord(), grid)  # does not wait for eight


def test_too_few_to_judge_carry_the_last_verdict_on(world: World) -> None:
    grid, strategy = world.grid(), ClairStrategy()
    strategy.start(grid, world.start, num_rounds=1)
    before = degrees(strategy.verdicts[-1])
    honest = sorted(set(world.names) - world.bad)
    grid.gone |= set(honest[2:])  # two honest and two poisoned are left
    strategy.start(grid, world.start, num_rounds=1)
    last = strategy.verdicts[-1]
    assert not last.judged
    left = [*honest[:2], *sorted(world.bad)]
    assert {node: degrees(last)[node] for node in left} == {node: before[node] for node in left}
    mean = np.mean([world.problem.updates[node - 1] for node in honest[:2]], axis=0)
    average = product(strategy._state.average)
    assert np.linalg.norm(average - mean) < 0.2 * np.linalg.norm(mean)


def test_a_first_round_of_too_few_changes_nothing(world: World) -> None:
    strategy = ClairStrategy()
    result = strategy.start(world.grid(n_clients=4), world.start, num_rounds=1)
    assert set(degrees(strategy.verdicts[0]).values()) == {"not comparable"}
    assert len(result.arrays) == 0
    assert strategy.personal == {}


def test_a_federation_goes_on_from_its_folder(world: World, tmp_path: Path) -> None:
    whole = ClairStrategy()
    result_of_all = whole.start(world.grid(), world.start, num_rounds=4)
    first = ClairStrategy(folder=tmp_path)
    saved = first.start(world.grid(), world.start, num_rounds=2)
    second = ClairStrategy(folder=tmp_path)
    assert second.verdicts == first.verdicts
    asked = ClairStrategy(folder=tmp_path).configure_train(
        1, world.start, ConfigRecord(), world.grid()
    )
    got = {one.metadata.dst_node_id: product(one.content["arrays"]) for one in asked}
    for node, received in got.items():
        own = first.personal.get(node)
        expected = product(saved.arrays) if own is None else product(own)
        assert received == pytest.approx(expected, abs=1e-5)
    result = second.start(world.grid(), world.start, num_rounds=2)
    assert [verdict.round for verdict in second.verdicts] == [1, 2, 3, 4]
    assert [degrees(v) for v in second.verdicts] == [degrees(v) for v in whole.verdicts]
    assert product(result.arrays) == pytest.approx(product(result_of_all.arrays), abs=1e-5)
    assert second.personal.keys() == whole.personal.keys()

    other = arrays(np.zeros((24, RANK)), np.zeros((RANK, 21)))
    with pytest.raises(ValueError, match="initial arrays"):
        ClairStrategy(folder=tmp_path).start(world.grid(), other, num_rounds=1)
    [file] = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match="state of a federation"):
        ClairStrategy(folder=tmp_path)


def test_clients_weigh_equally_whatever_they_claim(world: World) -> None:
    def boast(content: RecordDict) -> RecordDict:
        content["metrics"]["num-examples"] = 10**9
        return content

    loud = next(node for node in world.names if node not in world.bad)

    def average(changes=None, **options):
        return product(ClairStrategy(**options).start(world.grid(changes), world.start, 1).arrays)

    assert np.array_equal(average(), average({loud: boast}))
    believed = average({loud: boast}, weight_key="num-examples")
    own = 0.8 * world.problem.updates[loud - 1]
    assert np.linalg.norm(believed - own) < 0.1 * np.linalg.norm(own)


def test_the_order_of_replies_does_not_matter(world: World) -> None:
    adapters = []
    for turn in (1, -1):
        strategy, grid = ClairStrategy(), world.grid()
        random.seed(0)  # Flower draws the order in which it asks
        asked = strategy.configure_train(1, world.start, ConfigRecord(), grid)
        replies = list(grid.send_and_receive(asked))[::turn]
        strategy.aggregate_train(1, iter(replies))
        adapters.append(dict(sorted(strategy.personal.items())))
    first, second = ([product(one).tobytes() for one in own.values()] for own in adapters)
    assert first == second


@pytest.mark.parametrize(
    "record",
    [
        {"classifier.weight": np.zeros((2, 2))},
        {A: np.zeros((RANK, 20))},
        {A: np.zeros((RANK, 20)), B: np.zeros((24, RANK + 1))},
        {},
    ],
)
def test_only_lora_factors_can_be_federated(world: World, record) -> None:
    initial = ArrayRecord({key: Array(value) for key, value in record.items()})
    with pytest.raises(ValueError, match="initial arrays"):
        ClairStrategy().start(world.grid(), initial, num_rounds=1)


@pytest.mark.parametrize(
    "options", [{"sent_back": "both"}, {"rank": 0}, {"rank": "many"}, {"min_judged": 3}]
)
def test_settings_out_of_range_are_refused_by_name(options) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        ClairStrategy(**options)
