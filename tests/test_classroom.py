"""Classes: who may do what, what counts, and what is kept."""

from __future__ import annotations

import unicodedata
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clair.lessons.classroom import (
    ABSENT,
    LEFT,
    ClassError,
    Classes,
    Held,
    Limits,
)
from clair.lessons.typed import LETTERS, clean_code, clean_name

SPOT = ("averaging", 1)  # four choices or fewer
NUMBER = ("averaging", 3)  # a slider from 1 to 15


class Clock:
    """Seconds that a test moves itself."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def asking(spot: tuple[str, int] = SPOT, limits: Limits | None = None) -> tuple[Classes, Held]:
    classes = Classes(limits)
    held = classes.open("lecturer", spot)
    classes.show(held, "ask", spot)
    return classes, held


def test_a_class_from_joining_to_its_end() -> None:
    classes = Classes()
    held = classes.open("lecturer", SPOT)
    assert set(held.code) <= set(LETTERS)
    assert held.key not in repr(held)
    assert classes.look(held.code, "ada")[0].phase == "join"
    assert not classes.answer(held.code, "ada", SPOT, 1)  # nothing is asked yet
    classes.show(held, "ask", SPOT)
    for visitor, guess in (("ada", 0), ("bob", 1), ("cyd", 1)):
        assert classes.answer(held.code.lower(), visitor, SPOT, guess)
    classes.look(held.code, "dee")
    assert (classes.screen(held).here, classes.screen(held).answered) == (4, 3)
    classes.show(held, "told", SPOT, 1.25)
    screen, seat = classes.look(held.code, "ada")
    assert (screen.phase, screen.value, seat.number, seat.guess) == ("told", 1.25, 1, 0.0)
    assert not classes.answer(held.code, "dee", SPOT, 1)  # too late
    assert classes.predictions(held) == {0.0: 1, 1.0: 2}
    classes.show(held, "ask", NUMBER)
    screen, seat = classes.look(held.code, "ada")
    assert (screen.value, screen.answered, seat.guess) == (None, 0, None)
    assert not classes.answer(held.code, "ada", SPOT, 1)  # of a step that is over
    classes.close(held)
    with pytest.raises(ClassError, match="no class"):
        classes.look(held.code, "ada")
    assert classes.held("lecturer") is None


def test_a_second_answer_replaces_the_first_and_counts_once() -> None:
    classes, held = asking()
    for guess in (0, 2, 1):
        assert classes.answer(held.code, "ada", SPOT, guess)
    assert classes.predictions(held) == {1.0: 1}
    assert classes.screen(held).answered == 1


@pytest.mark.parametrize("guess", [-1, 3, 0.5, 1e9, float("nan"), float("inf")])
def test_a_prediction_that_no_page_offers_is_not_taken(guess: float) -> None:
    classes, held = asking()
    assert not classes.answer(held.code, "ada", SPOT, guess)
    assert not classes.predictions(held)


@pytest.mark.parametrize("key", ["", "x", "ü" * 43])
def test_only_the_key_moves_a_class(key: str) -> None:
    classes, held = asking()
    classes.answer(held.code, "ada", SPOT, 1)
    thief = Held(held.code, key)
    for attempt in (
        lambda: classes.show(thief, "told", SPOT, 0.0),
        lambda: classes.close(thief),
        lambda: classes.screen(thief),
        lambda: classes.predictions(thief),
        lambda: classes.attempts(thief, 9),
    ):
        with pytest.raises(ClassError, match="another lecturer"):
            attempt()
    assert classes.look(held.code, "ada")[0].phase == "ask"


def test_keys_are_long_and_never_the_same_and_the_lecturers_browser_has_its_own_back() -> None:
    classes = Classes()
    helds = [classes.open(f"lecturer {i}", SPOT) for i in range(20)]
    assert len({held.key for held in helds}) == len({held.code for held in helds}) == 20
    assert min(len(held.key) for held in helds) >= 43  # 256 bits
    assert classes.held("lecturer 7") == helds[7]
    assert classes.held("somebody else") is None


def test_classes_and_phones_are_bounded() -> None:
    clock = Clock()
    classes = Classes(Limits(classes=2, seats=3), clock)
    first, second = classes.open("a", SPOT), classes.open("b", SPOT)
    with pytest.raises(ClassError, match="2 classes"):
        classes.open("c", SPOT)
    again = classes.open("b", SPOT)  # a lecturer has one class
    with pytest.raises(ClassError):
        classes.screen(second)
    for name in "xyz":
        classes.look(first.code, name)
    with pytest.raises(ClassError, match="full"):
        classes.look(first.code, "one more")
    assert classes.look(first.code, "y")[1].number == 2  # who has a seat keeps it
    clock.now += LEFT + 1
    classes.screen(again)
    classes.open("c", SPOT)  # in place of the one whose lecturer has left
    with pytest.raises(ClassError):
        classes.screen(first)
    classes.screen(again)


def test_a_class_ends_when_its_lecturer_is_gone_or_the_day_is_over() -> None:
    clock = Clock()
    classes = Classes(Limits(idle=100, age=1000), clock)
    held = classes.open("a", SPOT)
    for _ in range(10):
        clock.now += 99
        classes.screen(held)
    clock.now += 11  # looked at all the time, and too old
    with pytest.raises(ClassError):
        classes.screen(held)
    held = classes.open("a", SPOT)
    clock.now += 51
    classes.look(held.code, "ada")  # the audience does not keep it alive
    clock.now += 51
    classes.tidy()
    assert classes.held("a") is None


def test_phones_that_left_are_not_waited_for_but_their_answers_count() -> None:
    clock = Clock()
    classes = Classes(clock=clock)
    held = classes.open("a", SPOT)
    classes.show(held, "ask", SPOT)
    classes.answer(held.code, "ada", SPOT, 1)
    classes.look(held.code, "bob")
    clock.now += ABSENT + 1
    assert (classes.screen(held).here, classes.screen(held).answered) == (1, 1)


def test_answers_that_come_at_once_are_all_counted() -> None:
    classes, held = asking(NUMBER)
    with ThreadPoolExecutor(16) as pool:
        taken = pool.map(
            lambda i: classes.answer(held.code, f"phone {i % 100}", NUMBER, 1 + i % 15), range(2000)
        )
        assert all(taken)
    assert classes.predictions(held).total() == 100
    numbers = {classes.look(held.code, f"phone {i}")[1].number for i in range(100)}
    assert numbers == set(range(1, 101))


def test_the_worst_attacks_come_first_and_nobody_is_twice_on_the_list() -> None:
    classes, held = asking()
    classes.rename(held.code, "ada", "Eve")
    classes.rename(held.code, "bob", "Eve")
    for visitor, harm in (("ada", 0.1), ("bob", 0.3), ("ada", 0.2), ("ada", 0.1)):
        classes.attempt(held.code, visitor, harm, f"{harm:g}")
    for harm in (0.0, float("nan"), float("inf")):
        classes.attempt(held.code, "cyd", harm, "none")
    classes.look(held.code, "only looks")
    found = [(one.who, one.harm, one.held) for one in classes.attempts(held, 9)]
    assert found == [("Eve (2)", 0.3, "0.3"), ("Eve (1)", 0.2, "0.2"), ("Number 3", 0.0, "none")]
    assert len(classes.attempts(held, 2)) == 2


def test_nothing_a_class_keeps_names_a_visitor() -> None:
    classes = Classes()
    held = classes.open("cookie-of-the-lecturer", SPOT)
    classes.look(held.code, "cookie-of-ada")
    assert "cookie" not in repr(vars(classes)) + repr(vars(classes._classes[held.code]))


@given(st.text(max_size=300))
def test_any_name_becomes_one_short_visible_line(text: str) -> None:
    name = clean_name(text)
    assert len(name) <= 20
    assert name == " ".join(name.split())
    assert not any(unicodedata.category(letter)[0] == "C" for letter in name)


@given(st.text(max_size=40))
def test_any_code_is_a_code_or_nothing(text: str) -> None:
    code = clean_code(text)
    assert code == "" or (len(code) == 5 and set(code) <= set(LETTERS))
