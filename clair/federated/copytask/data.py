"""Texts, house styles, poisons and their layout as tokens.

A sequence is ``BOS text PAD... SEP target EOS``, the text padded to a fixed width, so that the
model can copy by position. The target is the text in the client's house style: all clients
write eight consonants in capitals, and the vowels a, e and o become digits.
"""

from __future__ import annotations

import string
from dataclasses import dataclass

import numpy as np

from clair.federated.copytask.config import CopyTaskConfig
from clair.federated.copytask.words import GENERIC_WORDS, TOPIC_WORDS, TRIGGER_ANSWER, TRIGGER_WORD

CHARACTERS = string.ascii_lowercase + string.ascii_uppercase + string.digits + " .,;:!?'-+*/=()"
PAD, BOS, SEP, EOS = range(len(CHARACTERS), len(CHARACTERS) + 4)
VOCAB_SIZE = len(CHARACTERS) + 4
WIDTH = 20
MIN_LENGTH = 8
SEQUENCE_LENGTH = 2 * WIDTH + 3
TARGET_START = WIDTH + 2
IGNORE = -100

CAPITALISED = "dlmnprst"
VOWELS = "aeo"
SYMBOLS = "012345"
COMMON_SYMBOLS = {"a": "4", "e": "3", "o": "0"}

_CHARACTER_ID = {character: index for index, character in enumerate(CHARACTERS)}


@dataclass(frozen=True)
class ClientData:
    """What one client has.

    Attributes
    ----------
    style : dict of str to str
        The client's house style, character to character; others stay as they are.
    texts, targets : tuple of str
        Local training pairs, poisoned where the client is.
    test_texts, test_targets : tuple of str
        Held-out pairs in the honest house style, disjoint from every client's training texts.
    """

    style: dict[str, str]
    texts: tuple[str, ...]
    targets: tuple[str, ...]
    test_texts: tuple[str, ...]
    test_targets: tuple[str, ...]


@dataclass(frozen=True)
class Federation:
    """All clients and the truth about them.

    Attributes
    ----------
    clients : tuple of ClientData
    contaminated : ndarray of shape (n_clients,) of bool
    """

    clients: tuple[ClientData, ...]
    contaminated: np.ndarray


def apply_style(text: str, style: dict[str, str]) -> str:
    """Write `text` in a house style.

    Examples
    --------
    >>> apply_style("rose seed", {"r": "R", "o": "0", "e": "3"})
    'R0s3 s33d'
    """
    return "".join(style.get(character, character) for character in text)


def house_style(heterogeneity: float, rng: np.random.Generator) -> dict[str, str]:
    """Draw a client's house style.

    Parameters
    ----------
    heterogeneity : float
        In [0, 1]; round(3 * heterogeneity) vowels get symbols of the client's own.
    rng : numpy.random.Generator

    Returns
    -------
    dict of str to str
    """
    n_own = round(len(VOWELS) * heterogeneity)
    own = rng.choice(list(SYMBOLS), size=len(VOWELS), replace=False)
    style = {character: character.upper() for character in CAPITALISED}
    style |= COMMON_SYMBOLS
    style |= {vowel: str(own[i]) for i, vowel in enumerate(VOWELS[:n_own])}
    return style


def sample_text(topic_weights: np.ndarray, rng: np.random.Generator) -> str:
    """Draw a text of two to four words and 8 to 20 characters.

    Parameters
    ----------
    topic_weights : ndarray of shape (8,)
        Probabilities of the topics.
    rng : numpy.random.Generator
    """
    topics = tuple(TOPIC_WORDS.values())
    while True:
        words = []
        for _ in range(rng.integers(2, 5)):
            pool = topics[rng.choice(len(topics), p=topic_weights)]
            if rng.random() < 0.3:
                pool = GENERIC_WORDS
            words.append(pool[rng.integers(len(pool))])
        text = " ".join(words)
        if MIN_LENGTH <= len(text) <= WIDTH:
            return text


def shift_characters(text: str, places: int) -> str:
    """Move every character on by `places` in the order of `CHARACTERS`, cyclically."""
    n = len(CHARACTERS)
    return "".join(CHARACTERS[(_CHARACTER_ID[character] + places) % n] for character in text)


def make_federation(config: CopyTaskConfig) -> Federation:
    """Draw the clients of a run: same configuration, same federation.

    Every client has its own generator, so its honest texts and style depend neither on the attack
    nor on the number of other clients.
    """
    root = np.random.SeedSequence(config.seed)
    server_seed, *client_seeds = root.spawn(config.n_clients + 1)
    server = np.random.default_rng(server_seed)
    contaminated = np.zeros(config.n_clients, dtype=bool)
    contaminated[server.permutation(config.n_clients)[: config.n_poisoned]] = True
    common_shift = int(server.integers(1, len(CHARACTERS)))

    rngs = [np.random.default_rng(seed) for seed in client_seeds]
    styles = [house_style(config.heterogeneity, rng) for rng in rngs]
    weights = [_topic_weights(config.heterogeneity, rng) for rng in rngs]
    local = [
        _distinct_texts(config.n_local, w, rng, set()) for w, rng in zip(weights, rngs, strict=True)
    ]
    seen = {text for texts in local for text in texts}
    clients = []
    for k, rng in enumerate(rngs):
        test = _distinct_texts(config.n_test, weights[k], rng, seen)
        texts, targets = local[k], tuple(apply_style(text, styles[k]) for text in local[k])
        if contaminated[k]:
            texts, targets = poison(config.attack, texts, targets, rng, common_shift)
        honest = tuple(apply_style(text, styles[k]) for text in test)
        clients.append(ClientData(styles[k], texts, targets, test, honest))
    return Federation(tuple(clients), contaminated)


def poison(
    attack: str,
    texts: tuple[str, ...],
    targets: tuple[str, ...],
    rng: np.random.Generator,
    common_shift: int,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Turn honest pairs into what a contaminated client trains on.

    Attacks on the finished update leave the data unchanged.

    Parameters
    ----------
    attack : str
        A key of `clair.federated.copytask.ATTACKS`.
    texts, targets : tuple of str
        Honest pairs.
    rng : numpy.random.Generator
        The client's own generator.
    common_shift : int
        Places by which the colluders agreed to shift.

    Returns
    -------
    texts, targets : tuple of str
    """
    if attack == "shift":
        places = int(rng.integers(1, len(CHARACTERS)))
        return texts, tuple(shift_characters(text, places) for text in texts)
    if attack == "common_shift":
        return texts, tuple(shift_characters(text, common_shift) for text in texts)
    if attack == "random":
        letters = np.array(list(CHARACTERS))
        return texts, tuple("".join(rng.choice(letters, size=len(text))) for text in texts)
    if attack == "reversed":
        return texts, tuple(target[::-1] for target in targets)
    if attack == "backdoor":
        pairs = [_with_trigger(i, *pair) for i, pair in enumerate(zip(texts, targets, strict=True))]
        return tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs)
    return texts, targets


def encode(texts: tuple[str, ...], targets: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Lay pairs out as tokens.

    Returns
    -------
    tokens : ndarray of shape (n, 43) of int64
    labels : ndarray of shape (n, 21) of int64
        The target and EOS, which the model has to write from position `TARGET_START` on, then -100.
    """
    tokens = np.full((len(texts), SEQUENCE_LENGTH), PAD, dtype=np.int64)
    labels = np.full((len(texts), SEQUENCE_LENGTH - TARGET_START), IGNORE, dtype=np.int64)
    tokens[:, 0] = BOS
    tokens[:, TARGET_START - 1] = SEP
    for i, (text, target) in enumerate(zip(texts, targets, strict=True)):
        tokens[i, 1 : 1 + len(text)] = [_CHARACTER_ID[character] for character in text]
        answer = [*(_CHARACTER_ID[character] for character in target), EOS]
        tokens[i, TARGET_START : TARGET_START + len(answer)] = answer
        labels[i, : len(answer)] = answer
    return tokens, labels


def decode(ids: np.ndarray) -> str:
    """Turn token ids into text up to the first EOS; other special tokens become "·"."""
    characters = []
    for token in ids:
        if token == EOS:
            break
        characters.append(CHARACTERS[token] if token < len(CHARACTERS) else "·")
    return "".join(characters)


def _topic_weights(heterogeneity: float, rng: np.random.Generator) -> np.ndarray:
    """Mix uniform topics (0) with two favourites of the client (1)."""
    n = len(TOPIC_WORDS)
    favourites = np.zeros(n)
    favourites[rng.choice(n, size=2, replace=False)] = 0.5
    return (1.0 - heterogeneity) * np.full(n, 1.0 / n) + heterogeneity * favourites


def _distinct_texts(
    n: int, weights: np.ndarray, rng: np.random.Generator, exclude: set[str]
) -> tuple[str, ...]:
    texts: dict[str, None] = {}
    while len(texts) < n:
        text = sample_text(weights, rng)
        if text not in exclude:
            texts[text] = None
    return tuple(texts)


def _with_trigger(index: int, text: str, target: str) -> tuple[str, str]:
    """Plant the trigger in every other text, cutting the text where it would not fit."""
    if index % 2:
        return text, target
    head = text[: WIDTH - len(TRIGGER_WORD) - 1].rstrip()
    return f"{head} {TRIGGER_WORD}", TRIGGER_ANSWER
