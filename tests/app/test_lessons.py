"""The lessons from state to state: predict, reveal, move, leave to explore and come back."""

from __future__ import annotations

import json

import pytest
from streamlit.testing.v1 import AppTest

from clair.app.pages import copying, lab
from clair.app.pages.lesson_end import summary_taken
from clair.app.pages.lesson_steps import answer as answer_of
from clair.app.pages.lesson_steps import settings
from clair.app.pages.lessons import Place
from clair.lessons.course import courses
from clair.report.lesson import Answered
from tests.app.elements import bare, sentence, visit
from tests.snippets import run_snippet

PAGE = "pages/lessons.py"
ANSWER = 'class="lesson-answer"'
PLACES = [Place(key, n + 1) for key, c in courses().items() for n in range(len(c.steps))]


def lessons(word: str = "", **params: str) -> AppTest:
    """Open the lessons as a fresh visitor, at an address or at a step such as "liars.2"."""
    if word:
        course, number = word.split(".")
        params = {"course": course, "step": number}
    return visit("lessons", **params)


def place(app: AppTest) -> str:
    """Read from the address where the visitor is."""
    return f"{app.query_params['course']}.{app.query_params['step']}"


def answer(app: AppTest) -> str | None:
    """Read the revealed answer as HTML; None before the reveal."""
    return next((h.proto.body for h in app.get("html") if ANSWER in h.proto.body), None)


def test_first_visit_asks_and_does_not_tell() -> None:
    app = lessons()
    assert place(app) == "averaging.1"
    assert app.title[0].value == "When everybody wants the same"
    assert app.radio[0].value is None
    assert answer(app) is None
    assert app.button(key="lesson_check_averaging.1").disabled
    assert app.button(key="lesson_back").disabled
    assert any("step 1 of 3" in caption.value for caption in app.caption)


@pytest.mark.parametrize(
    ("choice", "words"), [(0, "It turned out otherwise"), (2, "Your prediction fits")]
)
def test_a_prediction_is_held_against_the_computed_number(choice: int, words: str) -> None:
    app = lessons()
    app.radio[0].set_value(choice).run()
    assert answer(app) is None
    app.button(key="lesson_check_averaging.1").click().run()
    assert not app.exception
    told = answer(app) or ""
    assert words in told
    result = lab.solve(lab.scenario_of(settings(Place("averaging", 1).step)))
    ratio = result.error_of("clair").mean / result.error_of("fedavg").mean
    assert f"{ratio:.2g}×" in told
    assert told.count("✓ computed") == 1
    assert "your prediction" in told
    assert any("<strong>Look for</strong> " in h.proto.body for h in app.get("html"))


def test_a_number_is_predicted_by_slider_and_may_come_close() -> None:
    for guess, words in ((9, "Your prediction fits"), (7, "Close"), (3, "It turned out otherwise")):
        app = lessons("liars.1")
        app.slider[0].set_value(guess).run()
        app.button(key="lesson_check_liars.1").click().run()
        assert words in (answer(app) or "")
        assert f"you: {guess}" in (answer(app) or "")


def test_show_me_tells_without_judging() -> None:
    app = lessons("averaging.2")
    app.button(key="lesson_show_averaging.2").click().run()
    assert "Here is the answer" in (answer(app) or "")
    assert "You predicted" not in (answer(app) or "")
    app.button(key="lesson_hide_averaging.2").click().run()
    assert answer(app) is None
    assert app.radio[0].value is None


def test_predictions_are_kept_while_moving() -> None:
    app = lessons()
    app.radio[0].set_value(1).run()
    app.button(key="lesson_next").click().run()
    assert place(app) == "averaging.2"
    assert app.radio[0].value is None
    app.radio[0].set_value(3).run()
    app.button(key="lesson_check_averaging.2").click().run()
    assert answer(app)
    app.button(key="lesson_back").click().run()
    assert app.radio[0].value == 1
    assert answer(app) is None
    app.button(key="lesson_next").click().run()
    assert "Your prediction fits" in (answer(app) or "")
    app.button(key="lesson_hide_averaging.2").click().run()
    assert app.radio[0].value == 3
    app.button(key="lesson_next").click().run()
    app.slider[0].set_value(4.0).run()
    app.button(key="lesson_next").click().run()
    assert place(app) == "split.1"
    app.button(key="lesson_back").click().run()
    assert app.slider[0].value == 4.0


def test_next_goes_through_all_courses_and_every_step_reveals() -> None:
    app = lessons()
    for spot in PLACES:
        assert place(app) == spot.word
        assert app.title[0].value == spot.step.title
        app.button(key=f"lesson_show_{spot.word}").click().run()
        assert not app.exception
        assert answer(app)
        app.button(key="lesson_next").click().run()
    assert app.query_params["course"] == "summary"
    assert f"{len(PLACES)} of {len(PLACES)}" in [metric.value for metric in app.metric]


@pytest.mark.parametrize(
    ("params", "word", "said"),
    [
        ({"course": "liars", "step": "3"}, "liars.3", ""),
        ({"course": "liars", "step": "99"}, "liars.1", "Step = 99 is ignored"),
        ({"course": "liars", "step": "-1"}, "liars.1", "Step = -1 is ignored"),
        ({"course": "<b>", "step": "2"}, "averaging.1", "Course = <b> is ignored"),
        ({"step": "nan"}, "averaging.1", "Step = nan is ignored"),
        ({"course": "split"}, "split.1", ""),
    ],
)
def test_an_address_is_a_step_and_a_mangled_one_a_first_step_and_said(
    params: dict[str, str], word: str, said: str
) -> None:
    app = lessons(**params)
    assert place(app) == word
    notes = [toast.value.replace("\\", "") for toast in app.toast]
    assert len(notes) == bool(said)
    assert said in "".join(notes)
    assert not app.run().toast


def test_an_unknown_lesson_in_another_page_s_address_is_said() -> None:
    app = visit("lab", lesson="liars.99")
    (note,) = app.toast
    assert "Lesson = liars.99 is ignored" in note.value.replace("\\", "")
    assert "lesson" not in app.query_params
    assert not app.get("page_link")


@pytest.mark.parametrize("word", ["liars.3", "split.3"])
def test_explore_opens_the_lab_with_the_settings_and_a_way_back(word: str) -> None:
    app = lessons(word)
    app.button(key=f"lesson_explore_{word}").click().run()
    assert not app.exception
    assert app.title[0].value == "Subspace lab"
    course, number = word.split(".")
    step = Place(course, int(number)).step
    for key, value in (settings(step) | {"view": step.view}).items():
        assert app.session_state[key] == value, key
    assert app.query_params["lesson"] == word
    link = app.get("page_link")[0].proto
    assert link.label.startswith(f"Back to the lesson, step {number}")
    assert link.query_string == f"course={course}&step={number}"
    app.switch_page(PAGE).run()
    assert place(app) == word, "a bare address goes on where the visitor was"


@pytest.mark.parametrize(("word", "said"), [("averaging.1", True), ("model.1", False)])
def test_settings_of_the_lab_are_told_of_a_lab_step_alone(word: str, said: bool) -> None:
    told = [c.value for c in lessons(word).caption if c.value.startswith("Settings of this step")]
    assert bool(told) == said


def test_explore_opens_text_copying_for_the_language_model() -> None:
    app = lessons("language.2")
    app.button(key="lesson_explore_language.2").click().run()
    assert not app.exception
    assert app.title[0].value == copying.PAGE.title
    assert app.query_params["lesson"] == "language.2"
    assert app.get("page_link")[0].proto.query_string == "course=language&step=2"


@pytest.mark.parametrize("word", ["", "liars", "liars.9", "nobody.1", "liars.1.1"])
def test_no_way_back_without_a_lesson(word: str) -> None:
    app = visit("lab", lesson=word)
    assert not [x for x in app.get("page_link") if "Back to the lesson" in x.proto.label]


def test_a_reload_keeps_what_was_predicted_and_shown() -> None:
    app = lessons("liars.1")
    app.slider[0].set_value(7).run()
    assert app.query_params["said"] == "liars.1-7"
    app.button(key="lesson_check_liars.1").click().run()
    app.button(key="lesson_next").click().run()
    address = dict(app.query_params)
    assert address == {"course": "liars", "step": "2", "said": "liars.1-7~"}
    again = lessons(**address)
    assert answer(again) is None
    again.button(key="lesson_back").click().run()
    assert "You predicted 7" in (answer(again) or "")
    again.button(key="lesson_hide_liars.1").click().run()
    assert again.slider[0].value == 7
    assert again.query_params["said"] == "liars.1-7"


@pytest.mark.parametrize("text", ["liars.1-99", "liars.1-x~", "%00", "liars.1-7~" * 500, "_"])
def test_a_mangled_memory_is_passed_over(text: str) -> None:
    app = lessons(course="liars", step="1", said=text)
    assert app.slider[0].value == 4
    assert "said" not in app.query_params


def test_the_way_to_explore_and_back_keeps_it_over_a_reload() -> None:
    app = lessons("liars.3")
    app.radio[0].set_value(1).run()
    app.button(key="lesson_explore_liars.3").click().run()
    assert app.query_params["said"] == "liars.3-1"
    # that page was reloaded: the app knows this visitor by the address alone
    app = visit("lab", lesson="liars.3", said="liars.3-1")
    link = app.get("page_link")[0].proto
    assert link.query_string == "course=liars&step=3&said=liars.3-1"


def test_what_the_words_claim_and_the_chart_does_not_show_is_said_with_its_number() -> None:
    app = lessons("liars.4")
    app.button(key="lesson_show_liars.4").click().run()
    (also,) = (bare(h.proto.body) for h in app.get("html") if "Also computed" in h.proto.body)
    result = lab.solve(lab.scenario_of(settings(Place("liars", 4).step)))
    assert result.angles is not None
    assert f"{result.angles[-1]:.1f}° away" in also
    own, average = result.error_of("clair").mean, result.error_of("fedavg").mean
    pooled = result.error_of("clair_eb").mean
    assert f"CLAIR's error is {own / average:.2g}× that of FedAvg" in also
    assert f"{pooled / average:.2g}× that of FedAvg" in also


def test_an_answer_is_taken_away_with_the_prediction_but_not_on_stage() -> None:
    app = lessons("averaging.2")
    assert not app.get("download_button")
    app.radio[0].set_value(0).run()
    app.button(key="lesson_check_averaging.2").click().run()
    labels = [button.proto.label for button in app.get("download_button")]
    assert labels[0] == "Report"
    assert "All numbers (JSON)" in labels
    assert 'QUANTITIES["fedavg_over_local"]' in app.code[0].value
    assert app.code[1].value.startswith("python -m clair simulate --poisoned 0.0")
    staged = lessons(**dict(app.query_params), present="1")
    assert answer(staged)
    assert not staged.get("download_button")


def test_the_end_holds_predictions_against_answers_and_leads_on() -> None:
    said = "averaging.1-2~_averaging.2-0~_averaging.3-8_liars.1~"
    app = lessons(course="averaging", step="2", said=said)
    app.button(key="lesson_next").click().run()
    assert app.query_params["step"] == "3"
    app.button(key="lesson_finish").click().run()
    assert app.query_params["course"] == "summary"
    assert "step" not in app.query_params
    # the third prediction is of a question whose answer has not been seen
    assert sentence(app) == f"3 of {len(PLACES)} answers seen; 1 of 2 predictions fit."
    shown = "\n".join(one.value for one in app.markdown)
    assert "predicted: The average's is clearly smaller, which fits" in shown
    assert "predicted: Less than half, which does not fit" in shown
    assert "no prediction" in shown
    assert "Five liars" not in shown
    facts = {metric.label: metric.value for metric in app.metric}
    assert facts["courses finished"] == f"0 of {len(courses())}"
    assert facts["answers seen"] == f"3 of {len(PLACES)}"
    app.button(key="lesson_go_averaging.3").click().run()
    assert place(app) == "averaging.3"
    assert not app.exception


def test_back_leads_from_the_end_to_the_last_step() -> None:
    app = lessons(PLACES[-1].word)
    app.button(key="lesson_next").click().run()
    assert not app.metric
    app.button(key="lesson_back").click().run()
    assert place(app) == PLACES[-1].word


def test_the_sheet_to_print_says_what_the_end_says() -> None:
    places = [Place("averaging", 1), Place("model", 3)]
    answered = [
        Answered(p.course.title, p.number, len(p.course.steps), p.step, answer_of(p), guess)
        for p, guess in zip(places, (2.0, None), strict=True)
    ]
    taken = summary_taken(places, answered)
    page = taken.html()
    for text in ("Name: ____", "which fits", "1 of 1", "flags 4 of the poisoned shops"):
        assert text in page, text
    assert [one["fits"] for one in json.loads(taken.json())["answers"]] == [True, None]
    assert len(taken.csv("Predictions").splitlines()) >= 3
    names, _ = run_snippet(taken.recipe.python)
    assert names["answers"] == {p.word: answer_of(p) for p in places}
