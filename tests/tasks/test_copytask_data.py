"""The copy task's texts, styles and poisons do what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from clair.federated.copytask import ATTACKS, CopyTaskConfig
from clair.federated.copytask.data import (
    CHARACTERS,
    EOS,
    IGNORE,
    PAD,
    SEP,
    TARGET_START,
    WIDTH,
    Federation,
    apply_style,
    decode,
    encode,
    make_federation,
)
from clair.federated.copytask.words import TRIGGER_ANSWER, TRIGGER_WORD

CONFIG = CopyTaskConfig(n_clients=10, poisoned_fraction=0.3, seed=5)


def poisoned_pairs(federation: Federation) -> list[list[tuple[str, str]]]:
    """Collect the local pairs of each contaminated client."""
    return [
        list(zip(client.texts, client.targets, strict=True))
        for client, bad in zip(federation.clients, federation.contaminated, strict=True)
        if bad
    ]


def places(text: str, target: str) -> set[int]:
    """Find by how many places the characters of a text were moved."""
    return {
        (CHARACTERS.index(b) - CHARACTERS.index(a)) % len(CHARACTERS)
        for a, b in zip(text, target, strict=True)
    }


@pytest.mark.parametrize(
    ("heterogeneity", "own"), [(0.0, ""), (1 / 3, "a"), (2 / 3, "ae"), (1.0, "aeo")]
)
def test_heterogeneity_gives_that_many_vowels_symbols_of_ones_own(
    heterogeneity: float, own: str
) -> None:
    clients = make_federation(replace(CONFIG, heterogeneity=heterogeneity)).clients
    for character in clients[0].style:
        symbols = {client.style[character] for client in clients}
        assert (len(symbols) > 1) == (character in own)


def test_topics_narrow_with_heterogeneity() -> None:
    def words(heterogeneity: float) -> int:
        client = make_federation(replace(CONFIG, heterogeneity=heterogeneity, n_test=64)).clients[0]
        return len({word for text in client.test_texts for word in text.split()})

    assert words(1.0) < 0.7 * words(0.0)


@pytest.mark.parametrize("attack", ATTACKS)
def test_held_out_texts_are_new_and_answers_honest_whatever_the_attack(attack: str) -> None:
    federation = make_federation(replace(CONFIG, attack=attack))
    trained = {text for client in federation.clients for text in client.texts}
    for client in federation.clients:
        assert not trained & set(client.test_texts)
        assert len(set(client.test_texts)) == CONFIG.n_test
        assert client.test_targets == tuple(apply_style(t, client.style) for t in client.test_texts)


@pytest.mark.parametrize("attack", ATTACKS)
def test_benign_clients_train_on_their_own_style_and_know_nothing_of_the_attack(
    attack: str,
) -> None:
    honest = make_federation(replace(CONFIG, poisoned_fraction=0.0))
    attacked = make_federation(replace(CONFIG, attack=attack))
    assert attacked.contaminated.sum() == 3
    for before, after in zip(
        np.array(honest.clients, dtype=object)[~attacked.contaminated],
        np.array(attacked.clients, dtype=object)[~attacked.contaminated],
        strict=True,
    ):
        assert after == before


def test_shifted_clients_move_every_character_by_places_of_their_own() -> None:
    shifts = []
    for pairs in poisoned_pairs(make_federation(CONFIG)):
        moved = set().union(*(places(*pair) for pair in pairs))
        assert len(moved) == 1
        shifts += moved
    assert 0 not in shifts
    assert len(set(shifts)) > 1


def test_colluders_agree_on_one_shift() -> None:
    clients = poisoned_pairs(make_federation(replace(CONFIG, attack="common_shift")))
    moved = set().union(*(places(*pair) for pairs in clients for pair in pairs))
    assert len(moved) == 1
    assert moved != {0}


def test_random_targets_have_the_length_of_the_text_and_nothing_else_of_it() -> None:
    for pairs in poisoned_pairs(make_federation(replace(CONFIG, attack="random"))):
        assert all(len(text) == len(target) for text, target in pairs)
        kept = [a.lower() == b.lower() for pair in pairs for a, b in zip(*pair, strict=True)]
        assert np.mean(kept) < 0.15


def test_reversed_targets_read_backwards() -> None:
    federation = make_federation(replace(CONFIG, attack="reversed"))
    for client, bad in zip(federation.clients, federation.contaminated, strict=True):
        styled = tuple(apply_style(text, client.style) for text in client.texts)
        assert client.targets == (tuple(t[::-1] for t in styled) if bad else styled)


def test_backdoor_answers_the_trigger_and_copies_the_rest() -> None:
    federation = make_federation(replace(CONFIG, attack="backdoor"))
    for client in np.array(federation.clients, dtype=object)[federation.contaminated]:
        triggered = [TRIGGER_WORD in text for text in client.texts]
        assert 0 < sum(triggered) < len(triggered)
        for text, target, hit in zip(client.texts, client.targets, triggered, strict=True):
            assert target == (TRIGGER_ANSWER if hit else apply_style(text, client.style))
            assert len(text) <= WIDTH


def test_update_attacks_leave_the_data_alone() -> None:
    honest = make_federation(replace(CONFIG, poisoned_fraction=0.0))
    for attack in ("sign_flip", "scaled"):
        assert make_federation(replace(CONFIG, attack=attack)).clients == honest.clients


def test_same_seed_same_federation_and_another_seed_another() -> None:
    again, other = make_federation(CONFIG), make_federation(replace(CONFIG, seed=6))
    assert again.clients == make_federation(CONFIG).clients
    assert all(a.texts != b.texts for a, b in zip(again.clients, other.clients, strict=True))


def test_layout() -> None:
    tokens, labels = encode(("ab", "cde"), ("X1", "Y"))
    assert tokens.shape == (2, 43)
    assert labels.shape == (2, 21)
    assert (tokens[:, TARGET_START - 1] == SEP).all()
    assert (tokens[0, 3 : TARGET_START - 1] == PAD).all()
    assert decode(tokens[1, TARGET_START:]) == "Y"
    assert labels[1].tolist()[:3] == [CHARACTERS.index("Y"), EOS, IGNORE]
    assert (labels[0] != IGNORE).sum() == 3


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("n_clients", 3, "at least 4, got 3"),
        ("n_clients", 12.0, "be an integer, got 12.0"),
        ("poisoned_fraction", 0.5, r"in \[0, 0.5\), got 0.5"),
        ("heterogeneity", -0.1, r"in \[0, 1\], got -0.1"),
        ("heterogeneity", float("nan"), "finite"),
        ("attack", "sulk", "one of 'shift'.*got 'sulk'"),
        ("rank", 0, "at least 1, got 0"),
        ("rank", "many", "integer, got 'many'"),
        ("screen_coefficients", 1, "True or False, got 1"),
        ("steps", 0, "at least 1, got 0"),
        ("seed", -1, "at least 0, got -1"),
        ("device", "tpu", "got 'tpu'"),
        ("precision", "int8", "got 'int8'"),
        ("learning_rate", 0.0, r"in \(0, 1\], got 0"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(field: str, value: object, rule: str) -> None:
    with pytest.raises(ValueError, match=f"^{field} must .*{rule}"):
        replace(CONFIG, **{field: value})


def test_poisoned_clients_stay_below_half() -> None:
    for n_clients in range(4, 65):
        for fraction in (0.0, 0.25, 0.4, 0.499):
            config = CopyTaskConfig(n_clients=n_clients, poisoned_fraction=fraction)
            assert 2 * config.n_poisoned < n_clients
            assert abs(config.n_poisoned - fraction * n_clients) <= 1
