"""Compare A and B from state to state: sides, swap, copy, presets, the way to the lab."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from tests.app.elements import sentence, visit

FOUND, CLAIR, LOCAL, FEDAVG = range(4)


def compare(**params: str) -> AppTest:
    """Open the page at that address as a fresh visitor."""
    return visit("compare", **params)


def numbers(app: AppTest, side: str) -> list[str]:
    """Read the four numbers of one side."""
    values = [metric.value for metric in app.metric]
    return values[:4] if side == "A" else values[4:]


def test_first_paint_compares_two_real_results() -> None:
    app = compare()
    assert app.title[0].value == "Compare A and B"
    assert [h.value for h in app.header] == ["A", "B"]
    assert numbers(app, "A")[FOUND] == "5 of 5"
    assert numbers(app, "B")[FOUND] == "9 of 9"
    assert "“Poisoned fraction” is 0.45 instead of 0.25" in sentence(app)
    assert f"from {numbers(app, 'A')[CLAIR]} to {numbers(app, 'B')[CLAIR]}" in sentence(app)
    assert dict(app.query_params) == {}


def test_one_side_changes_without_the_other() -> None:
    app = compare()
    before = numbers(app, "A"), numbers(app, "B")
    app.slider(key="b_noise").set_value(0.1).run()
    assert numbers(app, "A") == before[0]
    assert numbers(app, "B") != before[1]
    assert "“Noise” is 0.10 instead of 0.03" in sentence(app)
    app.slider(key="a_noise").set_value(0.1).run()
    assert "Noise" not in sentence(app)
    app.button(key="compare_reset").click().run()
    assert (numbers(app, "A"), numbers(app, "B")) == before
    assert dict(app.query_params) == {}


def test_swap_exchanges_and_copy_makes_equal() -> None:
    app = compare(a_attack="Colluding", b_clients="12", pair_view="Verdict")
    a, b = numbers(app, "A"), numbers(app, "B")
    app.button(key="compare_swap").click().run()
    assert (numbers(app, "A"), numbers(app, "B")) == (b, a)
    assert app.slider(key="a_clients").value == 12
    assert app.selectbox(key="b_attack").value == "colluding"
    assert app.segmented_control(key="pair_view").value == "verdict"
    app.button(key="compare_copy_a").click().run()
    assert numbers(app, "A") == numbers(app, "B") == b
    assert "every number is the same" in sentence(app)
    assert {metric.delta for metric in app.metric[1:4]} == {"as in B"}
    app.slider(key="a_clients").set_value(20).run()
    app.button(key="compare_copy_b").click().run()
    assert app.slider(key="a_clients").value == 12


def test_differences_are_signed_from_each_side() -> None:
    app = compare(b_poisoned="0.25", b_noise="0.1")
    first, second = app.metric[CLAIR].delta, app.metric[4 + CLAIR].delta
    assert first.startswith("-")
    assert first.endswith(" against B")
    assert second.startswith("+")
    assert first[1:].split()[0] == second[1:].split()[0]


def test_an_address_opens_both_sides_and_presets_are_pairs() -> None:
    app = compare(b_poisoned="0.25", b_pooling="eb", a_heterogeneity="0.0", b_heterogeneity="0.0")
    assert any("Pooling off or on" in caption.value for caption in app.caption)
    assert "**B is ahead**" in " ".join(m.value for m in app.markdown)
    app.button(key="compare_preset_score").click().run()
    assert not app.exception
    assert numbers(app, "A")[FOUND] == "9 of 9"
    assert numbers(app, "B")[FOUND] == "0 of 9"
    assert app.selectbox(key="a_attack").value == app.selectbox(key="b_attack").value == "alie"
    assert app.segmented_control(key="a_pooling").value == "none"


@pytest.mark.parametrize("view", ["errors", "verdict", "split", "subspace"])
def test_every_view_draws_both_sides(view: str) -> None:
    app = compare(pair_view=view, b_side="input", b_clients="30", a_solver="irls")
    titles = [m.value for m in app.markdown if m.value.startswith((r"**A\: ", r"**B\: "))]
    assert len(titles) >= 2
    assert [title[2] for title in titles] == ["A", "B"] * (len(titles) // 2)


def test_a_side_without_a_result_says_so_and_the_other_stays() -> None:
    app = compare()
    a = numbers(app, "A")
    app.slider(key="b_clients").set_value(4).run()
    app.slider(key="b_poisoned").set_value(0.6).run()
    assert not app.exception
    assert "honest clients would be left" in app.warning[0].value
    assert sentence(app).startswith("B cannot be computed")
    assert [metric.value for metric in app.metric] == a
    assert not [metric.delta for metric in app.metric[1:] if metric.delta]
    app.button(key="compare_swap").click().run()
    assert sentence(app).startswith("A cannot be computed")
    app.button(key="compare_reset").click().run()
    assert not app.warning


def test_a_side_opens_in_the_lab_and_the_lab_is_left_alone_otherwise() -> None:
    app = compare(b_clients="14", b_attack="Colluding", a_clients="9")
    b = numbers(app, "B")
    app.button(key="compare_open_b").click().run()
    assert not app.exception
    assert app.title[0].value == "Subspace lab"
    assert app.slider(key="clients").value == 14
    assert app.slider(key="poisoned").value == 0.45
    assert app.selectbox(key="attack").value == "colluding"
    assert [app.metric[0].value, app.metric[1].value] == b[:2]
