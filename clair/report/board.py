"""The report of the board story: every slide in words with its chart, method and limits."""

from __future__ import annotations

from clair.board import Story, slides_of, summary
from clair.board.story import HOSPITALS
from clair.board.words import pct
from clair.figures.board_charts import slide_charts
from clair.report.document import Fact, Report, Screen, Section
from clair.report.lab import SOURCE
from clair.report.provenance import made_with
from clair.report.story import board_recipe, hospital_table, method_table, run_table, words_of
from clair.sentences import count


def board_report(story: Story, screen: Screen | None = None) -> Report:
    """Report the nine slides in words with their charts, and the numbers they rest on.

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
        title="Five hospitals, one of them poisoned",
        sentence=summary(story),
        recipe=board_recipe(story),
        screen=screen or Screen(),
        facts=_facts(story),
        sections=tuple(
            Section(
                f"{number}. {slide.headline}",
                words_of(story, slide),
                charts=slide_charts(story, slide.key, "light"),
                tables=tables.get(slide.key, ()),
            )
            for number, slide in enumerate(slides_of(story), 1)
        ),
        method=(*_method(story), SOURCE),
        limits=_limits(story),
        made_with=made_with(),
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
        "**The record.** The counts on the last slide are of other draws, run beforehand; "
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
