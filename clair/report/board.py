"""The board story to take away: its slides as on the page, tables, JSON, code, method, limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

import clair
from clair.board import Slide, Story, load_record, slides_of, summary
from clair.board.limits import limit_texts
from clair.board.story import HOSPITALS
from clair.board.words import hospital, pct
from clair.federated.regression import RegressionResult
from clair.figures.board import slide_body
from clair.figures.board_style import stylesheet
from clair.methods import METHODS
from clair.report.blocks import Markup
from clair.report.document import Fact, Report, Screen, Section
from clair.report.export import Export
from clair.report.method import SOURCE
from clair.report.provenance import made_with
from clair.report.recipe import Recipe, command
from clair.report.tables import Table, table
from clair.sentences import count

FORMAT = 2  # 1 counted the hospitals of the runs from 0
_RUNS: Mapping[str, str] = {
    "main": "results off by constants",
    "reversed": "honest change sent reversed",
    "screened": "the same, with the extra check",
    "apart": "off by constants; half of what a hospital learns is its own",
}


def board_recipe(story: Story) -> Recipe:
    """Write Python and shell that tell the same story."""
    return Recipe(
        "from clair.board import slides_of, tell\n"
        "\n"
        f"story = tell({story.seed})\n"
        "for slide in slides_of(story):\n"
        "    print(slide.headline)\n"
        "for method in story.main.accuracy:\n"
        '    print(f"{method:<18} {story.percent(method):.6g}")',
        command("python", "-m", "clair", "board", options=_draw(story)),
        "The same draw gives the same numbers; another processor or another version of numpy may "
        "change their last digits. `--json FILE` writes all of them.",
    )


def _draw(story: Story) -> dict[str, int]:
    return {"--draw": story.seed} if story.seed else {}


def words_of(story: Story, slide: Slide) -> tuple[str, ...]:
    """List all paragraphs of a slide, the small print last."""
    told = slide.text
    if slide.key == "limits":
        told = tuple(f"**{title}.** {text}" for title, text in limit_texts(story))
    return (*told, slide.note) if slide.note else told


def hospital_table(story: Story) -> Table:
    """List the hospitals, a row each: truth, verdict, its reason and what it rests on."""
    main, own, change = story.main, story.alone, story.changes
    return table(
        "hospitals",
        "Every hospital",
        (
            ("hospital", "hospital"),
            ("truth", "truth"),
            ("verdict", "verdict"),
            ("reason", "why"),
            ("score", "score"),
            ("sticks_out_percent", "sticks out, %"),
            ("error_alone_percent", "error alone, %"),
            ("clair_change_percent", "change with CLAIR, %"),
        ),
        [
            (
                k + 1,
                "poisoned" if main.contaminated[k] else "honest",
                main.degrees[k],
                main.reasons[k],
                main.scores[k],
                story.outside[k],
                own[k],
                change.get(k),
            )
            for k in range(HOSPITALS)
        ],
        "Error alone: the mean of the honest hospitals is 100. The truth is known because the "
        "hospitals are simulated; no method has seen it.",
    )


def method_table(story: Story) -> Table:
    """List the methods, a row each: the honest hospitals' error, where training alone is 100."""
    return table(
        "methods",
        "Error of the honest hospitals, by method",
        (
            ("method", "method"),
            ("label", "name"),
            ("oracle", "oracle"),
            ("percent", "error, %"),
        ),
        [
            (key, METHODS[key].label, METHODS[key].oracle, story.percent(key))
            for key in story.main.accuracy
        ],
        "Training alone (local) makes 100. An oracle is told who is poisoned. The slides show some "
        "of these; here are all that were run.",
    )


def run_table(story: Story) -> Table:
    """List the runs of this draw, a row each."""
    return table(
        "runs",
        "The runs of this draw",
        (
            ("run", "run"),
            ("poison", "what differs"),
            ("flagged", "flagged"),
            ("suspect", "suspect"),
            ("missed", "missed"),
            ("false_alarms", "false alarms"),
            ("clair_percent", "error with CLAIR, %"),
        ),
        [
            (
                key,
                words,
                " ".join(str(k + 1) for k in np.flatnonzero(run.flagged)) or "nobody",
                " ".join(str(k + 1) for k in np.flatnonzero(run.fit.suspect)) or "nobody",
                run.detection.missed,
                run.detection.false_alarms,
                story.percent("clair", run),
            )
            for key, words in _RUNS.items()
            for run in (getattr(story, key),)
        ],
        f"In all of them {hospital(story.poisoned).lower()} is the poisoned one. Training alone "
        "makes 100 in each.",
    )


def board_json(story: Story) -> dict[str, Any]:
    """Collect every number of the story as JSON values; hospitals are counted from 1."""
    return {
        "format": FORMAT,
        "kind": "board",
        "version": clair.__version__,
        "draw": story.seed,
        "sentence": summary(story),
        "slides": [
            {"topic": s.topic, "headline": s.headline, "text": list(words_of(story, s))}
            for s in slides_of(story)
        ],
        "hospitals": _rows(hospital_table(story)),
        "methods": _rows(method_table(story)),
        "runs": {key: _run(getattr(story, key)) for key in _RUNS},
        "record": asdict(load_record()),
    }


def _rows(content: Table) -> list[dict[str, Any]]:
    return [dict(zip(content.columns, row, strict=True)) for row in content.rows]


def _run(result: RegressionResult) -> dict[str, Any]:
    """Write a run as JSON values without its seconds, so that equal results are equal."""
    return {key: value for key, value in result.to_json().items() if key != "seconds"}


def board_report(story: Story, screen: Screen | None = None) -> Report:
    """Report the slides and the numbers they rest on.

    Parameters
    ----------
    story : Story
    screen : Screen, optional
        The draw, and the link that tells it again.
    """
    tables = {
        "verdict": (hospital_table(story),),
        "gain": (method_table(story),),
        "limits": (run_table(story),),
    }
    return Report(
        page="Board story",
        title="Five simulated hospitals, one of them poisoned",
        sentence=summary(story),
        recipe=board_recipe(story),
        screen=screen or Screen(),
        facts=_facts(story),
        sections=tuple(
            Section(
                f"{number}. {slide.headline}",
                blocks=(
                    *[Markup(stylesheet, ())] * (number == 1),
                    Markup(slide_body, (story, slide)),
                    *tables.get(slide.key, ()),
                ),
            )
            for number, slide in enumerate(slides_of(story), 1)
        ),
        method=(*_method(story), SOURCE),
        limits=_limits(story),
        made_with=made_with(),
    )


def board_brief(story: Story, screen: Screen | None = None) -> Report:
    """Report the story on one sheet: the numbers, what it takes, what to do next, the limits."""
    asked = {slide.key: slide for slide in slides_of(story)}
    link = (screen or Screen()).link
    return Report(
        page=f"Board story, {link}" if link else "Board story",
        title="Learning together when one of five is poisoned",
        sentence=summary(story),
        recipe=Recipe(""),
        facts=_facts(story),
        sections=(
            Section("How often that holds", asked["remember"].text),
            *(Section(asked[key].topic, asked[key].text) for key in ("takes", "yours")),
        ),
        limits=tuple(f"**{title}.** {text}" for title, text in limit_texts(story)),
        made_with=made_with(),
        sheet=True,
    )


def board_export(story: Story, screen: Screen | None = None) -> Export:
    """Build the downloads of a draw of the board story."""
    return Export(
        name=f"clair-board-draw-{story.seed}",
        recipe=board_recipe(story),
        report=partial(board_report, story, screen),
        tables={
            "Hospitals": partial(hospital_table, story),
            "Methods": partial(method_table, story),
            "Runs": partial(run_table, story),
        },
        numbers=partial(board_json, story),
        brief=partial(board_brief, story, screen),
    )


def _facts(story: Story) -> tuple[Fact, ...]:
    scores = story.main.detection
    alone = "training alone: 100\u00a0%"
    return (
        Fact(
            f"{scores.n_correct} of {scores.n_contaminated}",
            "poisoned hospitals found",
            count(scores.false_alarms, "false alarm"),
        ),
        Fact(pct(story.percent("clair")), "error with CLAIR", alone),
        Fact(pct(story.percent("fedavg")), "error with the plain average", alone),
        Fact(pct(story.best_robust), "error with the best cautious average", alone),
        Fact(pct(story.percent("pca")), "error with PCA, nobody flagged", alone),
    )


def _method(story: Story) -> tuple[str, ...]:
    config = story.main.config
    return (
        f"**The hospitals.** {HOSPITALS} simulated hospitals with {config.samples} patients each; "
        f"{config.d_out} values are predicted from {config.d_in - 1} measurements and a constant "
        f"by linear regression. What honest hospitals learn lies in {config.true_rank} shared "
        "directions, each using them in its own way. Every value that the poisoned one files is "
        f"off by a constant of its own. Everything is drawn with seed {story.seed}.",
        f"**The error.** Squared distance of the predictions from the right values on "
        f"{config.n_test} new patients of each honest hospital, as a share of the common model's; "
        "per cent are of the mean error of training alone. Nobody has trained on these patients.",
        "**The verdict.** CLAIR sees the changes and nothing else. It scores each by what the "
        "directions that the *other* hospitals share leave unexplained of it (ours), and flags "
        "those above a gap between scores that is wide enough; among five clients it must be wider "
        "than among many. Who stands out too little for that is suspect at most.",
        "**The record.** The counts under “What to remember” are of other draws, run beforehand; "
        "everything else was computed for this draw.",
    )


def _limits(story: Story) -> tuple[str, ...]:
    scores, notes = story.main.detection, []
    if scores.missed:
        held = ", but suspects it" if scores.poisoned_suspects else ""
        notes.append(f"In this draw CLAIR does not flag the poisoned hospital{held}.")
    if scores.false_alarms:
        notes.append(
            f"In this draw CLAIR flagged {count(scores.false_alarms, 'honest hospital')}; a "
            "flagged hospital keeps its own change and loses the help of the others."
        )
    if story.percent("clair") >= min(100.0, story.percent("fedavg"), story.best_robust):
        notes.append("In this draw CLAIR is not the best of the ways compared.")
    return (
        *notes,
        "The hospitals are simulated and do share a few directions. Whether real ones do is the "
        "first question to ask.",
        "The setting was chosen, on other draws, such that averaging honest hospitals pays a "
        "little. With hospitals that differ more or less the numbers are others.",
        "Five are few: a flag is a reason to ask, not a proof of guilt.",
    )
