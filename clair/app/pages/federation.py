"""What only the page of a federation under Flower has: controls, words, views by round."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clair._files import ASSETS
from clair.app.kit.content import presets
from clair.app.kit.extra import Extra
from clair.app.kit.state import Control
from clair.app.kit.task_controls import TaskControls
from clair.app.kit.trained import TrainedPage
from clair.federated.config import MAX_ROUNDS
from clair.federated.copytask import ATTACKS
from clair.federated.copytask.data import make_federation
from clair.federated.task_result import TaskResult
from clair.figures.comparison import Measure
from clair.flower import INSTALL, FlowerConfig, FlowerResult, installed
from clair.report.blocks import View
from clair.report.rounds import accuracy_view, verdict_rounds_view
from clair.sentences import count, listing, verdict_caveats

KIND = "federation"
DEFAULTS = FlowerConfig()
_of = TaskControls("fed", DEFAULTS)
_ROUNDS = tuple((number, f"round {number}") for number in range(1, MAX_ROUNDS + 1))


def _mishap(field: str, label: str, text: str) -> Control:
    return _of(field, label, "choice", text, options=((0, "never"), *_ROUNDS))


_BACK = _of(
    "sent_back",
    "Kept clients get",
    "choice",
    "What they train on from. Everybody else gets the average of the kept.",
    short="back",
    options=(("refined", "their own refined adapter"), ("average", "the average of the kept")),
)
CONTROLS: tuple[Control, ...] = (
    _of.clients("How many take part, each with its own texts and its own adapter.", 6, 24),
    _of.poisoned(),
    _of.attack(ATTACKS),
    *_of.rounds("How often clients train and send."),
    _of(
        "steps",
        "Training steps a round",
        "int",
        "Steps of every client in a round, each over all of its texts.",
        low=10,
        high=80,
        step=10,
    ),
    _BACK,
    _mishap("crash", "An honest client crashes in", "Its reply is an error instead of an adapter."),
    _mishap("broken", "An honest client sends NaN in", "As after a training that diverged."),
    _mishap("leave", "An honest client leaves from", "It does not answer any more."),
    _of.seed(),
)

_WORDS = {"crash": "crashes", "broken": "sends NaN", "leave": "leaves"}


def setting_words(config: FlowerConfig) -> str:
    """Describe what happens on this page, with the numbers of the settings."""
    bad = config.n_poisoned
    poisoned = "Nobody is poisoned in these settings."
    if bad:
        poisoned = f"**{bad} are poisoned.** {ATTACKS[config.attack].sentence}"
    since = f" They are honest before round {config.poison_from}." * (config.poison_from > 1)
    often = "They train and send once."
    if config.rounds > 1:
        often = (
            f"Over {count(config.rounds, 'round')} kept clients train on from "
            f"{dict(_BACK.options)[config.sent_back]}, everybody else from the kept clients' "
            "average."
        )
    told = [f"one {_WORDS[name]} in round {number}" for name, number in config.mishaps.items()]
    mishaps = f" Of the honest ones {listing(told)}." if told else ""
    return (
        f"{config.n_clients} *clients* fine-tune a small Transformer with adapters, each in its "
        "own house style, and send them to a server that runs Flower with CLAIR as its strategy. "
        f"{poisoned}{since if bad else ''}{mishaps} {often} The same clients then run under "
        "Flower's own FedAvg, and each alone."
    )


def measures(outcome: TaskResult) -> dict[str, Measure]:
    """Name the measures of a run; the page opens with the first one."""
    return {
        "sent": Measure("exact copies with what the server sends back"),
        "trained": Measure("exact copies after the client's own training"),
    }


def views(outcome: TaskResult, reveal: bool) -> Sequence[View]:
    """Show accuracy and verdict by round."""
    shown = measures(outcome)
    return (
        accuracy_view(KIND, outcome.rounds, shown),
        verdict_rounds_view(KIND, outcome.rounds, reveal=reveal),
    )


def caveats(outcome: TaskResult) -> list[str]:
    """List the limits: what these numbers show against CLAIR, then what is always true."""
    assert isinstance(outcome, FlowerResult)
    notes = verdict_caveats(outcome.detection)
    means = {key: outcome.mean(key, "trained") for key in outcome.accuracy}
    if means["fedavg"] >= means["clair"]:
        notes.append(
            f"Once clients have trained on what they were sent, FedAvg is at least as good here: "
            f"{means['fedavg']:.0%} against {means['clair']:.0%}."
        )
    if "broken" in outcome.config.mishaps:
        notes.append(
            "FedAvg averages NaN as it averages anything, so one broken client ends it. Without "
            "that mishap its clients recover by their own training, as the second measure shows; "
            "on ten fresh seeds they got 92% that way, as CLAIR's did."
        )
    notes += [
        "The server has to see each client's adapter, so secure aggregation cannot be used.",
        "With fewer than five usable replies nobody is judged anew, and the last verdict is "
        "carried on.",
        "Scores are those of honest clients without a mishap. The clients run in this process; "
        "over real connections the same strategy runs with `examples/flower/local.sh`.",
    ]
    return notes


def truth(config: FlowerConfig) -> np.ndarray:
    """Tell which clients are contaminated."""
    return make_federation(config.copying()).contaminated


EXTRA = Extra("Flower", "clair.flower.run", installed, INSTALL)
PAGE = TrainedPage(
    kind=KIND,
    title="Federation, round by round",
    report_title="A federation under Flower, round by round",
    command=KIND,
    prefix="fed",
    controls=CONTROLS,
    presets=presets(KIND),
    config=FlowerConfig,
    run="clair.flower:run_flower",
    asset=ASSETS / "federation" / "default_result.json",
    result=FlowerResult,
    measures=measures,
    setting_words=setting_words,
    truth=truth,
    load=EXTRA.load,
    samples=None,
    caveats=caveats,
    extra=EXTRA,
    views=views,
)
