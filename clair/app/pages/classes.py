"""The classes of this server, the one a lecturer holds, and the one a phone is in."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

import streamlit as st

from clair.app.kit.jobs import visitor
from clair.app.kit.presenter import set_presenting
from clair.app.pages import lessons
from clair.app.pages.lessons import Place
from clair.lessons.classroom import ClassError, Classes, Held
from clair.lessons.typed import clean_code

PAGE = "pages/classroom.py"
#: Name of the code in the address of the audience.
CODE = "class"
#: What the lecturer's page shows: how to join, the lesson, or the audience's attacks.
View = Literal["join", "lesson", "attacks"]

# Names in the session state: the class a lecturer holds and what of it is shown; why none could be
# opened; the code of the class that this phone is in.
_HELD = "_class_held"
_VIEW = "_class_view"
_REFUSED = "_class_refused"
_SEAT = "_class_seat"

# In the process and outside Streamlit's caches, which any visitor can empty.
CLASSES = Classes()


# -- the lecturer ------------------------------------------------------------------------------


def held() -> Held | None:
    """Return the class that this visitor holds, found by the browser after a reload."""
    mine: Held | None = st.session_state.get(_HELD)
    try:
        if mine is None and (mine := CLASSES.held(visitor())) is not None:
            phase = CLASSES.screen(mine).phase
            show(phase if phase in ("join", "attacks") else "lesson")
        elif mine is not None:
            CLASSES.screen(mine)
    except ClassError:  # it has ended
        mine = None
    st.session_state[_HELD] = mine
    return mine


def open_class(place: Place) -> None:
    """Open a class at a step, on stage and with no answer shown; a callback."""
    try:
        st.session_state[_HELD] = CLASSES.open(visitor(), (place.course_key, place.number))
    except ClassError as error:
        st.session_state[_REFUSED] = str(error)
        return
    for seen in lessons.seen():
        lessons.hide(seen)
    show("join")
    set_presenting(True)


def refused() -> str | None:
    """Say once why no class could be opened."""
    words: str | None = st.session_state.pop(_REFUSED, None)
    return words


def close_class() -> None:
    """End the class that this visitor holds; a callback."""
    if (mine := held()) is not None:
        CLASSES.close(mine)
    st.session_state[_HELD] = None


def view() -> View:
    """Tell what the lecturer's page shows of the class."""
    chosen: View = st.session_state.get(_VIEW, "lesson")
    return chosen


def show(what: View) -> None:
    """Choose what the lecturer's page shows of the class; a callback."""
    st.session_state[_VIEW] = what


def move(name: str) -> None:
    """Turn as `lessons.move` does; from the other views first to the lesson. A callback."""
    if held() is not None and view() != "lesson":
        show("lesson")
    else:
        lessons.move(name)


def go(place: Place) -> None:
    """Make `place` the current one, and look at it; a callback."""
    show("lesson")
    lessons.go(place)


def publish(mine: Held, place: Place, answer: float | None) -> None:
    """Move the whole class to where its lecturer is.

    Parameters
    ----------
    mine : Held
    place : Place
    answer : float or None
        The computed answer, None while it is not told.
    """
    phase: Literal["join", "ask", "told", "attacks"] = "ask" if answer is None else "told"
    if (chosen := view()) != "lesson":
        phase = chosen
    try:
        CLASSES.show(mine, phase, (place.course_key, place.number), answer)
    except ClassError:  # it has ended since this run began
        st.rerun()


def link(code: str) -> str:
    """Write the audience's address as the lecturer's browser would open it."""
    base = (st.context.url or "").split("?")[0].rpartition("/")[0]
    return f"{base}/classroom?{CODE}={code}"


def here_only(address: str) -> bool:
    """Tell whether an address leads other machines to themselves instead of here."""
    host = urlsplit(address).hostname or "localhost"
    return host in ("localhost", "::1") or host.startswith("127.") or host.endswith(".localhost")


# -- the audience ------------------------------------------------------------------------------


def sit(code: str) -> None:
    """Remember the class that this phone is in, for the Red team page."""
    st.session_state[_SEAT] = code


def seat() -> str | None:
    """Return the code of the class that this phone is in; None without one."""
    code: str | None = st.session_state.get(_SEAT) or clean_code(st.query_params.get(CODE, ""))
    return code or None


def report_attempt(harm: float, held: str) -> None:
    """Give an attack to the class that this phone is in, if any.

    Parameters
    ----------
    harm : float
        What it costs without being detected, as a share of the honest clients' error.
    held : str
        How many of the clients are the attacker's, such as "8 of 20".
    """
    if (code := seat()) is None:
        return
    try:
        CLASSES.attempt(code, visitor(), harm, held)
    except ClassError:  # the class has ended
        st.session_state.pop(_SEAT, None)


def back_to_class() -> None:
    """Draw a link back to the class on a page that was opened from there."""
    if (code := clean_code(st.query_params.get(CODE, ""))) != "":
        st.page_link(
            PAGE,
            label=f"Back to class {code}",
            icon=":material/arrow_back:",
            query_params={CODE: code},
        )
