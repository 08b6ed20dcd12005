"""What only the text-copying page has: controls, presets, measures, samples."""

from __future__ import annotations

import importlib
from functools import partial

import numpy as np

from clair._files import ASSETS
from clair.app.kit.content import presets
from clair.app.kit.rounds_controls import rounds_controls
from clair.app.kit.state import Control
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

CONTROLS: tuple[Control, ...] = (
    Control(
        "copy_clients",
        "Clients",
        "int",
        OPENING.n_clients,
        "How many take part, each with its own texts and its own adapter. All are trained at once.",
        low=4,
        high=64,
        step=1,
        group="federation",
    ),
    Control(
        "copy_poisoned",
        "Poisoned share",
        "float",
        OPENING.poisoned_fraction,
        "Share of clients that are poisoned, rounded to whole clients and always below half.",
        low=0.0,
        high=0.45,
        step=0.05,
        format="percent",
        group="federation",
    ),
    Control(
        "copy_heterogeneity",
        "Heterogeneity of the honest",
        "scale",
        OPENING.heterogeneity,
        "How far honest clients differ: this share of the vowels a, e, o gets symbols of each "
        "client's own choice, and the topics move from common to two favourites.",
        options=((0.0, "0"), (1 / 3, "1/3"), (2 / 3, "2/3"), (1.0, "1")),
        group="federation",
    ),
    Control(
        "copy_attack",
        "Attack",
        "choice",
        OPENING.attack,
        "What the poisoned clients do. The last two tamper with the finished adapter instead of "
        "the training texts.",
        options=tuple((key, attack.label) for key, attack in ATTACKS.items()),
        group="federation",
    ),
    *rounds_controls("copy", OPENING, "federation"),
    Control(
        "copy_rank",
        "Rank CLAIR looks for",
        "choice",
        OPENING.rank,
        "Number of shared directions. Automatic takes it from the updates.",
        options=(("auto", "automatic"), *((r, str(r)) for r in range(1, 9))),
        group="method",
    ),
    Control(
        "copy_screen",
        "Coefficient screen",
        "flag",
        OPENING.screen_coefficients,
        "Also look at how a client uses the shared directions, which finds sign flips. Honest "
        "clients that differ much may be flagged by it.",
        group="method",
    ),
    Control(
        "copy_steps",
        "Training steps",
        "int",
        OPENING.steps,
        "Steps of every client, each over all of its texts.",
        low=10,
        high=200,
        step=10,
        group="method",
    ),
    Control(
        "copy_seed",
        "Seed",
        "number",
        OPENING.seed,
        "Fixes everything that is drawn: texts, styles, who is poisoned. The same seed gives the "
        "same result.",
        low=0,
        high=9999,
        step=1,
        group="method",
    ),
)

PRESETS = presets("copying")

FIELDS = {
    "copy_clients": "n_clients",
    "copy_poisoned": "poisoned_fraction",
    "copy_heterogeneity": "heterogeneity",
    "copy_attack": "attack",
    "copy_rank": "rank",
    "copy_screen": "screen_coefficients",
    "copy_steps": "steps",
    "copy_seed": "seed",
    "copy_rounds": "rounds",
    "copy_from": "poison_from",
}


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
    fields=FIELDS,
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
