"""What only the digits page has: controls, presets, words, the images that flip."""

from __future__ import annotations

import html
import importlib
from typing import Any

import streamlit as st

from clair._files import ASSETS
from clair.app.components.chart import charts_of
from clair.app.kit.plain import plain
from clair.app.kit.presenter import presenting
from clair.app.kit.results import show_chart
from clair.app.kit.state import Control, Preset
from clair.app.kit.trained import TrainedPage
from clair.federated.digits import ATTACKS, DigitsConfig, DigitScores, ImageSample
from clair.federated.digits.data import SIDE, TARGET, WHITE, make_federation
from clair.federated.outcome import Outcome
from clair.federated.task_result import means_of
from clair.figures.comparison import Measure
from clair.figures.flips import flip_bars
from clair.figures.images import ink_image
from clair.figures.palette import ThemeName, role_style
from clair.methods import METHODS
from clair.report.document import Section
from clair.sentences import verdict_caveats

KIND = "digits"
DEFAULTS = DigitsConfig()
NO_SKEW = "none"
SHORT_LABELS = {"fedavg_finetuned": "FedAvg, tuned", "local": "Local", "clair_eb": "CLAIR, pooled"}
ASSET = ASSETS / "digits" / "default_result.json"

CONTROLS: tuple[Control, ...] = (
    Control(
        "dig_clients",
        "Clients",
        "int",
        DEFAULTS.n_clients,
        "How many take part, each with images of its own. All are trained at once.",
        low=6,
        high=40,
        step=1,
    ),
    Control(
        "dig_poisoned",
        "Poisoned share",
        "float",
        DEFAULTS.poisoned_fraction,
        "Share of clients that are poisoned, rounded to whole clients and always below half.",
        low=0.0,
        high=0.45,
        step=0.05,
        format="percent",
    ),
    Control(
        "dig_attack",
        "Poisoning",
        "choice",
        DEFAULTS.attack,
        "What the poisoned clients do:\n"
        + "\n".join(f"- **{attack.label}**: {attack.sentence}" for attack in ATTACKS.values()),
        options=tuple((key, attack.label) for key, attack in ATTACKS.items()),
    ),
    Control(
        "dig_boost",
        "Boost of the poison",
        "float",
        DEFAULTS.boost,
        "Poisoned clients multiply their finished update by this factor, to take over the average "
        "(model replacement). Without it poison barely hurts anybody here, and is harder to see.",
        low=1.0,
        high=10.0,
        step=0.5,
        format="%.1f×",
    ),
    Control(
        "dig_disputed",
        "Digits in dispute",
        "int",
        DEFAULTS.disputed,
        "How many of the ten digits honest clients name differently, each in a way of its own. "
        "This is the heterogeneity: 0 means that all want the same.",
        low=0,
        high=10,
        step=1,
    ),
    Control(
        "dig_skew",
        "Skew of the mix of digits",
        "scale",
        None,
        "How one-sided a client's images are: its mix of digits is drawn from a Dirichlet "
        "distribution with this concentration; .1 leaves most clients two or three digits.",
        options=((None, NO_SKEW), (3.0, "3"), (1.0, "1"), (0.3, "0.3"), (0.1, "0.1")),
    ),
    Control(
        "dig_local",
        "Images per client",
        "scale",
        DEFAULTS.n_local,
        "Training images of a client.",
        options=tuple((n, str(n)) for n in (8, 16, 24, 40, 64, 100)),
    ),
    Control(
        "dig_layers",
        "Adapted layers",
        "choice",
        DEFAULTS.layers,
        "Which layers of the network carry an adapter.",
        options=(("head", "the last"), ("upper", "the last two"), ("all", "all three")),
    ),
    Control(
        "dig_rank",
        "Rank CLAIR looks for",
        "choice",
        DEFAULTS.rank,
        "Number of shared directions; as many as digits are in dispute fits best. Automatic takes "
        "it from the updates.",
        options=(("auto", "automatic"), *((r, str(r)) for r in range(1, 9))),
    ),
    Control(
        "dig_screen",
        "Coefficient screen (ours)",
        "flag",
        DEFAULTS.screen_coefficients,
        "Also look at how a client uses the shared directions, which finds sign flips.",
    ),
    Control(
        "dig_shape",
        "Compare the shape (ours)",
        "flag",
        DEFAULTS.compare_shape,
        "Also compare how heavy-tailed the entries of the updates are. It needs three modules, so "
        "it has an effect only where all three layers are adapted.",
    ),
    Control(
        "dig_seed",
        "Seed",
        "number",
        DEFAULTS.seed,
        "Fixes everything that is drawn. The same seed gives the same result.",
        low=0,
        high=9999,
        step=1,
    ),
)

PRESETS: tuple[Preset, ...] = (
    Preset(
        "default",
        "Three digits in dispute",
        "five poisoned clients of sixteen flagged, and a modest gain over training alone.",
    ),
    Preset(
        "backdoor",
        "A backdoor in the corner",
        "the measure “reads a marked image as 0”: with FedAvg nearly always, with CLAIR hardly.",
        {"dig_attack": "backdoor", "dig_boost": 5.0, "dig_poisoned": 0.4},
    ),
    Preset(
        "colluders",
        "Four in ten collude",
        "FedAvg led astray by one common permutation.",
        {"dig_attack": "colluders", "dig_poisoned": 0.4},
    ),
    Preset(
        "unboosted",
        "Poison without boost",
        "how little it hurts; the poisoned are suspect, too close to noise to be flagged.",
        {"dig_boost": 1.0},
    ),
    Preset(
        "same",
        "No dispute",
        "averaging: with nothing to tell apart the base model or FedAvg is hard to beat.",
        {"dig_disputed": 0, "dig_poisoned": 0.0},
    ),
    Preset(
        "many",
        "Seven digits in dispute",
        "too many directions to share: plain CLAIR loses, and the clients' own tests say so.",
        {"dig_disputed": 7},
    ),
    Preset(
        "skewed",
        "One-sided clients",
        "the two measures: on all digits, and on the digits a client really sees.",
        {"dig_skew": 0.3},
    ),
    Preset(
        "flip",
        "Sign flip, not boosted",
        "nobody flagged and hardly any harm; the coefficient screen finds most of the flips.",
        {"dig_attack": "sign_flip", "dig_boost": 1.0},
    ),
)

FIELDS = {
    "dig_clients": "n_clients",
    "dig_poisoned": "poisoned_fraction",
    "dig_attack": "attack",
    "dig_boost": "boost",
    "dig_disputed": "disputed",
    "dig_skew": "skew",
    "dig_local": "n_local",
    "dig_layers": "layers",
    "dig_rank": "rank",
    "dig_screen": "screen_coefficients",
    "dig_shape": "compare_shape",
    "dig_seed": "seed",
}

GLOSSARY = """
* **Client**: a participant, say a bank that reads forms, with images of its own that it never
  shares.
* **Naming**: clients file the disputed digits under codes of their own: what one files as 3 another
  files as 7. A client's reading is right if it is the name this client uses.
* **Adapter** (LoRA): a small add-on to a layer of the frozen network. Its effect is a matrix, the
  client's *update*; updates are all the server sees.
* **Poisoned**: a client whose images, labels or update were tampered with. The others are *honest*.
* **Boost**: the poisoned client multiplies its update, so that it outweighs the others' in an
  average.
* **Backdoor**: a small square in the corner of an image that makes a poisoned model read 0.
* **Shared directions** (subspace): honest updates move the network's answers for the disputed
  digits only, each client's in its own way. CLAIR finds these directions and flags who leaves them.
* **Suspect**: a client that stands out too little, or only by noise. It is refined like the kept,
  but has little or no weight in what the others learn.
* **FedAvg**: the plain average of all updates.
* **Pooling** (ours): clients also borrow from each other inside the shared directions.
* **CLAIR if it pays** (ours): clients also train on two halves of their data and measure on one
  what was made from the other. What clearly lowers their error is used, else all stay alone.
* **Then fine-tuned**: each client trains on from there on its own data, with twice the local
  computation of the others.
* **Oracle**: a yardstick that is told who is poisoned; nobody is in practice.
"""

#: From benchmarks/results/sharing.md.
FRESH = (
    "On 208 fresh runs with 0 to 7 digits in dispute, 16 to 100 images and uneven mixes it read "
    "89% right on average and fell a point below training alone in 1, *CLAIR* in 110. But training "
    "alone twice as long read 90%, and it fell a point behind that in 108. Who can train twice as "
    "long does best with CLAIR, then fine-tuned: 91%, a point behind in 9, where the kept average, "
    "then fine-tuned, was behind in 63."
)


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


def measures(outcome: Outcome) -> dict[str, Measure]:
    """Choose the measures worth a look for this run."""
    shown = {"accuracy": Measure("held-out images read right")}
    if outcome.config["skew"] is not None:
        shown["own_mix"] = Measure("right, by the client's own mix of digits")
    if outcome.config["attack"] == "backdoor":
        shown["backdoor"] = Measure(
            f"marked images read as {TARGET} (backdoor)", more_is_better=False
        )
    return shown


def caveats(outcome: Outcome) -> list[str]:
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
    if config["boost"] > 1:
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


def flips_panel(outcome: Outcome, theme: ThemeName) -> None:
    """Show images on which methods disagree, and how many of them there are."""
    chart = charts_of(flip_bars, outcome.numbers["flips_to_clair"], theme)
    if presenting() and outcome.samples:  # room for one of the two
        st.markdown(f"**{plain(chart.title)}**")
    else:
        show_chart(chart, "digits_flips")
    if outcome.samples:
        st.html(charts_of(_gallery, outcome.samples, theme, tight=presenting()))
        st.caption(
            "Images that training alone and CLAIR read differently, chosen at random. Under each "
            "the name this client gives it, then what the methods read; a wrong reading is "
            "underlined and coloured."
        )


def extra(outcome: Outcome) -> tuple[Section, ...]:
    """Build the report section that only this task has: the readings that change."""
    flips = flip_bars(outcome.numbers["flips_to_clair"], "light")
    return (Section("Images that flip", charts=(flips,)),)


def _gallery(samples: tuple[ImageSample, ...], theme: ThemeName, *, tight: bool) -> str:
    height, gap = (1.2, 0.9) if tight else (1.5, 1.4)
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
            f'<img src="{picture}" width="96" height="96" style="image-rendering:pixelated;'
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
    fields=FIELDS,
    config=DigitsConfig,
    run="clair.federated.digits:run_digits",
    asset=ASSET,
    scores=DigitScores,
    sample=ImageSample,
    measures=measures,
    glossary=GLOSSARY,
    setting_words=setting_words,
    truth=_truth,
    load=load,
    samples_title="Images that flip",
    samples=flips_panel,
    extra=extra,
    caveats=caveats,
    fresh=FRESH,
)
