"""The board story: what it says follows the numbers, and the record can be made again."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clair.__main__ import main
from clair.board import SLIDES, load_record, slides_of, summary, tell
from clair.board.limits import limit_texts, remember
from clair.board.next_steps import ADAPTER_MB, ADAPTERS, SECONDS, takes
from clair.board.record import FAILURES, SEEDS, failures
from clair.board.slides import average, gain, robust, verdict
from clair.board.story import ROBUST, Story
from clair.federated.regression import RegressionResult
from clair.federated.regression.run import HeldOutError
from clair.figures.board import PICTURES, slide_html
from clair.figures.board_style import stylesheet
from clair.method.metrics import detection_scores
from clair.report.board import (
    board_json,
    board_recipe,
    board_report,
    hospital_table,
    method_table,
    run_table,
)
from clair.report.page import to_html
from tests.test_reports import parsed, run_command, run_snippet

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def story() -> Story:
    return tell(0)


def with_errors(story: Story, **percent: float) -> Story:
    """Change a story's errors, the same for each honest hospital, where alone is 100."""
    accuracy = dict(story.main.accuracy)
    for method, value in {"local": 100.0, **percent}.items():
        errors = np.full(4, value / 100)
        accuracy[method] = HeldOutError(excess=errors, squared=errors)
    return replace(story, main=replace(story.main, accuracy=accuracy))


def with_flags(story: Story, flagged: set[int]) -> Story:
    """Change a story's verdict."""
    return replace(story, main=flagging(story.main, flagged))


def flagging(result: RegressionResult, flagged: set[int]) -> RegressionResult:
    """Change a run's verdict."""
    benign = np.array([k not in flagged for k in range(5)])
    fit = replace(result.fit, benign=benign)
    detection = detection_scores(~benign, result.contaminated)
    return replace(result, fit=fit, detection=detection)


def imitator(story: Story) -> str:
    """Read what the story says about the imitator."""
    return dict(limit_texts(story))["See a perfect imitator"]


def test_the_same_draw_tells_the_same_story_and_another_draw_another(story: Story) -> None:
    again, other = tell(0), tell(1)
    assert slides_of(again) == slides_of(story)
    assert other.percent("clair") != story.percent("clair")


def test_alone_is_the_yardstick(story: Story) -> None:
    assert story.percent("local") == pytest.approx(100)
    assert np.isnan(story.alone[story.poisoned])
    assert np.nanmean(story.alone) == pytest.approx(100)
    assert story.best_robust == min(story.percent(key) for key in ROBUST)
    assert list(story.robust.values()) == sorted(story.robust.values(), reverse=True)


def test_what_sticks_out_is_a_share_and_most_of_it_is_the_poisoned_ones(story: Story) -> None:
    assert ((story.outside > 0) & (story.outside < 100)).all()
    assert int(story.outside.argmax()) == story.poisoned


@pytest.mark.parametrize(
    ("poisoned", "honest", "words"),
    [
        (150, 90, "worse than staying alone"),
        (98, 80, "takes away what the plain average gains"),
        (70, 60, "takes away part of what the plain average gains"),
        (81, 80, "hardly suffers"),
    ],
)
def test_the_average_is_told_as_it_is(
    story: Story, poisoned: float, honest: float, words: str
) -> None:
    slide = average(with_errors(story, fedavg=poisoned, fedavg_benign=honest))
    assert words in slide.headline
    assert f"it is {poisoned}\u00a0%" in slide.text[1]


@pytest.mark.parametrize(
    ("best", "words"),
    [(80, "gain a little"), (100, "gain nothing"), (120, "worse than staying alone")],
)
def test_robust_averages_are_told_as_they_are(story: Story, best: float, words: str) -> None:
    errors = dict.fromkeys(ROBUST, 150.0) | {"krum": best}
    assert words in robust(with_errors(story, **errors)).headline


@pytest.mark.parametrize(
    ("clair", "words"),
    [
        (70, "less than in any simpler way"),
        (85, "no better than a simpler way"),
        (99, "gains nothing"),
        (130, "does harm"),
    ],
)
def test_the_gain_is_told_also_where_there_is_none(story: Story, clair: float, words: str) -> None:
    errors = dict.fromkeys(ROBUST, 150.0) | {
        "krum": 85.0,
        "fedavg": 160.0,
        "pca": 85.0,
        "clair": clair,
    }
    slide = gain(with_errors(story, **errors))
    assert words in slide.headline
    expected = "All four" if clair < 100 else "None of the four"
    assert expected in slide.text[0]


def test_the_verdict_is_told_also_where_it_is_wrong(story: Story) -> None:
    bad = story.poisoned
    others = [k for k in range(5) if k != bad]
    assert "and nobody else" in verdict(with_flags(story, {bad})).headline
    assert "slips through" in verdict(with_flags(story, set())).headline
    assert "wrong" in verdict(with_flags(story, {others[0]})).headline
    innocent = verdict(with_flags(story, {bad, others[0]})).headline
    assert "innocent" in innocent
    assert f"{others[0] + 1}" in innocent


def test_limits_follow_the_runs(story: Story) -> None:
    texts = dict(limit_texts(story))
    lonely = story.percent("clair", story.apart)
    assert f"{lonely:.0f}\u00a0%" in texts["Help those who share little"]
    assert "does not flag it" in texts["See a perfect imitator"]
    seen = replace(story, reversed=story.main)
    assert "in this draw it is" in dict(limit_texts(seen))["See a perfect imitator"]
    unseen = replace(story, screened=story.reversed)
    assert "neither" in dict(limit_texts(unseen))["See a perfect imitator"]


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("screened", [False, True])
def test_every_verdict_on_the_imitator_names_all_innocents(
    story: Story, plain: bool, screened: bool
) -> None:
    bad = story.poisoned
    first, second, third = [k for k in range(5) if k != bad][:3]
    told = replace(
        story,
        reversed=flagging(story.reversed, {first} | ({bad} if plain else set())),
        screened=flagging(story.screened, {second, third} | ({bad} if screened else set())),
    )
    text = imitator(told)
    for innocent in (first, second, third):
        assert str(innocent + 1) in text.split("directions. ")[1]
    assert "honest" in text.split("directions. ")[1]
    quiet = replace(
        story,
        reversed=flagging(story.reversed, {bad} if plain else set()),
        screened=flagging(story.screened, {bad} if screened else set()),
    )
    assert "honest" not in imitator(quiet).split("directions. ")[1]


def test_the_last_slide_counts_what_the_record_holds(story: Story) -> None:
    record = replace(
        load_record(),
        missed=(5001, 5002),
        behind_alone=(5002,),
        behind_average=(),
        accused=(5003,),
        accused_clean=(5003,),
        reversed_missed=tuple(SEEDS[10:]),
        reversed_accused=(5000, 5001, 5049),
        screened_missed=(5001,),
        screened_accused=(5001, 5002, 5003),
    )
    words = remember(story, record).text
    assert words[0].startswith("**47 of 50**")
    assert words[1].startswith("**1 of 50**")
    assert words[2].startswith("**8 of 50**")
    assert words[2].endswith("nobody else; with the extra check, 47.")
    assert "In 1 of 50 draws it accused" in remember(story, record).headline
    fewer = replace(record, seeds=tuple(SEEDS[:40]), version="7.8.9")
    assert "seeds 5000 to 5039, clair 7.8.9" in remember(story, fewer).note


def test_the_record_can_be_made_again() -> None:
    record = load_record()
    assert record.seeds == tuple(SEEDS)
    assert record.n_draws == 50
    unusual = {*record.missed[:1], *record.two_missed[:1], *record.reversed_accused}
    for seed in {*SEEDS[:3], *unusual, 5020}:
        assert failures(seed) == {name for name in FAILURES if seed in getattr(record, name)}


def test_the_published_table_counts_what_the_record_holds() -> None:
    record = load_record()
    table = (ROOT / "benchmarks" / "results" / "board_story.md").read_text(encoding="utf-8")
    assert f"with clair {record.version}," in table
    exact = [row for row in table.splitlines() if "exactly that hospital" in row]
    assert [row.split("|")[2].strip() for row in exact] == [
        f"{record.reversed_exact} of 50",
        f"{record.screened_exact} of 50",
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_slide_has_a_picture_in_both_themes(story: Story, theme: str) -> None:
    slides = slides_of(story)
    assert [slide.key for slide in slides] == list(PICTURES)
    assert len(slides) == len(SLIDES)
    for slide in slides:
        drawn = slide_html(story, slide, theme)  # type: ignore[arg-type]
        assert slide.headline.split(".")[0].replace("&", "&amp;") in drawn
        assert "<h2" in drawn
        assert "<svg" not in drawn  # the page would drop it
        assert "<h1" in slide_html(story, slide, theme, stage=True)  # type: ignore[arg-type]


def seen(text: str) -> str:
    """Clean text as it is read: no tags or marks, one kind of space."""
    return " ".join(re.sub(r"<[^>]*>|\*\*", "", text).replace("\u00a0", " ").split())


@pytest.mark.parametrize("draw", [0, 42])
def test_every_number_said_about_errors_is_drawn_on_its_slide(draw: int) -> None:
    story = tell(draw)
    for slide in slides_of(story):
        if slide.key not in ("alone", "average", "robust", "idea", "verdict", "gain"):
            continue
        said = " ".join([slide.headline, *slide.text])
        picture = slide_html(story, slide, "light").split("<figure")[1]
        shown = set(re.findall(r"\d+(?=\u00a0%)", picture))
        # How much each honest hospital gains is listed in brackets and drawn nowhere.
        wanted = set(re.findall(r"\d+(?=\u00a0%)", re.sub(r"\([^)]*\)", "", said)))
        assert wanted <= shown, slide.key


def test_where_no_verdict_is_needed_it_is_said(story: Story) -> None:
    errors = dict.fromkeys(ROBUST, 150.0) | {"fedavg": 160.0, "clair": 70.0}
    assert "does as well without" in " ".join(gain(with_errors(story, **errors, pca=72.0)).text)
    assert "what the verdict is worth" in " ".join(gain(with_errors(story, **errors, pca=90)).text)


def test_what_it_takes_is_what_was_measured(story: Story) -> None:
    found = (ROOT / "benchmarks" / "results" / "adapters_scale.md").read_text(encoding="utf-8")
    modules, width, rank = 128, 4096, 8
    assert f"{ADAPTERS} adapters x {modules} modules of {width} x {width}" in found
    assert 2 * 2 * modules * width * rank / 1e6 == pytest.approx(ADAPTER_MB, abs=0.5)
    times = [float(t) for t in re.findall(r"\| [\d.]+ s \| ([\d.]+) s \|", found)]
    assert max(times) <= SECONDS < max(times) + 1
    updates = story.main.fit.low_rank
    assert f"here {updates[0].size} numbers" in takes(story).text[0]


def test_how_many_gain_is_counted_of_the_changes_listed(story: Story) -> None:
    words = gain(story).text[0]
    for k, change in story.changes.items():
        assert f"{k + 1}:\u00a0\u2212{-change:.0f}\u00a0%" in words
    worse = np.array([0.5, 1.2, 0.9, 0.8])
    accuracy = story.main.accuracy | {
        "local": HeldOutError(excess=np.ones(4), squared=np.ones(4)),
        "clair": HeldOutError(excess=worse, squared=worse),
    }
    words = gain(replace(story, main=replace(story.main, accuracy=accuracy))).text[0]
    assert "Three of the four honest ones are better off than alone" in words
    assert "+20\u00a0%" in words


def test_the_report_holds_every_slide_as_the_page_shows_it(story: Story) -> None:
    page = to_html(board_report(story))
    text = seen(parsed(page).text)
    for slide in slides_of(story):
        assert seen(slide.headline) in text
        shown = slide_html(story, slide, "light")
        assert shown.split("</header>")[1] in page
    assert seen(summary(story)) in text
    assert page.count(stylesheet("light")) == 1
    assert "<script" not in page


@pytest.mark.parametrize("draw", [0, 3])
def test_snippet_and_command_tell_the_same_story(draw: int, tmp_path: Path, capsys: Any) -> None:
    story = tell(draw)
    recipe = board_recipe(story)
    assert recipe.command == "python -m clair board" + (" --draw 3" if draw else "")
    names, printed = run_snippet(recipe.python)
    assert slides_of(names["story"]) == slides_of(story)
    for slide in slides_of(story):
        assert slide.headline in printed
    for key in story.main.accuracy:
        assert f"{key:<18} {story.percent(key):.6g}" in printed
    written = run_command(recipe.command, tmp_path / "story.json", capsys)
    assert written == json.loads(json.dumps(board_json(story)))


def test_the_command_prints_the_story_and_refuses_a_negative_draw(capsys: Any) -> None:
    assert main(["board"]) == 0
    printed = capsys.readouterr().out
    story = tell(0)
    assert printed.startswith(summary(story))
    assert f"CLAIR + pooling             {story.percent('clair_eb'):5.1f}" in printed
    assert main(["board", "--draw", "-1"]) == 2
    assert "--draw must be at least 0, got -1" in capsys.readouterr().err


def test_tables_hold_the_numbers_of_the_story(story: Story) -> None:
    hospitals = hospital_table(story).rows
    assert [row[1] == "poisoned" for row in hospitals] == list(story.main.contaminated)
    assert hospitals[story.poisoned][-2:] == (None, None)
    assert np.nanmean([row[6] or np.nan for row in hospitals]) == pytest.approx(100)
    errors = {row[0]: row[3] for row in method_table(story).rows}
    assert errors["local"] == pytest.approx(100)
    assert errors["clair"] == story.percent("clair")
    runs = {row[0]: row for row in run_table(story).rows}
    assert runs["apart"][6] == story.percent("clair", story.apart)
    assert runs["main"][2] == str(story.poisoned + 1)
    assert runs["reversed"][4] == 1
    wrong = board_report(with_flags(story, {k for k in range(5) if k != story.poisoned}))
    assert "does not flag the poisoned hospital" in wrong.limits[0]
    assert "four honest hospitals" in wrong.limits[1]
