"""Notes on the words of the field: each once, never inside code, never a way in for HTML."""

from __future__ import annotations

import re

import pytest

from clair.app.kit.glossary import TERMS, marked


def marks(text: str) -> list[str]:
    return re.findall(r'<span class="term"[^>]*>([^<]*)</span>', marked(text))


def test_every_first_use_is_marked_and_only_that():
    text = "A client sends an update; other clients send updates of low rank. FedAvg averages them."
    assert marks(text) == ["client", "update", "low rank", "FedAvg"]


def test_the_longest_reading_wins():
    assert marks("the principal angle, the recovered subspace, a contamination norm") == [
        "principal angle",
        "recovered subspace",
        "contamination norm",
    ]


@pytest.mark.parametrize(
    "text", ["`client`", "$rank$", "[here](/lab?clients=3)", "outclients", "λ₀", "ranking"]
)
def test_code_formulas_addresses_and_other_words_are_left_alone(text: str):
    assert marked(text) == text


def test_html_in_the_text_stays_text():
    hostile = "client <img src=x onerror=alert(1)> & <script>update</script>"
    shown = marked(hostile)
    assert set(re.findall(r"<(/?\w+)", shown)) == {"span", "/span"}
    assert "&lt;img" in shown
    assert "&amp;" in shown


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.name)
def test_every_term_is_found_under_one_of_its_names_and_explained_simply(term):
    names = [name.strip() for name in term.name.split(",")]
    assert any(marks(name) for name in names)
    assert 5 <= len(term.meaning.split()) <= 40
