"""What the settings that a page opens with cost on fresh draws (``benchmarks/opening.py``)."""

from __future__ import annotations

import json
from dataclasses import fields
from functools import cache
from typing import Any

from clair._files import ASSETS
from clair.board.story import SETTING
from clair.federated.copytask import OPENING as COPYING
from clair.federated.digits import OPENING as DIGITS
from clair.sentences import amount

_TASKS = {"copying": COPYING, "digits": DIGITS, "board": SETTING}
_TASK_WORDS = {
    "copying": ("copy", "of unseen texts without a mistake"),
    "digits": ("read", "of unseen digits as they name them"),
}


def settings_of(page: str) -> dict[str, Any]:
    """List the settings of a page's opening that are not the package's own first values."""
    if page == "lab":
        from clair.app.pages.lab import OPENING

        return dict(OPENING)
    config = _TASKS[page]
    usual = type(config)()
    names = [field.name for field in fields(config)]
    return {n: getattr(config, n) for n in names if getattr(config, n) != getattr(usual, n)}


@cache
def figures() -> dict[str, Any]:
    """Read what was measured, by page."""
    found: dict[str, Any] = json.loads((ASSETS / "opening.json").read_text(encoding="utf-8"))
    return found


def opening_words(page: str) -> str:
    """Say what a page's first settings are for and what they gave on fresh draws; "" if unknown."""
    if page not in figures():
        return ""
    kept = figures()[page]
    first, last = kept["seeds"]
    draws, mean = last - first + 1, kept["mean"]
    told = {key: amount(v) if page == "lab" else f"{v:.0f}%" for key, v in mean.items()}
    why = (
        "The first settings were chosen such that poison harms both whoever averages everybody and "
        f"whoever looks for shared directions without a verdict. On {draws} fresh draws of them "
    )
    verdict = f"Exactly the poisoned were flagged in {kept['exact']} of the {draws}."
    if page == "lab":
        return (
            f"{why}honest clients' error was {told['local']} alone, {told['fedavg']} with FedAvg "
            f"({told['fedavg_benign']} if it averages the honest only), {told['pca']} with PCA, "
            f"nobody flagged, and {told['clair']} with CLAIR. {verdict}"
        )
    verb, what = _TASK_WORDS[page]
    return (
        f"{why}honest clients {verb} {told['local']} {what} alone, {told['fedavg']} with FedAvg "
        f"({told['fedavg_benign']} if it averages the honest only: so much for poison, the rest is "
        f"due to clients that differ), {told['pca']} with PCA, nobody flagged, and "
        f"{told['clair']} with CLAIR. {verdict}"
    )
