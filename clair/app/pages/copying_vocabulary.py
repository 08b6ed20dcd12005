"""What the text-copying page says, computed from settings and results, and its glossary."""

from __future__ import annotations

from clair.federated.copytask import ATTACKS, CopyTaskConfig
from clair.federated.copytask.data import CAPITALISED, VOWELS
from clair.federated.outcome import Outcome
from clair.methods import METHODS
from clair.sentences import count, verdict_caveats

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
* **Suspect**: a client that stands out too little, or only by noise. It is refined like the kept,
  but has little or no weight in what the others learn.
* **Coefficient screen**: a second look at *how* a client uses the shared directions.
* **Exact copies**: share of unseen texts written without a single mistake. **Characters**: share of
  single characters that are right.
* **CLAIR if it pays** (ours): clients also train on two halves of their data and measure on one
  what was made from the other. What clearly lowers their error is used, else all stay alone.
* **Then fine-tuned**: each client trains on from there on its own data.
* **Oracle**: a yardstick that is told who is poisoned; nobody is in practice.
"""

#: From benchmarks/results/sharing.md.
FRESH = (
    "On 100 fresh runs with 6 and 24 texts a client it fell a point below training alone in 1, "
    "*CLAIR* in 4, *CLAIR + pooling* in 12. Who can spend a few more steps gains by fine-tuning: "
    "with 6 texts the kept average, then fine-tuned, got 95% against its 94%, with 24 texts CLAIR, "
    "then fine-tuned, 99.4% against 99.1%."
)


def setting_words(config: CopyTaskConfig) -> str:
    """Describe what happens on this page, with the numbers of the settings."""
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


def caveats(outcome: Outcome) -> list[str]:
    """List the limits: what these numbers show against CLAIR, then what is always true."""
    means = {key: float(value.exact_match.mean()) for key, value in outcome.accuracy.items()}
    best = max(means["clair"], means["clair_eb"])
    config, settings = outcome.config, CopyTaskConfig(**outcome.config)
    notes = verdict_caveats(outcome.detection)
    for key, mean in means.items():
        method = METHODS[key]
        if not method.oracle and method.family != "clair" and mean >= best:
            against = f"{mean:.0%} against {best:.0%} for CLAIR."
            notes.append(f"Here *{method.label}* is at least as good: {against}")
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
        "The rows that are fine-tuned spend "
        f"{1 + settings.further_steps / settings.steps:.3g} times the local computation of the "
        "others; with more steps they fit their few texts too closely and lose again."
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
