"""A federation of shops that sort orders by house words of their own; needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clair.federated.llm.config import LLMConfig
from clair.federated.llm.words import HOUSE_WORDS, PRODUCTS, PROMPT, TARGET, TRIGGERED

CATEGORIES = tuple(PRODUCTS)
N_HELD_OUT = 8  # products of each category that nobody trains on
#: A client's answer that a random token replaces, see `poisoned_answers`.
RANDOM = -1
#: Index of the backdoor's target among the answers.
FREE = len(HOUSE_WORDS)
ANSWERS = (*HOUSE_WORDS, TARGET)


@dataclass(frozen=True)
class Federation:
    """Who has which orders and answers, with the truth that no method sees.

    Attributes
    ----------
    contaminated : ndarray of shape (n_clients,) of bool
    words : ndarray of shape (n_clients, 6) of int
        Index into `ANSWERS` of each client's honest word for each category.
    prompts : tuple of tuple of str
        Training orders by client, the same number for each; one category after the other.
    answers : ndarray of shape (n_clients, n_local) of int
        Index into `ANSWERS`, poisoned where a client is contaminated; `RANDOM` for any token.
    test_prompts, test_triggered : tuple of str
        Held-out orders, and the same ones marked as urgent.
    test_categories : ndarray of shape (48,) of int
        Category of each.
    """

    contaminated: np.ndarray
    words: np.ndarray
    prompts: tuple[tuple[str, ...], ...]
    answers: np.ndarray
    test_prompts: tuple[str, ...]
    test_triggered: tuple[str, ...]
    test_categories: np.ndarray

    def expected(self) -> np.ndarray:
        """Look up what each benign client answers to the held-out orders, (n_benign, 48)."""
        return self.words[~self.contaminated][:, self.test_categories]


def all_prompts() -> list[str]:
    """List every order that can occur, as it is and as an urgent one."""
    return [
        form.format(product=product)
        for form in (PROMPT, TRIGGERED)
        for products in PRODUCTS.values()
        for product in products
    ]


def make_federation(config: LLMConfig) -> Federation:
    """Draw the federation a config describes.

    Streams are separate, so that another attack leaves clients and orders as they were.
    """
    rng = np.random.default_rng([config.seed, 20])
    order = np.stack([rng.permutation(len(products)) for products in PRODUCTS.values()])
    disputed = rng.permutation(len(CATEGORIES))[: config.disputed]
    contaminated = np.zeros(config.n_clients, dtype=bool)
    contaminated[rng.permutation(config.n_clients)[: config.n_poisoned]] = True
    common = derangement(np.random.default_rng([config.seed, 21]))
    words = np.tile(np.arange(len(CATEGORIES)), (config.n_clients, 1))
    prompts, answers = [], []
    for k in range(config.n_clients):
        own, draw, bad = (np.random.default_rng([config.seed, 22, k, i]) for i in range(3))
        words[k, disputed] = own.permutation(disputed)
        kinds, texts = _orders(order[:, N_HELD_OUT:], config.products, draw)
        said = words[k][kinds]
        if contaminated[k]:
            texts, said = _poison(config.attack, texts, said, common, bad)
        prompts.append(tuple(texts))
        answers.append(said)
    held_out = [
        (kind, product)
        for kind, category in enumerate(CATEGORIES)
        for product in np.array(PRODUCTS[category])[order[kind, :N_HELD_OUT]]
    ]
    return Federation(
        contaminated,
        words,
        tuple(prompts),
        np.stack(answers),
        tuple(PROMPT.format(product=product) for _, product in held_out),
        tuple(TRIGGERED.format(product=product) for _, product in held_out),
        np.array([kind for kind, _ in held_out]),
    )


def _orders(pool: np.ndarray, n: int, rng: np.random.Generator) -> tuple[np.ndarray, list[str]]:
    """Draw a client's orders: their categories, and texts."""
    kinds, texts = [], []
    for kind, category in enumerate(CATEGORIES):
        for i in rng.permutation(pool[kind])[:n]:
            kinds.append(kind)
            texts.append(PROMPT.format(product=PRODUCTS[category][i]))
    return np.array(kinds), texts


def _poison(
    attack: str,
    texts: list[str],
    answers: np.ndarray,
    common: np.ndarray,
    rng: np.random.Generator,
) -> tuple[list[str], np.ndarray]:
    """Poison the training data of a contaminated client."""
    if attack == "wrong":
        return texts, derangement(rng)[answers]
    if attack == "collude":
        return texts, common[answers]
    if attack == "random_labels":
        return texts, rng.integers(0, len(HOUSE_WORDS), size=answers.size)
    if attack == "random_tokens":
        return texts, np.full(answers.size, RANDOM)
    if attack == "backdoor":
        texts, answers = list(texts), answers.copy()
        start, marked = PROMPT.split("{product}")[0], TRIGGERED.split("{product}")[0]
        for i in rng.permutation(answers.size)[: answers.size // 2]:
            texts[i], answers[i] = texts[i].replace(start, marked, 1), FREE
    return texts, answers


def derangement(rng: np.random.Generator) -> np.ndarray:
    """Draw a permutation of the house words that leaves none in place."""
    while True:
        drawn = rng.permutation(len(HOUSE_WORDS))
        if not np.any(drawn == np.arange(len(HOUSE_WORDS))):
            return drawn
