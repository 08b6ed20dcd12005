"""Predictions and the computed answer as HTML: option cards and a number line.

Nothing here computes or draws a chart, so that a phone's page can use it as well.
"""

from __future__ import annotations

import html
from collections.abc import Mapping

from clair.lessons.course import Number, Step
from clair.lessons.quantities import QUANTITIES

#: How often each prediction was made, by its value; empty where only one visitor predicts.
Heard = Mapping[float, int]


def marks(
    step: Step, value: float | None, made: float | None = None, heard: Heard | None = None
) -> str:
    """Draw what could be predicted, with what was predicted and what was computed.

    Parameters
    ----------
    step : Step
    value : float or None
        The computed answer; None while it is not told.
    made : float or None
        The visitor's own prediction.
    heard : mapping of float to int, optional
        The predictions of an audience.
    """
    if step.number is None:
        return _options(step, value, made, heard or {})
    return _line(step, value, made, heard or {})


def compared(step: Step, value: float, made: float | None) -> tuple[str, str]:
    """Say whether a prediction fits, and write the computed number as HTML."""
    quantity = QUANTITIES[step.answer]
    said = quantity.sentence.format(f"<strong>{quantity.say(value)}</strong>")
    if made is None:
        return "Here is the answer", said
    if step.number is None:
        mine = f"“{html.escape(step.choices[int(made)].text)}”"
    else:
        mine = quantity.say(made)
    near = step.number is not None and abs(made - value) <= 2 * step.number.tolerance
    if step.fits(made, value):
        word = "Your prediction fits"
    else:
        word = "Close" if near else "It turned out otherwise"
    return word, f"{said} You predicted {mine}."


def answer_box(word: str, said: str) -> str:
    """Write the answer as a live region, so that a screen reader reads it when it appears."""
    return f'<div class="lesson-answer" role="status"><p class="word">{word}</p><p>{said}</p></div>'


def _options(step: Step, value: float | None, made: float | None, heard: Heard) -> str:
    """Write the options, with the computed and the predicted one marked."""
    right = None if value is None else step.right_choice(value)
    total, items = sum(heard.values()), []
    for i, choice in enumerate(step.choices):
        tags = ["✓ computed"] * (i == right) + ["your prediction"] * (i == made)
        bar, kind = "", "right" if i == right else "mine" if i == made else "other"
        if value is None:
            kind = "open"
        if total:
            kind += " heard"
            tags.append(f"{heard.get(i, 0)} of {total}")
            bar = f'<i style="width:{100 * heard.get(i, 0) / total:.1f}%"></i>'
        items.append(
            f'<div role="listitem" class="{kind}">{bar}<span>{html.escape(choice.text)}</span>'
            f'<span class="tag">{" · ".join(tags)}</span></div>'
        )
    return f'<div class="lesson-options" role="list">{"".join(items)}</div>'


def _line(step: Step, value: float | None, made: float | None, heard: Heard) -> str:
    """Draw the slider's range: computed number, what counts as fitting, predictions."""
    number, quantity = step.number, QUANTITIES[step.answer]
    assert number is not None
    band = right = mine = bars = ""
    spoken = [f"From {quantity.say(number.low)} to {quantity.say(number.high)}."]
    if value is not None:
        start, end = (_at(number, value + s * number.tolerance) for s in (-1, 1))
        band = f'<i class="band" style="left:{start:.1f}%;width:{end - start:.1f}%"></i>'
        right = _mark("right", number, value, f"computed: {quantity.say(value)}")
        spoken = [f"Computed: {quantity.say(value)}."]
    if made is not None:
        spoken.append(f"Your prediction: {quantity.say(made)}.")
        mine = _mark("mine", number, made, f"you: {quantity.say(made)}")
    if heard:
        most = max(heard.values())
        bars = "".join(
            f'<u style="left:{_at(number, guess):.1f}%;height:{100 * n / most:.0f}%"><b>{n}</b></u>'
            for guess, n in sorted(heard.items())
        )
        bars = f'<div class="heard">{bars}</div>'
        said = ", ".join(f"{n} × {quantity.say(guess)}" for guess, n in sorted(heard.items()))
        spoken.append(f"Predictions of the class: {said}.")
    return (
        f'<div class="lesson-line" role="img" aria-label="{" ".join(spoken)}">{bars}'
        f'<div class="track">{band}{mine}{right}</div>'
        f'<div class="ends"><span>{quantity.say(number.low)}</span>'
        f"<span>{quantity.say(number.high)}</span></div></div>"
    )


def _mark(kind: str, number: Number, value: float, label: str) -> str:
    at = _at(number, value)
    # Near an end the words grow inwards.
    side = "start" if at < 15 else "end" if at > 85 else "middle"
    return (
        f'<i class="{kind}" style="left:{at:.1f}%"></i>'
        f'<b class="{kind} {side}" style="left:{at:.1f}%">{label}</b>'
    )


def _at(number: Number, value: float) -> float:
    """Compute a number's place on the line, in percent of the line's length."""
    return min(max((value - number.low) / (number.high - number.low), 0.0), 1.0) * 100
