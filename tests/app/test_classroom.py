"""A class over two visitors: the lecturer's page and a phone's."""

from __future__ import annotations

import re

import pytest
from streamlit.testing.v1 import AppTest

from clair.app.pages import class_phone, class_stage, classes
from clair.lessons.classroom import Classes
from clair.lessons.typed import clean_name
from clair.redteam.strike import Strike
from tests.app.elements import bare, visit

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Classes:
    """Give the test classes of its own."""
    own = Classes()
    for module in (classes, class_stage, class_phone):
        monkeypatch.setattr(module, "CLASSES", own)
    return own


def words(app: AppTest) -> str:
    """Read all HTML of a page but its styles."""
    bodies = [one.proto.body for one in app.get("html")]
    return "\n".join(body for body in bodies if not body.startswith("<style>"))


def opened() -> tuple[AppTest, str]:
    """Open a class as a lecturer; return the page and the code."""
    stage = visit("lessons", course="averaging", step="1")
    stage.button(key="class_open").click().run()
    assert not stage.exception
    found = re.search(r'class="code">(\w+)<', words(stage))
    assert found is not None
    return stage, found[1]


def test_what_the_phones_predict_stands_beside_the_answer_on_stage(fresh: Classes) -> None:
    stage, code = opened()
    phones = [visit("classroom", **{"class": code}) for _ in range(3)]
    assert "number 3" in bare(words(phones[2]))
    stage.button(key="class_begin").click().run()
    for phone, choice in zip(phones, (1, 2, 2), strict=True):
        phone.run()
        phone.button(key=f"class_choose_averaging.1_{choice}").click().run()
        assert "You predicted" in bare(words(phone))
    assert "3 of 3 have predicted" in bare(words(stage.run()))
    assert "lesson-answer" not in words(phones[0].run())
    stage.button(key="class_tell_averaging.1").click().run()
    told = bare(words(stage))
    for line in ("CLAIR's is clearly smaller0 of 3", "The two are about equal1 of 3"):
        assert line in told
    assert "The average's is clearly smaller✓ computed · 2 of 3" in told
    said = [bare(words(phone.run())) for phone in phones]
    assert "It turned out otherwise" in said[0]
    assert "Your prediction fits" in said[1]
    stage.button(key="lesson_next").click().run()
    assert phones[0].run().button(key="class_choose_averaging.2_0")
    stage.button(key="class_show_join").click().run()
    stage.button(key="class_close").click().run()
    assert stage.button(key="class_open")
    assert "no class" in phones[0].run().warning[0].value


def test_a_phone_holds_no_key_and_cannot_turn_the_class(fresh: Classes) -> None:
    stage, code = opened()
    phone = visit("classroom", **{"class": code})
    held = fresh._classes[code].held
    shown = words(phone) + words(stage) + str(phone.query_params) + str(stage.query_params)
    assert held.key not in shown
    # the lessons of somebody in the audience are that visitor's own
    other = visit("lessons", course="liars", step="2")
    other.button(key="lesson_show_liars.2").click().run()
    assert fresh.screen(held).phase == "join"
    assert fresh.screen(held).spot == ("averaging", 1)


def test_the_lesson_is_found_again_where_it_was_after_answers_seen_before(fresh: Classes) -> None:
    stage = visit("lessons", course="averaging", step="1", said="averaging.1~_averaging.2~")
    stage.button(key="class_open").click().run()
    stage.button(key="class_begin").click().run()
    assert "lesson-answer" not in words(stage)


def test_attacks_go_to_the_board_with_harmless_names(
    fresh: Classes, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, code = opened()
    stage.button(key="class_show_attacks").click().run()
    phone = visit("classroom", **{"class": code})
    phone.text_input(key="class_name").set_value(HOSTILE).run()
    phone.query_params["class"] = code
    phone.switch_page("pages/redteam.py").run()
    phone.slider(key="rt_held").set_value(2).run()
    assert not phone.exception
    found = fresh.attempts(fresh._classes[code].held, 9)
    assert [(one.who, one.held) for one in found] == [(f"{clean_name(HOSTILE)} (1)", "8 of 20")]
    shown = words(stage.run())
    assert "&lt;img" in shown
    assert "<img" not in shown
    monkeypatch.setattr(Strike, "score", 0.25)
    phone.slider(key="rt_held").set_value(3).run()
    phone.slider(key="rt_held").set_value(11).run()  # a majority has no score
    assert "holding 3 of 20" in bare(words(stage.run()))
    assert "25.0 %" in bare(words(stage))


@pytest.mark.parametrize("typed", ["", "?", "ZZZZZ", HOSTILE, "x" * 10_000, "٢٢٢٢٢"])
def test_an_address_without_a_class_asks_for_the_code(typed: str) -> None:
    phone = visit("classroom", **{"class": typed})
    assert phone.text_input(key="class_code")
    assert not phone.exception


def test_a_full_server_says_so(fresh: Classes) -> None:
    for i in range(20):
        fresh.open(f"lecturer {i}", ("liars", 1))
    stage = visit("lessons")
    stage.button(key="class_open").click().run()
    assert "20 classes" in stage.toast[0].value
    assert stage.button(key="class_open")


@pytest.mark.parametrize(
    ("address", "alone"),
    [
        ("http://localhost:8501/classroom", True),
        ("http://127.0.0.1:8501/classroom", True),
        ("http://[::1]:8501/classroom", True),
        ("/classroom", True),
        ("http://192.168.1.20:8501/classroom", False),
        ("https://clair.example.org/classroom", False),
    ],
)
def test_an_address_of_this_machine_only_is_known_as_such(address: str, alone: bool) -> None:
    assert classes.here_only(address) is alone
