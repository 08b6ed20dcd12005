"""What only the text-copying page has: controls, presets, measures, samples."""

from __future__ import annotations

import importlib

import numpy as np

from clair._files import ASSETS
from clair.app.kit.results import samples_panel
from clair.app.kit.state import Control, Preset
from clair.app.kit.trained import TrainedPage
from clair.app.pages.copying_vocabulary import FRESH, GLOSSARY, caveats, setting_words
from clair.federated import MethodAccuracy, Sample
from clair.federated.copytask import ATTACKS, CopyTaskConfig
from clair.federated.copytask.data import make_federation
from clair.federated.outcome import Outcome
from clair.figures.comparison import Measure
from clair.figures.palette import ThemeName
from clair.report.document import Section
from clair.report.tasks import sample_table

KIND = "copying"
DEFAULT_RESULT = ASSETS / "copytask" / "default_result.json"
DEFAULTS = CopyTaskConfig()

CONTROLS: tuple[Control, ...] = (
    Control(
        "copy_clients",
        "Clients",
        "int",
        DEFAULTS.n_clients,
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
        DEFAULTS.poisoned_fraction,
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
        DEFAULTS.heterogeneity,
        "How far honest clients differ: this share of the vowels a, e, o gets symbols of each "
        "client's own choice, and the topics move from common to two favourites.",
        options=((0.0, "0"), (1 / 3, "1/3"), (2 / 3, "2/3"), (1.0, "1")),
        group="federation",
    ),
    Control(
        "copy_attack",
        "Attack",
        "choice",
        DEFAULTS.attack,
        "What the poisoned clients do. The last two tamper with the finished adapter instead of "
        "the training texts.",
        options=tuple((key, attack.label) for key, attack in ATTACKS.items()),
        group="federation",
    ),
    Control(
        "copy_rank",
        "Rank CLAIR looks for",
        "choice",
        DEFAULTS.rank,
        "Number of shared directions. Automatic takes it from the updates.",
        options=(("auto", "automatic"), *((r, str(r)) for r in range(1, 9))),
        group="method",
    ),
    Control(
        "copy_screen",
        "Coefficient screen",
        "flag",
        DEFAULTS.screen_coefficients,
        "Also look at how a client uses the shared directions, which finds sign flips. Honest "
        "clients that differ much may be flagged by it.",
        group="method",
    ),
    Control(
        "copy_steps",
        "Training steps",
        "int",
        DEFAULTS.steps,
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
        DEFAULTS.seed,
        "Fixes everything that is drawn: texts, styles, who is poisoned. The same seed gives the "
        "same result.",
        low=0,
        high=9999,
        step=1,
        group="method",
    ),
)

PRESETS: tuple[Preset, ...] = (
    Preset(
        "default",
        "A quarter poisoned",
        "three of twelve clients flagged, and honest clients better off than alone.",
    ),
    Preset(
        "alike",
        "All alike, nobody poisoned",
        "plain averaging (FedAvg): with nothing to defend against it is hard to beat.",
        {"copy_heterogeneity": 0.0, "copy_poisoned": 0.0},
    ),
    Preset(
        "colluders",
        "Four in ten collude",
        "FedAvg collapsing, and whether colluders still stand out from each honest client.",
        {"copy_attack": "common_shift", "copy_poisoned": 0.4},
    ),
    Preset(
        "different",
        "Very different clients",
        "FedAvg failing even without poison: compare it with FedAvg of the honest.",
        {"copy_heterogeneity": 1.0},
    ),
    Preset(
        "sign_flip",
        "Sign flip, unseen",
        "nobody flagged: a flipped update lies in the shared directions and looks honest.",
        {"copy_attack": "sign_flip", "copy_poisoned": 0.4, "copy_screen": False},
    ),
    Preset(
        "sign_flip_screened",
        "Sign flip, with the screen",
        "the same clients flagged once the coefficient screen is on.",
        {"copy_attack": "sign_flip", "copy_poisoned": 0.4, "copy_screen": True},
    ),
    Preset(
        "backdoor",
        "A backdoor word",
        "poisoned clients that copy well and still stand out.",
        {"copy_attack": "backdoor"},
    ),
)

FIELDS = {
    "copy_clients": "n_clients",
    "copy_poisoned": "poisoned_fraction",
    "copy_heterogeneity": "heterogeneity",
    "copy_attack": "attack",
    "copy_rank": "rank",
    "copy_screen": "screen_coefficients",
    "copy_steps": "steps",
    "copy_seed": "seed",
}


def load() -> None:
    """Import what a run needs; transformers loads most of itself when a model is built."""
    from clair.federated.copytask import model

    importlib.import_module("clair.federated.copytask.run")
    model.build_model()


def measures(outcome: Outcome) -> dict[str, Measure]:
    """Name the measures of a run; the page opens with the first one."""
    return {
        "exact_match": Measure("exact copies of unseen texts"),
        "token": Measure("right characters"),
    }


def draw_samples(outcome: Outcome, theme: ThemeName) -> None:
    """Show held-out texts as the methods wrote them."""
    samples_panel(KIND, outcome.samples, theme)


def extra(outcome: Outcome) -> tuple[Section, ...]:
    """Build the report section that only this task has: the texts."""
    return (Section("What the models write", tables=(sample_table(outcome.samples),)),)


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
    scores=MethodAccuracy,
    sample=Sample,
    measures=measures,
    glossary=GLOSSARY,
    setting_words=setting_words,
    truth=truth,
    load=load,
    samples_title="What the models write",
    samples=draw_samples,
    extra=extra,
    caveats=caveats,
    fresh=FRESH,
)
