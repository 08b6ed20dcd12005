"""What only the text-copying page has: controls, presets, measures, samples."""

from __future__ import annotations

import importlib
from functools import partial

import numpy as np

from clair._files import ASSETS
from clair.app.kit.content import presets
from clair.app.kit.state import Control
from clair.app.kit.task_controls import TaskControls
from clair.app.kit.trained import TrainedPage
from clair.app.pages.copying_samples import samples_panel
from clair.app.pages.copying_vocabulary import caveats, setting_words
from clair.federated.copytask import ATTACKS, OPENING, CopyTaskConfig, CopyTaskResult
from clair.federated.copytask.data import make_federation
from clair.federated.task_result import TaskResult
from clair.figures.comparison import Measure
from clair.report.blocks import Block, Live, Printed, View
from clair.report.tasks import sample_table

KIND = "copying"
DEFAULT_RESULT = ASSETS / "copytask" / "default_result.json"

_of = TaskControls("copy", OPENING)
CONTROLS: tuple[Control, ...] = (
    _of.clients(
        "How many take part, each with its own texts and its own adapter. All are trained at once.",
        4,
        64,
        group="federation",
    ),
    _of.poisoned(group="federation"),
    _of(
        "heterogeneity",
        "Heterogeneity of the honest",
        "scale",
        "How far honest clients differ: this share of the vowels a, e, o gets symbols of each "
        "client's own choice, and the topics move from common to two favourites.",
        options=((0.0, "0"), (1 / 3, "1/3"), (2 / 3, "2/3"), (1.0, "1")),
        group="federation",
    ),
    _of.attack(ATTACKS, group="federation"),
    *_of.rounds(group="federation"),
    _of.rank(group="method"),
    _of.screen(" Honest clients that differ much may be flagged by it.", group="method"),
    _of(
        "steps",
        "Training steps",
        "int",
        "Steps of every client, each over all of its texts.",
        low=10,
        high=200,
        step=10,
        group="method",
    ),
    _of.seed(group="method"),
)

PRESETS = presets("copying")


def load() -> None:
    """Import what a run needs; transformers loads most of itself when a model is built."""
    from clair.federated.copytask import model

    importlib.import_module("clair.federated.copytask.run")
    model.build_model()


def measures(outcome: TaskResult) -> dict[str, Measure]:
    """Name the measures of a run; the page opens with the first one."""
    return {
        "exact_match": Measure("exact copies of unseen texts"),
        "token": Measure("right characters"),
    }


def samples(outcome: TaskResult, stage: bool = False) -> tuple[Block, ...]:
    """Show held-out texts as the methods wrote them."""
    written = partial(samples_panel, KIND, outcome.samples)
    return (Live(written), Printed((sample_table(outcome.samples),)))


def truth(config: CopyTaskConfig) -> np.ndarray:
    """Tell which clients are contaminated."""
    return make_federation(config).contaminated


PAGE = TrainedPage(
    kind=KIND,
    title="Text copying",
    report_title="A language model, fine-tuned by many, some of them poisoned",
    command="copytask",
    prefix="copy",
    controls=CONTROLS,
    presets=PRESETS,
    config=CopyTaskConfig,
    run="clair.federated.copytask:run_copytask",
    asset=DEFAULT_RESULT,
    result=CopyTaskResult,
    measures=measures,
    setting_words=setting_words,
    truth=truth,
    load=load,
    samples=View("What the models write", samples),
    caveats=caveats,
)
