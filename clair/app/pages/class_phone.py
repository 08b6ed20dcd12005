"""A phone in a class: the question, one tap to predict, and how it went."""

from __future__ import annotations

import html

import streamlit as st

from clair.app.kit.content import content
from clair.app.kit.glossary import marked
from clair.app.kit.jobs import visitor
from clair.app.kit.plain import plain
from clair.app.pages import classes
from clair.app.pages.classes import CLASSES, CODE
from clair.app.pages.lesson_marks import answer_box, compared, marks
from clair.app.pages.lesson_slider import slider
from clair.app.pages.lessons import Place
from clair.lessons.classroom import ClassError, Phase, Screen, Seat
from clair.lessons.progress import Spot
from clair.lessons.quantities import QUANTITIES
from clair.lessons.typed import clean_code

#: Seconds between two looks at the class: the fewest, and how many more for each phone in it.
LOOK, LOOK_EACH = 1.5, 0.03


def phone() -> None:
    """Draw the page of a phone: the class in the address, or a place for its code."""
    typed = st.query_params.get(CODE, "")
    code = clean_code(typed)
    if not code:
        if typed:
            st.warning("A code has five letters or digits.", icon=":material/error:")
        _ask_for_code()
        return
    try:
        screen, seat = CLASSES.look(code, visitor())
    except ClassError as error:
        st.warning(str(error), icon=":material/error:")
        _ask_for_code()
        return
    classes.sit(code)
    st.title(f"Class {code}", anchor=False)
    _draw(code, screen, seat)
    # Many phones ask less often: together they ask at most 33 times a second.
    pause = max(LOOK, LOOK_EACH * screen.here)
    st.fragment(_watch, run_every=pause)(code, screen.phase, screen.spot)


def _watch(code: str, phase: Phase, spot: Spot) -> None:
    """Draw the page again once the class shows something else; the question costs nothing."""
    try:
        screen, _ = CLASSES.look(code, visitor())
    except ClassError:
        st.rerun()
    if (screen.phase, screen.spot) != (phase, spot):
        st.rerun()


def _ask_for_code() -> None:
    st.title("Join a class", anchor=False)
    st.text_input("Code on the screen", key="class_code", max_chars=12, on_change=_enter)
    st.button("Join", key="class_join", type="primary", on_click=_enter)
    st.caption(content("classroom")["privacy"])


def _enter() -> None:
    st.query_params[CODE] = clean_code(st.session_state["class_code"]) or "?"


def _draw(code: str, screen: Screen, seat: Seat) -> None:
    place = Place(*screen.spot)
    match screen.phase:
        case "join":
            _wait(code, seat)
        case "ask":
            _ask(code, place, seat)
        case "told":
            _tell(place, screen, seat)
        case "attacks":
            _attack(code, seat)


def _wait(code: str, seat: Seat) -> None:
    st.html(
        f'<p class="lesson-text">{content("classroom")["welcome"].format(number=seat.number)}</p>'
    )
    st.caption(content("classroom")["privacy"])
    _name(code, seat)


def _ask(code: str, place: Place, seat: Seat) -> None:
    _question(place)
    if place.step.number is None:
        for i, choice in enumerate(place.step.choices):
            st.button(
                plain(choice.text),
                key=f"class_choose_{place.word}_{i}",
                type="primary" if seat.guess == i else "secondary",
                icon=":material/check:" if seat.guess == i else None,
                width="stretch",
                on_click=_answer,
                args=(code, place, float(i)),
            )
    else:
        key = f"class_guess_{place.word}"
        slider(place.step, key, seat.guess)
        st.button(
            "Send" if seat.guess is None else "Send again",
            key=f"class_send_{place.word}",
            type="primary",
            width="stretch",
            on_click=_send,
            args=(code, place, key),
        )
    if seat.guess is not None:
        said = _said(place, seat.guess)
        words = content("classroom")["ask_again"]
        st.html(f'<p class="class-sent" role="status">✓ You predicted {said}. {words}</p>')
    with st.expander("What it is about"):
        st.markdown(marked(place.step.text), unsafe_allow_html=True)


def _question(place: Place) -> None:
    st.caption(f"{place.course.title}, step {place.number} of {len(place.course.steps)}")
    st.html(f'<h2 class="lesson-question">{html.escape(place.step.question)}</h2>')


def _said(place: Place, guess: float) -> str:
    step = place.step
    if step.number is None:
        return f"“{html.escape(step.choices[int(guess)].text)}”"
    return QUANTITIES[step.answer].say(guess)


def _send(code: str, place: Place, key: str) -> None:
    _answer(code, place, float(st.session_state[key]))


def _answer(code: str, place: Place, guess: float) -> None:
    try:
        CLASSES.answer(code, visitor(), (place.course_key, place.number), guess)
    except ClassError:  # it has ended; the page says so when it is drawn
        return


def _tell(place: Place, screen: Screen, seat: Seat) -> None:
    _question(place)
    assert screen.value is not None
    st.html(answer_box(*compared(place.step, screen.value, seat.guess)))
    st.html(marks(place.step, screen.value, seat.guess))
    st.html(f'<p class="lesson-text">{marked(place.step.why)}</p>')


def _attack(code: str, seat: Seat) -> None:
    st.markdown(content("classroom")["phone_attacks"])
    st.page_link(
        "pages/redteam.py",
        label="Attack on the Red team page",
        icon=":material/swords:",
        query_params={CODE: code},
    )
    if seat.harm:
        st.html(f'<p class="class-sent">Your best undetected: {100 * seat.harm:.1f} %</p>')
    _name(code, seat)


def _name(code: str, seat: Seat) -> None:
    key = "class_name"
    if key not in st.session_state:
        st.session_state[key] = seat.name
    st.text_input(
        "A name for the board of attacks, if you like",
        key=key,
        max_chars=20,
        on_change=_rename,
        args=(code, key),
    )
    if seat.name:
        st.caption(f"On the board: {plain(seat.name)} ({seat.number})")


def _rename(code: str, key: str) -> None:
    try:
        CLASSES.rename(code, visitor(), st.session_state[key])
    except ClassError:
        return
