"""What the text-copying page is made of besides its layout: controls, presets, the job."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from clair.jobs import Report
from clair.tasks.copytask import ATTACKS, CopyTaskConfig
from clair.tasks.outcome import Outcome
from clair.ui.state import Control, Preset

KIND = "copying"
DEFAULT_RESULT = Path(__file__).parents[2] / "assets" / "copytask" / "default_result.json"
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

REVEAL = Control(
    "copy_reveal",
    "Show who is truly poisoned",
    "segment",
    "end",
    "To let an audience guess: keep it hidden, even after the run. CLAIR never sees it.",
    options=(("end", "after the run"), ("start", "from the start"), ("never", "not yet")),
    group="view",
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

_FIELDS = {
    "copy_clients": "n_clients",
    "copy_poisoned": "poisoned_fraction",
    "copy_heterogeneity": "heterogeneity",
    "copy_attack": "attack",
    "copy_rank": "rank",
    "copy_screen": "screen_coefficients",
    "copy_steps": "steps",
    "copy_seed": "seed",
}


def config_of(values: Mapping[str, Any]) -> CopyTaskConfig:
    """Settings of a run from the values of the controls."""
    return CopyTaskConfig(**{field: values[key] for key, field in _FIELDS.items()})


def differences(now: CopyTaskConfig, shown: CopyTaskConfig) -> list[str]:
    """In what the settings on the screen differ from those of the result shown, in words."""
    words = []
    for control in CONTROLS:
        field = _FIELDS[control.key]
        new, old = getattr(now, field), getattr(shown, field)
        if new != old:
            words.append(
                f"{control.label.lower()} {_say(control, new)} instead of {_say(control, old)}"
            )
    return words


def _say(control: Control, value: Any) -> str:
    if control.kind == "flag":
        return "on" if value else "off"
    if control.format == "percent":
        return f"{value:.0%}"
    if control.options:
        return control.label_of(value) if value in control.ids else str(value)
    return str(value)


@st.cache_resource(show_spinner=False)
def default_outcome() -> Outcome:
    """The precomputed run that ships with the app."""
    return Outcome.from_json(json.loads(DEFAULT_RESULT.read_text(encoding="utf-8")))


def expected_seconds(config: CopyTaskConfig) -> float:
    """Expected duration, scaled from the measured stages of the precomputed run."""
    reference = default_outcome()
    base = CopyTaskConfig(**reference.config)
    clients = config.n_clients / base.n_clients
    tuned = (config.finetune_steps or config.steps) / (base.finetune_steps or base.steps)
    factors = {
        "train": clients * config.steps / base.steps,
        "finetune": clients * tuned,
        "clair": clients,
        "evaluate": (config.n_clients - config.n_poisoned) / (base.n_clients - base.n_poisoned),
    }
    return sum(s * factors.get(stage, 1.0) for stage, s in reference.seconds.items())


def job(config: CopyTaskConfig) -> Callable[[Report, Callable[[], bool]], Outcome]:
    """Return the work of a run for the job pool; torch loads when it starts."""

    def work(report: Report, cancelled: Callable[[], bool]) -> Outcome:
        from clair.tasks import copytask

        return Outcome.of(copytask.run_copytask(config, progress=report, cancelled=cancelled))

    return work


def load() -> None:
    """Import what a run needs; transformers loads most of itself when a model is built."""
    from clair.tasks.copytask import model

    importlib.import_module("clair.tasks.copytask.run")
    model.build_model()
