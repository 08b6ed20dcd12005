"""The board story from slide to slide, and presenter mode, as state."""

from __future__ import annotations

import re

import pytest
from streamlit.testing.v1 import AppTest

from clair.app.kit.page_list import PAGES
from clair.board import SLIDES
from tests.app.elements import visit


def opened(page: str = "board", **params: str) -> AppTest:
    """Open a page at that address as a fresh visitor."""
    return visit(page, **params)


def drawn(app: AppTest) -> str:
    """Read the markup of the slide."""
    return next(e.proto.body for e in app.get("html") if 'class="slide"' in e.proto.body)


def headline(app: AppTest) -> str:
    """Read the headline of the slide."""
    found = re.search(r"<h([12]) class=\"headline\">(.+?)</h\1>", drawn(app))
    assert found is not None
    return found[2]


def told(app: AppTest) -> str:
    """Read the sentence about the lab's result."""
    texts = [*(m.value for m in app.markdown), *(e.proto.body for e in app.get("html"))]
    return next(text for text in texts if "CLAIR flagged" in text)


def address(app: AppTest) -> dict[str, str]:
    """Read the parameters of the address; each has one value."""
    return {key: str(value) for key, value in app.query_params.items()}


def test_it_opens_on_the_first_slide_with_a_real_result() -> None:
    app = opened()
    assert app.title[0].value == "Board story"
    assert re.fullmatch(
        r"Five hospitals train one model together\. Hospital [1-5] sends poison\.", headline(app)
    )
    assert app.button(key="board_back").disabled
    assert address(app) == {}


def test_next_and_back_turn_the_slides_and_the_address() -> None:
    app = opened()
    first = headline(app)
    app.button(key="board_next").click().run()
    second = headline(app)
    assert second != first
    assert address(app) == {"slide": "2"}
    app.button(key="board_back").click().run()
    assert headline(app) == first
    assert address(app) == {}


def test_a_press_counts_from_where_the_one_before_it_leads() -> None:
    app = opened(slide="3")
    # The second press starts before the browser has the address of the first.
    app.button(key="board_next").click().run()
    app.query_params["slide"] = "3"
    app.button(key="board_next").click().run()
    assert address(app) == {"slide": "5"}
    assert drawn(app) == drawn(opened(slide="5"))
    app.button(key="board_draw").click().run()
    del app.query_params["draw"]
    app.button(key="board_draw").click().run()
    assert address(app) == {"draw": "2", "slide": "5"}


def test_other_hospitals_are_drawn_on_the_slide_and_at_the_end_the_story_starts_anew() -> None:
    app = opened(slide="7")
    before = drawn(app)
    app.button(key="board_draw").click().run()
    assert address(app) == {"draw": "1", "slide": "7"}
    assert drawn(app) != before
    assert "7 / 9, draw 1" in [element.value for element in app.markdown]
    app = opened(slide=str(len(SLIDES)))
    assert app.button(key="board_draw").label == "Start anew with other hospitals"
    app.button(key="board_draw").click().run()
    assert address(app) == {"draw": "1"}
    assert 'data-slide="team"' in drawn(app)


def test_a_step_does_not_undo_that_the_stage_was_left_or_entered() -> None:
    app = opened(slide="3", present="1")
    app.button(key="board_present").click().run()
    app.query_params["present"] = "1"  # the browser has not heard yet
    app.button(key="board_next").click().run()
    assert address(app) == {"slide": "4"}
    assert app.title
    app.button(key="board_present").click().run()
    del app.query_params["present"]
    app.button(key="board_next").click().run()
    assert address(app) == {"slide": "5", "present": "1"}
    assert not app.title


def test_an_address_without_a_press_is_where_to_go() -> None:
    app = opened(slide="3")
    app.button(key="board_next").click().run()
    app.query_params["slide"] = "3"
    app.run()
    assert drawn(app) == drawn(opened(slide="3"))
    app.button(key="board_next").click().run()
    assert address(app) == {"slide": "4"}


def test_the_last_slide_is_the_end() -> None:
    app = opened(slide=str(len(SLIDES)))
    assert app.button(key="board_next").disabled
    assert "of 50" in drawn(app)


@pytest.mark.parametrize("slide", ["0", "10", "abc", "nan"])
def test_a_mangled_slide_is_the_first(slide: str) -> None:
    app = opened(slide=slide, draw=slide if slide not in ("0", "10") else "x")
    assert headline(app) == headline(opened())
    assert address(app) == {}


def test_every_draw_is_another_story_and_its_address_tells_it_again() -> None:
    app = opened(draw="1")
    for _ in range(6):
        app.button(key="board_next").click().run()
    assert address(app) == {"draw": "1", "slide": "7"}
    again = opened(draw="1", slide="7")
    assert drawn(again) == drawn(app)
    assert drawn(opened(slide="7")) != drawn(app)


def test_on_stage_the_slide_is_the_page() -> None:
    app = opened(present="1", slide="3")
    assert not app.title
    assert not app.get("download_button")
    assert '<h1 class="headline">' in drawn(app)
    app.button(key="board_present").click().run()
    assert app.title[0].value == "Board story"
    assert '<h2 class="headline">' in drawn(app)
    assert address(app) == {"slide": "3"}
    app.button(key="board_present").click().run()
    assert address(app) == {"slide": "3", "present": "1"}


def test_the_lab_on_stage_folds_its_controls_away_and_keeps_its_numbers() -> None:
    page = "lab"
    app = opened(page, noise="0.1")
    said = told(app)
    assert app.sidebar.slider
    app.button(key="frame_present").click().run()
    assert address(app) == {"noise": "0.1", "present": "1"}
    assert not app.sidebar.slider
    assert app.slider(key="noise").value == 0.1
    assert not app.metric
    assert "lab_reset" not in [button.key for button in app.button]
    assert told(app) == said
    app.slider(key="noise").set_value(0.03).run()
    assert told(app) != said
    app.button(key="frame_present").click().run()
    assert app.sidebar.slider
    assert app.slider(key="noise").value == 0.03
    assert "present" not in app.query_params


@pytest.mark.parametrize("raw", ["maybe", "0", "", "<script>"])
def test_a_mangled_mode_is_none(raw: str) -> None:
    app = opened("lab", present=raw)
    assert app.sidebar.slider
    assert address(app) == {}


@pytest.mark.parametrize("page", [page.stem for page in PAGES if page.stages] + ["regression"])
def test_other_pages_fold_their_controls_away_too(page: str) -> None:
    app = opened(page, present="1")
    assert not app.sidebar.children
    assert app.button(key="frame_present").label == "Leave"


def test_the_overview_opens_the_story_on_stage() -> None:
    app = opened("overview")
    app.button(key="overview_board").click().run()
    assert not app.exception
    assert not app.title
    assert '<h1 class="headline">' in drawn(app)
    assert address(app)["present"] == "1"
