"""The report of a step of a lesson: question, prediction, computed answer, chart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from clair.lessons.course import Step
from clair.lessons.quantities import QUANTITIES
from clair.report.blocks import Plot, tables_of
from clair.report.document import Fact, Report, Section
from clair.report.recipe import Recipe, call, differing
from clair.report.scenario import IMPORT_PLAN, clair_options, plan_source, scenario_recipe
from clair.simulation.scenario import Scenario

FORMAT = 1


@dataclass(frozen=True)
class Answered:
    """A step with its computed answer.

    Attributes
    ----------
    course : str
        Title of the course.
    number, of : int
        Place of the step in it, and how many steps it has.
    step : Step
    value : float
        The computed answer.
    guess : float or None
        The prediction: index of a choice or a number; None without one.
    also : tuple of str
        Sentences with further numbers that the step speaks of.
    """

    course: str
    number: int
    of: int
    step: Step
    value: float
    guess: float | None
    also: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The answer in words."""
        quantity = QUANTITIES[self.step.answer]
        return quantity.sentence.format(quantity.say(self.value))

    @property
    def predicted(self) -> str | None:
        """The prediction in words, None without one."""
        if self.guess is None:
            return None
        if self.step.number is None:
            return self.step.choices[int(self.guess)].text
        return QUANTITIES[self.step.answer].say(self.guess)


def lab_step_recipe(scenario: Scenario, step: Step) -> Recipe:
    """Write Python and shell for a step about a scenario."""
    usual = Scenario()
    problem = differing(scenario.spec, usual.spec)
    lines = [
        "from clair.lessons.quantities import QUANTITIES",
        *[IMPORT_PLAN] * (scenario.plan is not None),
        "from clair.simulation.scenario import Scenario, run_scenario",
        "from clair.simulation.matrix_model import ProblemSpec",
        "",
        call("spec = ProblemSpec", **problem),
        call("scenario = Scenario", "spec", *plan_source(scenario), **clair_options(scenario)),
        "result = run_scenario(scenario)",
        "",
        *_asked(step),
        "for row in result.errors:",
        '    print(f"{row.label:<26} {row.mean:.6g}")',
    ]
    plain = scenario_recipe(scenario)
    note = "The command gives the numbers of the chart, Python the answer as well."
    return replace(plain, python="\n".join(lines), note=f"{note} {plain.note}")


def run_step_recipe(recipe: Recipe, step: Step) -> Recipe:
    """Extend the Python and shell of a run by the step's answer, computed after the run."""
    asked = ["", "from clair.lessons.quantities import QUANTITIES", "", *_asked(step)]
    return replace(recipe, python="\n".join([recipe.python, *asked]))


def _asked(step: Step) -> list[str]:
    return [
        f'answer = QUANTITIES["{step.answer}"].compute(result)',
        'print(f"answer: {answer:.6g}")',
    ]


def step_report(answered: Answered, whole: Report, chart: Plot, recipe: Recipe) -> Report:
    """Report what the step shows after its reveal, then how it was computed.

    Parameters
    ----------
    answered : Answered
    whole : Report
        Of the result that the step is about. Its method, limits and settings are used as they are,
        and so are the tables that go with the chart.
    chart : Plot
        The one that the step is about.
    recipe : Recipe
    """
    step, predicted = answered.step, answered.predicted
    facts = [Fact(QUANTITIES[step.answer].say(answered.value), "computed answer")]
    if predicted is not None:
        fits = step.fits(float(answered.guess or 0), answered.value)
        facts.append(Fact(predicted, "your prediction", "it fits" if fits else "it does not fit"))
    tables = (one for section in whole.sections for one in tables_of(section.blocks))
    shown = Section(
        "What to look for",
        (f"Look for {step.look_for}",),
        blocks=(chart, *(one for one in tables if one.key in _TABLES)),
    )
    return replace(
        whole,
        page=f"Lessons: {answered.course}, step {answered.number} of {answered.of}",
        title=step.title,
        sentence=answered.sentence,
        recipe=recipe,
        facts=tuple(facts),
        sections=(
            Section("The question", (step.text, f"**{step.question}**")),
            Section("The answer", (answered.sentence, step.why, *answered.also)),
            shown,
        ),
    )


_TABLES = ("clients", "methods")


def step_json(answered: Answered, numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Collect question, prediction, answer and every number of their result as JSON values."""
    return {
        "format": FORMAT,
        "kind": "lesson",
        "course": answered.course,
        "step": answered.number,
        "question": answered.step.question,
        "prediction": answered.predicted,
        "quantity": answered.step.answer,
        "answer": float(answered.value),
        "sentence": answered.sentence,
        "result": dict(numbers),
    }
