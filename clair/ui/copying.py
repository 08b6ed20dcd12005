"""What the text-copying page is made of besides its layout: controls, presets, words, the job."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from clair.jobs import JobState, JobView, Report
from clair.narrative import count
from clair.tasks.copytask import ATTACKS, CopyTaskConfig
from clair.tasks.copytask.data import CAPITALISED, VOWELS
from clair.tasks.outcome import Outcome
from clair.ui.jobs import duration
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
        {"copy_heterogeneity": 2 / 3},
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

GLOSSARY = """
* **Client**: a participant, say a hospital, that trains on its own texts and shares only what it
  learned, never the texts.
* **Adapter** (LoRA): a small add-on to a frozen model. Its effect on a layer is a matrix, the
  client's *update*; updates are all the server sees.
* **Poisoned**: a client whose texts or whose update were tampered with. The others are *honest*.
* **Shared directions** (subspace): the few directions in which honest updates lie because all of
  them learn a common part. CLAIR finds them and flags who leaves them.
* **FedAvg**: the plain average of all updates, the usual way to combine them.
* **Pooling**: honest clients also borrow strength from each other inside the shared directions, as
  far as they are alike.
* **Coefficient screen**: a second look at *how* a client uses the shared directions.
* **Exact copies**: share of unseen texts written without a single mistake. **Characters**: share of
  single characters that are right.
* **Oracle**: a yardstick that is told who is poisoned; nobody is in practice.
"""


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


def setting_words(config: CopyTaskConfig) -> str:
    """What happens on this page, with the numbers of the settings."""
    bad = config.n_poisoned
    poisoned = (
        "Nobody is poisoned in these settings."
        if bad == 0
        else f"**{bad} of the {config.n_clients} are poisoned.** {ATTACKS[config.attack].sentence}"
    )
    own = round(len(VOWELS) * config.heterogeneity)
    vowels = "the same for everybody" if own == 0 else f"{own} of them chosen by each client alone"
    return (
        f"{config.n_clients} *clients*, say hospitals, share one small language model that copies "
        "text. Each trains an *adapter*, a small add-on, on "
        f"{count(config.n_local, 'text')} of its own, so that the model copies in the client's "
        f"house style: {count(len(CAPITALISED), 'consonant')} become capitals for everybody, the "
        f"vowels a, e and o become digits, {vowels}. {poisoned} The server sees adapters only. "
        "CLAIR has to find out whom to trust, and to give every honest client a better adapter "
        "than it could train alone."
    )


def guess_words(outcome: Outcome) -> str:
    """The sentence of a result whose truth is still hidden."""
    names = [str(k + 1) for k in range(outcome.n_clients) if outcome.flagged[k]]
    if not names:
        return "CLAIR flagged nobody. Is anybody poisoned? Guess, then reveal it."
    listed = " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)
    return (
        f"CLAIR flagged client{'s' * (len(names) > 1)} {listed}. "
        "Who is truly poisoned? Guess, then reveal it."
    )


def running_words(job: JobView) -> str:
    """The sentence while a run waits or is under way."""
    config = job.config
    bad = config.n_poisoned
    waits = job.state is JobState.QUEUED
    if bad == 0:
        verb = "wait for their turn to be trained" if waits else "are being trained at once"
        return f"{config.n_clients} honest clients {verb}."
    if waits:
        return f"{config.n_clients} clients, {bad} of them poisoned, wait for their turn."
    return (
        f"{config.n_clients} clients are being trained at once, {bad} of them poisoned: "
        "can you tell which?"
    )


def duration_words(config: CopyTaskConfig, *, loaded: bool) -> str:
    """Expected duration as measured, and the device once the training libraries are there."""
    words = f"Takes about {duration(expected_seconds(config))} on two CPU cores."
    if loaded:
        from clair.tasks.device import describe_device, resolve_device

        device = describe_device(resolve_device(config.device), config.threads)
        words += f" This machine trains on: {device}."
    return words


def shown_words(kept: JobView | None, changed: list[str], *, waiting: bool) -> str:
    """Where the result below comes from, and whether it is that of the settings on the screen."""
    if kept is None:
        words = (
            "a run made beforehand with the page's first settings, so there is something to see."
        )
    elif kept.reused:
        words = "your settings; somebody had just run exactly these, so the result is the same."
    else:
        words = f"your run, {kept.seconds:.0f} s."
    words = f"{'While you wait' if waiting else 'Below'}: {words}"
    if changed:
        words += (
            f" **The settings have changed since:** {'; '.join(changed)}. Run shows the effect."
        )
    return words


def caveats(outcome: Outcome) -> list[str]:
    """Where it does not hold: what these numbers show against CLAIR, then what is always true."""
    means = {key: float(value.exact_match.mean()) for key, value in outcome.accuracy.items()}
    best = max(means["clair"], means["clair_eb"])
    config = outcome.config
    notes = []
    missed = int((outcome.contaminated & ~outcome.flagged).sum())
    wrong = int((outcome.flagged & ~outcome.contaminated).sum())
    if missed:
        notes.append(f"Here CLAIR missed {missed} poisoned client{'s' * (missed > 1)}.")
    if wrong:
        notes.append(
            f"Here CLAIR flagged {wrong} honest client{'s' * (wrong > 1)}; a flagged client keeps "
            "its own adapter, so it loses the help of the others, not its own work."
        )
    for key, words in (
        ("fedavg", "plain averaging"),
        ("fedavg_finetuned", "FedAvg followed by fine-tuning at each client"),
        ("local", "training alone"),
    ):
        if means[key] >= best:
            notes.append(f"Here {words} is at least as good: {means[key]:.0%} against {best:.0%}.")
    honest, everybody = means["fedavg_benign"], means["fedavg"]
    numbers = f"averaging only the honest gives {honest:.0%}, averaging all {everybody:.0%}."
    if honest < best and honest - everybody < best - honest:
        cause = "FedAvg falls behind here mostly because clients differ, less because of poison: "
        notes.append(cause + numbers)
    elif everybody < honest:
        notes.append("FedAvg loses here mostly to the poison: " + numbers)
    notes.append(
        "With heterogeneity 0 and nobody poisoned, averaging is hard to beat: CLAIR reaches it "
        "only with pooling."
    )
    notes.append(
        "FedAvg followed by fine-tuning spends twice the local computation of every other method; "
        f"it gets {means['fedavg_finetuned']:.0%} here."
    )
    if config["attack"] != "sign_flip" or not config["screen_coefficients"]:
        notes.append(
            "A poisoned client that stays inside the shared directions, such as one that flips the "
            "sign of its update, is invisible without the coefficient screen."
        )
    notes.append(
        "The task was shaped until the honest updates shared a few directions, which is what CLAIR "
        "assumes. It shows what happens where the assumption holds to a dialled degree; it is no "
        "evidence about fine-tuning language models in general."
    )
    return notes
