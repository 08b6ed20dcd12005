"""What only the digits page has: controls, presets, words, the images that flip."""

from __future__ import annotations

import html
import importlib
from typing import Any

from clair._files import ASSETS
from clair.app.kit.content import presets
from clair.app.kit.state import Control
from clair.app.kit.task_controls import TaskControls
from clair.app.kit.trained import TrainedPage
from clair.federated.digits import ATTACKS, OPENING, DigitsConfig, DigitsResult, ImageSample
from clair.federated.digits.data import SIDE, TARGET, WHITE, make_federation
from clair.federated.task_result import TaskResult, means_of
from clair.figures.comparison import Measure
from clair.figures.flips import flip_bars
from clair.figures.images import ink_image
from clair.figures.palette import ThemeName, role_style
from clair.methods import METHODS
from clair.report.blocks import Block, Markup, View, Words, plot
from clair.sentences import verdict_caveats

KIND = "digits"
NO_SKEW = "none"
SHORT_LABELS = {"fedavg_finetuned": "FedAvg, tuned", "local": "Local", "clair_eb": "CLAIR, pooled"}
ASSET = ASSETS / "digits" / "default_result.json"

_of = TaskControls("dig", OPENING)
CONTROLS: tuple[Control, ...] = (
    _of.clients("How many take part, each with images of its own. All are trained at once.", 6, 40),
    _of.poisoned(),
    _of.attack(ATTACKS),
    _of.boost("Without it poison barely hurts anybody here, and is harder to see."),
    _of(
        "disputed",
        "Digits in dispute",
        "int",
        "How many of the ten digits honest clients name differently, each in a way of its own. "
        "This is the heterogeneity: 0 means that all want the same.",
        low=0,
        high=10,
        step=1,
    ),
    _of(
        "skew",
        "Skew of the mix of digits",
        "scale",
        "How one-sided a client's images are: its mix of digits is drawn from a Dirichlet "
        "distribution with this concentration; .1 leaves most clients two or three digits.",
        options=((None, NO_SKEW), (3.0, "3"), (1.0, "1"), (0.3, "0.3"), (0.1, "0.1")),
    ),
    _of(
        "n_local",
        "Images per client",
        "scale",
        "Training images of a client.",
        short="local",
        options=tuple((n, str(n)) for n in (8, 16, 24, 40, 64, 100)),
    ),
    _of(
        "layers",
        "Adapted layers",
        "choice",
        "Which layers of the network carry an adapter.",
        options=(("head", "the last"), ("upper", "the last two"), ("all", "all three")),
    ),
    *_of.rounds(),
    _of.rank("; as many as digits are in dispute fits best"),
    _of.screen(),
    _of(
        "compare_shape",
        "Compare the shape (ours)",
        "flag",
        "Also compare how heavy-tailed the entries of the updates are. It needs three modules, so "
        "it has an effect only where all three layers are adapted.",
        short="shape",
    ),
    _of.seed(),
)

PRESETS = presets("digits")


def setting_words(config: DigitsConfig) -> str:
    """Describe what happens on this page, with the numbers of the settings."""
    bad = config.n_poisoned
    poisoned = "Nobody is poisoned in these settings."
    if bad:
        poisoned = f"**{bad} of the {config.n_clients} are poisoned.** "
        poisoned += ATTACKS[config.attack].sentence
        if config.boost > 1:
            poisoned += f" They send their update {config.boost:g} times as large as it is."
    dispute = (
        "All of them name the digits alike"
        if config.disputed < 2
        else f"They agree on most digits, but {config.disputed} of the ten have a *name* of each "
        "client's own"
    )
    return (
        f"{config.n_clients} *clients* share a small network that reads real handwritten digits, "
        f"trained beforehand on other people's. {dispute}, so each trains an *adapter* on "
        f"{config.n_local} images of its own. {poisoned} The server sees adapters only."
    )


def measures(outcome: TaskResult) -> dict[str, Measure]:
    """Choose the measures worth a look for this run."""
    shown = {"accuracy": Measure("held-out images read right")}
    if outcome.config.skew is not None:
        shown["own_mix"] = Measure("right, by the client's own mix of digits")
    if outcome.config.attack == "backdoor":
        shown["backdoor"] = Measure(
            f"marked images read as {TARGET} (backdoor)", more_is_better=False
        )
    return shown


def caveats(outcome: TaskResult) -> list[str]:
    """List the limits: what these numbers show against CLAIR, then what is always true."""
    means = means_of(outcome.accuracy, "accuracy")
    best = max(means["clair"], means["clair_eb"])
    config, notes = outcome.config, []
    notes += verdict_caveats(outcome.detection)
    rivals = {
        key: mean
        for key, mean in means.items()
        if METHODS[key].family != "clair" and not METHODS[key].oracle
    }
    rival = max(rivals, key=rivals.__getitem__)
    if rivals[rival] >= best:
        notes.append(
            f"Here {METHODS[rival].label} is at least as good: {rivals[rival]:.1%} against "
            f"{best:.1%} for CLAIR."
        )
    notes.append(
        f"The gain over training alone is modest: {best - means['local']:+.1%} of the images here. "
        "It takes few digits in dispute: with seven, training alone wins, and with none the base "
        "model or a robust average does.".replace("-", "−")
    )
    if config.boost > 1:
        notes.append(
            "Detection matters because the poison is boosted. Without boost it barely hurts "
            "anybody, and a backdoor is not even flagged."
        )
    notes.append(
        "The naming of digits was made up so that honest updates share few directions, which is "
        "what CLAIR assumes; the images are real. Rotation, contrast or another pen as difference "
        "between clients gave updates of no low rank, and CLAIR no advantage."
    )
    return notes


def flips(outcome: DigitsResult, stage: bool = False) -> tuple[Block, ...]:
    """Show how many images methods read differently, and some of them."""
    bars = plot("digits_flips", flip_bars, outcome.flips)
    if not outcome.samples:
        return (bars,)
    # on stage there is room for one of the two
    first = Words(f"**{bars.chart('light').title}**") if stage else bars
    words = (
        "Images that training alone and CLAIR read differently, chosen at random. Under each "
        "the name this client gives it, then what the methods read; a wrong reading is "
        "underlined and coloured."
    )
    images = Markup(_gallery, (outcome.samples,), {"tight": stage})
    return (first, images, Words(words, "caption"))


def _gallery(samples: tuple[ImageSample, ...], theme: ThemeName, *, tight: bool) -> str:
    height, gap, side = (1.2, 0.9, 84) if tight else (1.5, 1.4, 96)
    wrong = (
        f"color:{role_style('contaminated', theme).color};font-weight:700;"
        "text-decoration:underline;text-underline-offset:3px"
    )
    cards = []
    for sample in samples:
        picture = ink_image(sample.pixels, SIDE, WHITE, theme)
        lines = "".join(
            f"<div style='display:flex;justify-content:space-between'>"
            f"<span>{html.escape(SHORT_LABELS.get(key, METHODS[key].label))}</span>"
            f'<span style="{wrong if read != sample.expected else ""}">{read}</span></div>'
            for key, read in sample.readings.items()
        )
        cards.append(
            f"<figure style='margin:0;width:10.5rem'>"
            f'<img src="{picture}" width="{side}" height="{side}" style="image-rendering:pixelated;'
            f'border-radius:4px" alt="a handwritten {sample.digit}">'
            f"<figcaption style='font-size:.85rem;line-height:{height}'>"
            f"<b>client {sample.client + 1} calls it {sample.expected}</b>{lines}"
            f"</figcaption></figure>"
        )
    return f"<div style='display:flex;flex-wrap:wrap;gap:{gap}rem'>{''.join(cards)}</div>"


def _truth(config: DigitsConfig) -> Any:
    return make_federation(config).contaminated


def load() -> None:
    """Import what a run needs."""
    importlib.import_module("clair.federated.digits.run")


PAGE = TrainedPage(
    kind=KIND,
    title="Digits",
    report_title="Handwritten digits, read by many, some of them poisoned",
    command=KIND,
    prefix="dig",
    controls=CONTROLS,
    presets=PRESETS,
    config=DigitsConfig,
    run="clair.federated.digits:run_digits",
    asset=ASSET,
    result=DigitsResult,
    measures=measures,
    setting_words=setting_words,
    truth=_truth,
    load=load,
    samples=View("Images that flip", flips),
    caveats=caveats,
)
