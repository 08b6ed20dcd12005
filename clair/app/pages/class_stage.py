"""What a lecturer's page shows of a class: how to join, how many have answered, attacks."""

from __future__ import annotations

import html
from urllib.parse import urlsplit

import segno
import streamlit as st

from clair.app.kit.content import content
from clair.app.pages import classes
from clair.app.pages.classes import CLASSES
from clair.app.pages.lesson_marks import marks
from clair.app.pages.lessons import Place
from clair.lessons.classroom import ClassError, Held

#: Seconds between two looks at what the phones have sent.
LOOK = 1.0
#: Attacks on the board.
MOST = 8


def open_button(place: Place) -> None:
    """Draw the button that opens a class, and say why none could be opened."""
    st.button(
        "Open a class",
        key="class_open",
        type="tertiary",
        icon=":material/groups:",
        help="Your audience predicts on its phones, without accounts; you lead from here.",
        on_click=classes.open_class,
        args=(place,),
    )
    if (words := classes.refused()) is not None:
        st.toast(words, icon=":material/error:", duration="long")


def ways() -> None:
    """Draw the ways to what is not a step."""
    now = classes.view()
    for what, label, icon in (
        ("join", "How to join", "qr_code_2"),
        ("attacks", "Attacks", "swords"),
    ):
        if what != now:
            st.button(
                label,
                key=f"class_show_{what}",
                type="tertiary",
                icon=f":material/{icon}:",
                on_click=classes.show,
                args=(what,),
            )


def join_view(mine: Held) -> None:
    """Show how to join, and how many have."""
    link = classes.link(mine.code)
    if classes.here_only(link):
        st.warning(content("classroom")["here_only"], icon=":material/wifi_off:")
    left, right = st.columns([1, 1], gap="large", vertical_alignment="center")
    with left:
        st.html(_code(link, "class-qr large"))
    with right:
        st.html(
            f'<div class="class-join"><p>Point your phone at the square, or open</p>'
            f'<p class="where">{html.escape(_short(link))}</p><p>and type the code</p>'
            f'<p class="code">{mine.code}</p></div>'
        )
        _counted(mine, "here")
    with st.container(horizontal=True, gap="small"):
        st.button(
            "Ask the question",
            key="class_begin",
            type="primary",
            icon=":material/arrow_forward:",
            help="Key: right arrow.",
            on_click=classes.show,
            args=("lesson",),
        )
        st.button(
            "End the class",
            key="class_close",
            type="tertiary",
            icon=":material/close:",
            help="Forgets all predictions, names and attacks.",
            on_click=classes.close_class,
        )


def ask_class(mine: Held, place: Place) -> None:
    """Show what can be predicted, how many have, and how to join late."""
    link = classes.link(mine.code)
    left, right = st.columns([3, 1], gap="large")
    with left:
        st.html(marks(place.step, None))
        with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
            st.button(
                "Show the answer",
                key=f"class_tell_{place.word}",
                type="primary",
                help="Key: Enter.",
                on_click=classes.move,
                args=("reveal",),
            )
            _counted(mine, "answered")
    with right:
        st.html(
            _code(link, "class-qr")
            + f'<p class="class-late">{html.escape(_short(link))} <b>{mine.code}</b></p>'
        )


def _counted(mine: Held, what: str) -> None:
    st.fragment(_count, run_every=LOOK)(mine, what)


def _count(mine: Held, what: str) -> None:
    try:
        screen = CLASSES.screen(mine)
    except ClassError:
        st.rerun()
    if what == "here":
        phones = "phone is" if screen.here == 1 else "phones are"
        st.html(f'<p class="class-count" role="status"><b>{screen.here}</b> {phones} in</p>')
        return
    share = 100 * screen.answered / max(screen.here, 1)
    st.html(
        f'<p class="class-count" role="status"><b>{screen.answered}</b> of {screen.here} have '
        f'predicted</p><div class="class-bar"><i style="width:{share:.1f}%"></i></div>'
    )


@st.fragment(run_every=2 * LOOK)
def _board(mine: Held) -> None:
    try:
        found = CLASSES.attempts(mine, MOST)
    except ClassError:
        st.rerun()
    if not found:
        st.info(content("classroom")["no_attacks"], icon=":material/swords:")
        return
    most = max(found[0].harm, 1e-9)
    rows = "".join(
        f"<tr><td>{place}</td><th scope='row'>{html.escape(one.who)}</th>"
        f"<td class='held'>holding {html.escape(one.held)}</td>"
        f"<td><i style='width:{100 * one.harm / most:.1f}%'></i></td>"
        f"<td>{100 * one.harm:.1f} %</td></tr>"
        for place, one in enumerate(found, 1)
    )
    st.html(f'<table class="class-board" role="table">{rows}</table>')


def _code(link: str, kind: str) -> str:
    """Draw a QR code of a link: always dark on white, as scanners want it."""
    image = segno.make(link, error="m", micro=False).svg_data_uri(
        border=3, dark="#000", light="#fff", omitsize=True
    )
    return f'<img class="{kind}" alt="QR code of {html.escape(link)}" src="{html.escape(image)}">'


def _short(link: str) -> str:
    """Write a link as people type it, without the code."""
    parts = urlsplit(link)
    return f"{parts.netloc}{parts.path}"


def heard(mine: Held) -> dict[float, int]:
    """Count the audience's predictions at the current step."""
    try:
        return dict(CLASSES.predictions(mine))
    except ClassError:
        return {}


def title(place: Place) -> str:
    """Write the title of what is not a step."""
    return place.course.title if classes.view() == "join" else "The audience's attacks"


def draw(mine: Held) -> None:
    """Show what is not a step: how to join, or the audience's attacks."""
    if classes.view() == "join":
        join_view(mine)
    else:
        st.markdown(content("classroom")["stage_attacks"])
        _board(mine)
