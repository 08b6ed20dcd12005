"""What the text-copying page says, computed from settings and results, and its glossary."""

from __future__ import annotations

from clair.federated.copytask import ATTACKS, CopyTaskConfig
from clair.federated.copytask.data import CAPITALISED, VOWELS
from clair.federated.task_result import TaskResult
from clair.methods import METHODS
from clair.sentences import count, verdict_caveats


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


def caveats(outcome: TaskResult) -> list[str]:
    """List the limits: what these numbers show against CLAIR, then what is always true."""
    means = {key: float(value.exact_match.mean()) for key, value in outcome.accuracy.items()}
    best = max(means["clair"], means["clair_eb"])
    config = outcome.config
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
        f"{1 + config.further_steps / config.steps:.3g} times the local computation of the "
        "others; with more steps they fit their few texts too closely and lose again."
    )
    if config.attack != "sign_flip" or not config.screen_coefficients:
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
