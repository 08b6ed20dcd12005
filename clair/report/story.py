"""The board story's numbers to take away: tables, JSON, and how to tell it again; no charts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

import clair
from clair.board import Slide, Story, load_record, slides_of, summary
from clair.board.limits import limit_texts
from clair.board.story import HOSPITALS
from clair.board.words import hospital
from clair.federated.regression import RegressionResult
from clair.methods import METHODS
from clair.report.recipe import Recipe, command
from clair.report.tables import Table, table

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
