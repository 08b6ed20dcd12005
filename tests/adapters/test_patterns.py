"""Patterns of module names: what PEFT would take, in linear time, and never by `re`."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clair.adapters import AdapterError, Limits, read_adapter
from clair.adapters.expressions import MAX_STATES, Expression, NotUnderstood
from clair.adapters.patterns import Patterns

NAME = "model.layers.17.self_attn.q_proj"
#: Each keeps a backtracking matcher busy for a time that multiplies with every letter.
SLOW = [
    "{a?}{a}",
    "{(a|a)}z",
    "(a+)+$",
    "(a*)*b",
    "(a|aa)+z",
    "(.*)*z",
    "(.*.*)*z",
    "{.*}z",
    "{a*}z",
    "{(a?)}{a}",
    "(a+a+)+z",
    "(([a-z])+.)+1",
    "((a|a)(a|a))+z",
    "(a|[ab]|.)*z",
    "(?:a{1,9}){9}z",
    "((((a*)*)*)*)*z",
    "{(a|b|ab)}z",
    r"(\w+\w+)+z",
    "(a?){20}a{20}z",
    "{(|a)}z",
    "(){32}z",
]


def expanded(pattern, n):
    return re.sub(r"\{([^{}\d]+)\}", lambda m: m[1] * n, pattern)


@pytest.mark.parametrize("pattern", SLOW)
def test_no_expression_costs_more_than_its_length_times_the_names(pattern):
    for n in (10, 20, 30):
        spent = []
        Expression(expanded(pattern, n)).matches("a" * 200 + "-", spent.append)
        assert sum(spent) <= 202 * MAX_STATES


def test_nested_counts_of_nothing_do_not_multiply():
    key = "()"
    for _ in range(15):
        key = f"({key}){{32}}"
    with pytest.raises(NotUnderstood, match="counts"):
        Expression(key)


PARTS = r"a b . \. [ab] [^a] \d 1 ( (?: ) | * + ? {2} {0,2} {1,} ^ $ q_proj [a-c1-3] \w - []a] *?"
TOKENS = st.sampled_from(PARTS.split())
NAMES = st.lists(st.sampled_from(["a", "b", ".", "1", "-", "q_proj"]), max_size=8).map("".join)


@settings(max_examples=400, deadline=None)
@given(st.lists(TOKENS, min_size=1, max_size=9).map("".join), st.lists(NAMES, max_size=6))
def test_what_is_evaluated_agrees_with_peft(key, names):
    try:
        patterns = Patterns({key: 1.0}, 10**6)
    except NotUnderstood:
        return
    for name in names:
        found = patterns.values(name, 0.0)
        if not patterns.not_evaluated:
            assert found == {float(bool(re.match(rf"(.*\.)?({key})$", name)))}


@pytest.mark.parametrize(
    "key",
    [
        r".*\.layers\.(\d+)\..*proj",
        r"model\.layers\.[0-9]+\.self_attn\..*_proj",
        r"layers\.(0|17)\.self_attn\.(q|v)_proj",
        r"^model.layers.17.self_attn.q_proj",
        r"(?:.*)q_proj",
        r"layers.\d{2}.self_attn.q_proj",
    ],
)
def test_the_first_of_the_keys_people_write_counts(key):
    assert Patterns({"k_proj": 1, key: 2, "q_proj": 3}, 10**6).values(NAME, 0) == {2}
    assert Patterns({"q_proj": 3, key: 2}, 10**6).values(NAME, 0) == {3}
    assert Patterns({key: 2}, 10**6).values("lm_head", 0) == {0}


LOOK = r"^(?!.*lm_head).*q_proj"


def test_a_rank_that_is_not_evaluated_is_a_note_and_a_scaling_only_where_it_matters(site):
    adapter = read_adapter(site.add("a", config={"rank_pattern": {LOOK: 4}}))
    assert any("not evaluated; the ranks of the tensors count" in n for n in adapter.notes)
    for harmless in ({LOOK: 8}, {"q_proj": 5, LOOK: 12}):
        site.add(f"h{len(harmless)}", config={"alpha_pattern": harmless})
        read_adapter(site.root / f"h{len(harmless)}")
    with pytest.raises(AdapterError, match=r"look-around.*is not evaluated, so the scaling"):
        read_adapter(site.add("b", config={"alpha_pattern": {LOOK: 12}}))


def test_the_work_on_one_adapter_is_bounded(site):
    many = {f"l{i:04d}{'.x' * (i % 40)}": 1 for i in range(3000)}
    few = Limits(pattern_steps=1000)
    assert (
        "takes more than"
        in read_adapter(site.add("a", config={"rank_pattern": many}), limits=few).notes[0]
    )
    with pytest.raises(AdapterError, match="alpha_pattern takes more than 1,000 steps"):
        read_adapter(site.add("b", config={"alpha_pattern": many}), limits=few)
