"""What only the language model's page has: controls, presets, words, samples."""

from __future__ import annotations

from functools import partial

import numpy as np

from clair._files import ASSETS
from clair.app.kit.content import presets
from clair.app.kit.extra import Extra
from clair.app.kit.state import Control
from clair.app.kit.task_controls import TaskControls
from clair.app.kit.trained import TrainedPage
from clair.app.pages.copying_samples import samples_panel
from clair.federated.llm import ATTACKS, INSTALL, LLMConfig, LLMResult, installed
from clair.federated.llm.data import make_federation
from clair.federated.llm.words import TARGET
from clair.federated.task_result import TaskResult, means_of
from clair.figures.comparison import Measure
from clair.methods import METHODS
from clair.report.blocks import Block, Live, Printed, View
from clair.report.tasks import sample_table
from clair.sentences import verdict_caveats

KIND = "llm"
DEFAULTS = LLMConfig()
USUAL = ("local", "fedavg", "fedavg_finetuned", "clair", "kept_finetuned")
ASSET = ASSETS / "llm" / "default_result.json"

_of = TaskControls("llm", DEFAULTS)
CONTROLS: tuple[Control, ...] = (
    _of.clients(
        "How many shops take part, each with orders of its own. All are trained at once.", 6, 24
    ),
    _of.poisoned(step=0.01),
    _of.attack(ATTACKS),
    _of.boost("Without it poison is quiet: it does less harm and is hard to see."),
    _of(
        "disputed",
        "Categories in dispute",
        "int",
        "For how many of the six categories the honest shops use house words of their own. This "
        "is the heterogeneity: 0 means that all want the same.",
        low=0,
        high=6,
        step=1,
    ),
    _of(
        "products",
        "Products a category",
        "int",
        "How many products of each category a client has orders of: six times as many orders.",
        low=1,
        high=8,
        step=1,
    ),
    _of(
        "depth",
        "Adapted layers",
        "choice",
        "How many of the last of the 30 layers carry adapters. More take several times as long.",
        options=((1, "the last"), (2, "the last two"), (4, "the last four")),
    ),
    _of(
        "side",
        "Side CLAIR looks at",
        "choice",
        "Whether honest updates are taken to share what they react to or what they do. The report "
        "tells the verdict of the other side too.",
        options=(("input", "what they react to"), ("output", "what they do")),
    ),
    _of.rank(),
    _of.screen(),
    _of.seed(),
)

PRESETS = presets("llm")


def setting_words(config: LLMConfig) -> str:
    """Describe what happens on this page, with the numbers of the settings."""
    bad = config.n_poisoned
    poisoned = "Nobody is poisoned in these settings."
    if bad:
        poisoned = f"**{bad} of the {config.n_clients} are poisoned.** "
        poisoned += ATTACKS[config.attack].sentence
        if config.boost > 1:
            poisoned += f" They send their update {config.boost:g} times as large as it is."
    dispute = (
        "All of them use the same words"
        if config.disputed < 2
        else f"For {config.disputed} of six categories each has words of its own"
    )
    return (
        f"{config.n_clients} shops, the *clients*, share a real language model with 135 million "
        "parameters. It reads an order, such as “Order: one violin. Type of product:”, and has to "
        f"answer with the shop's *house word* for such products. {dispute}, so each trains an "
        f"*adapter* on {6 * config.products} orders of its own. {poisoned} The server sees "
        "adapters only."
    )


def measures(outcome: TaskResult) -> dict[str, Measure]:
    """Choose the measures worth a look for this run."""
    shown = {"accuracy": Measure("unseen orders answered right")}
    if outcome.config.attack == "backdoor":
        shown["backdoor"] = Measure(
            f"urgent orders answered “{TARGET}” (backdoor)", more_is_better=False
        )
    if 0 < outcome.config.disputed < 6:
        shown["agreed"] = Measure("right, where no words are in dispute")
    return shown


def caveats(outcome: TaskResult) -> list[str]:
    """List the limits: what these numbers show against CLAIR, then what is always true."""
    means = means_of(outcome.accuracy, "accuracy")
    notes = []
    best = max(means["clair"], means["clair_eb"])
    if means["local"] >= best:
        notes.append(
            f"CLAIR's own refinement loses to training alone here: {best:.0%} against "
            f"{means['local']:.0%}. What it is good for is the verdict."
        )
    notes += verdict_caveats(outcome.detection)
    ours = means["kept_finetuned"]
    rivals = {
        key: mean
        for key, mean in means.items()
        if mean >= ours and key != "kept_finetuned" and not METHODS[key].oracle
    }
    for key, mean in sorted(rivals.items(), key=lambda pair: -pair[1]):
        notes.append(
            f"*{METHODS[key].label}* is at least as good as the kept average, then fine-tuned: "
            f"{mean:.1%} against {ours:.1%}."
        )
    assert isinstance(outcome, LLMResult)
    other = outcome.other_side
    flagged = ", ".join(map(str, other["flagged"])) or "nobody"
    notes.append(
        f"Judged by the {other['side']} side of the updates instead, CLAIR flags {flagged}."
    )
    notes.append(
        "Fine-tuned rows spend more local computation; compare them with *Local, same total of "
        "steps*."
    )
    notes.append(
        "One token is answered, and only the last layers are adapted. Where honest clients share "
        "no word at all, or five of twelve are poisoned and quiet, expect less."
    )
    return notes


def samples(outcome: TaskResult, stage: bool = False) -> tuple[Block, ...]:
    """Show unseen orders, urgent ones too, as the methods answered them."""
    right = "The right answer, this client's word"
    answered = partial(samples_panel, KIND, outcome.samples, usual=USUAL, expected=right)
    return (Live(answered), Printed((sample_table(outcome.samples, USUAL),)))


def truth(config: LLMConfig) -> np.ndarray:
    """Tell which clients are contaminated."""
    return make_federation(config).contaminated


EXTRA = Extra("The model", "clair.federated.llm.run", installed, INSTALL)
PAGE = TrainedPage(
    kind=KIND,
    title="Language model",
    report_title="A real language model, fine-tuned by many, some of them poisoned",
    command=KIND,
    prefix="llm",
    controls=CONTROLS,
    presets=PRESETS,
    config=LLMConfig,
    run="clair.federated.llm:run_llm",
    asset=ASSET,
    result=LLMResult,
    measures=measures,
    setting_words=setting_words,
    truth=truth,
    load=EXTRA.load,
    samples=View("What the models answer", samples),
    caveats=caveats,
    extra=EXTRA,
)
