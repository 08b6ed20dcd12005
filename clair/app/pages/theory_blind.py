"""Section of the Theory page on what CLAIR cannot see, what helps and what that costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from clair.app.kit.content import content
from clair.app.kit.shared import shared
from clair.app.pages.theory import BLIND, spec_of
from clair.figures.base import Chart
from clair.figures.palette import ThemeName
from clair.figures.remedies import remedy_chart, remedy_words
from clair.method.evidence import GAP
from clair.report.blocks import Block, Words, plot
from clair.report.studies import REMEDY_NAMES, blind_study
from clair.report.theory import Told
from clair.simulation.matrix_model import ProblemSpec
from clair.theory.curves import MAX_CLIENTS, REMEDIES, Remedy, remedy
from clair.theory.sets import score_model


def case_spec(values: Mapping[str, Any], case: str) -> ProblemSpec:
    """Build the problem that shows a blind spot, from the visitor's clients, rank and noise."""
    spec = replace(spec_of(values), attack_scale=1.0, off_subspace=0.0)
    if case == "noise":
        entry = np.sqrt(spec.rank * (1 + spec.heterogeneity**2) / (spec.d_out * spec.d_in))
        return replace(spec, attack="low_rank", noise=float(2 * entry))
    return replace(spec, attack=case)


@shared(most=128)
def _remedy(spec: ProblemSpec, key: str) -> Remedy:
    return remedy(spec, key, trials=4)


def _remedies(spec: ProblemSpec) -> dict[str, Remedy]:
    return {key: _remedy(spec, key) for key in REMEDIES}


def _remedy_chart(spec: ProblemSpec, theme: ThemeName) -> Chart:
    return remedy_chart(_remedies(spec), REMEDY_NAMES, theme)


def blind(values: Mapping[str, Any]) -> Told:
    """Show one blind spot."""
    case, texts = values[BLIND.key], content("theory")
    spec = case_spec(values, case)
    remedies = _remedies(spec)
    words, story = remedy_words(remedies, REMEDY_NAMES), texts["blind"][case]
    nobody = "Nobody is poisoned at this fraction, so there is nothing to miss."
    missing = () if spec.n_contaminated else (Words(nobody, "note"),)
    picture: tuple[Block, ...] = (
        Words(story),
        *missing,
        plot("theory_remedies", _remedy_chart, spec),
    )
    tried = (Words(_tried(spec)), Words(texts["blind"]["beyond"]))
    return Told(
        blind_study(spec, remedies, REMEDY_NAMES),
        f"{words[0].upper()}{words[1:]}.",
        texts["about"]["blind"],
        (*picture, *tried),
        {"The picture": picture, "What was tried": tried},
    )


def _tried(spec: ProblemSpec) -> str:
    model, n = score_model(spec), spec.n_clients
    ratio = "infinite" if np.isinf(model.separation) else f"{model.separation:.2f}"
    return (
        f"* **Drawn:** {spec.n_contaminated} of {n} clients poisoned, noise {spec.noise:.3g}, "
        f"rank {spec.rank}. Predicted typical poisoned over typical honest score: **{ratio}** "
        f"(the detector needs {GAP[1]:g}).\n"
        f"* **More clients:** {min(2 * n, MAX_CLIENTS)} instead of {n}, the same fraction.\n"
        f"* **One direction less:** the detector looks for rank {max(1, spec.rank - 1)}.\n"
        "* **Contamination norms:** the paper's score, from the convex program."
    )
