"""What a section of the Theory page says of its study, and its report."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clair.report.blocks import Block
from clair.report.document import Report, Screen, Section
from clair.report.export import Export
from clair.report.provenance import made_with
from clair.report.studies import Study, study_json
from clair.theory.statements import Statement, of_section

#: Sections whose claims are compared with a section's diagram, if it has no claims of its own.
_CLAIMED = {"phase": ("sets", "stable")}
_SOURCES = {"paper": "the paper", "literature": "older literature", "ours": "ours"}
_MATH = (
    (r"^\top", "ᵀ"),
    (r"\lambda", "λ"),
    (r"\mu", "μ"),
    (r"\gamma", "γ"),
    (r"\rho", "ρ"),
    (r"\theta", "θ"),
    (r"\ell", "ℓ"),
    (r"\ge", "≥"),
    (r"\|", "‖"),
    ("_k", "ₖ"),
    ("_i", "ᵢ"),
    ("_r", "ᵣ"),
    ("^2", "²"),
)


@dataclass(frozen=True)
class Told:
    """What a section shows of its study.

    Attributes
    ----------
    study : Study
    sentence, about : str
        What happened in one plain sentence, and what the section is about.
    whole : tuple of blocks
        All that it shows.
    parts : mapping of str to tuple of blocks
        The same by title, for the stage.
    """

    study: Study
    sentence: str
    about: str
    whole: tuple[Block, ...]
    parts: Mapping[str, tuple[Block, ...]]


def study_report(told: Told, screen: Screen) -> Report:
    """Report what a section shows, its numbers, what it claims and how that was checked."""
    study = told.study
    sections = _CLAIMED.get(study.section, (study.section,))
    claims = tuple(_claim(one) for section in sections for one in of_section(section))
    return Report(
        page="Theory",
        title=study.title,
        sentence=told.sentence,
        recipe=study.recipe,
        screen=screen,
        sections=(
            Section("What was measured", blocks=told.whole),
            Section("The numbers", blocks=(study.table,)),
        ),
        method=(" ".join(told.about.split()), *claims),
        limits=(
            "Only the abstract of the CLAIR paper is public. What is not marked as the paper's is "
            "older literature or our own reading, checked by simulation.",
            "All problems are drawn from the matrix model. They show what follows from it, not how "
            "often it holds.",
        ),
        made_with=made_with(),
    )


def study_export(told: Told, screen: Screen, settings: Mapping[str, Any]) -> Export:
    """Build the downloads of a section; `settings` are those that it uses, by name."""
    study = told.study
    return Export(
        name=f"clair-theory-{study.section}",
        recipe=study.recipe,
        report=lambda: study_report(told, screen),
        tables={"Table": lambda: study.table},
        numbers=lambda: study_json(study, told.sentence, settings),
    )


def _claim(one: Statement) -> str:
    formula = f" In LaTeX: `{one.formula}`." if one.formula else ""
    return (
        f"{_text(one.words)}{formula} Source: {one.reference} ({_SOURCES[one.source]}). Checked: "
        f"{one.agreement}."
    )


def _text(words: str) -> str:
    """Write a claim without LaTeX; each of its few signs has a letter of its own."""

    def plain(found: re.Match[str]) -> str:
        text = found[1]
        for tex, sign in _MATH:
            text = text.replace(tex, sign)
        return text

    return re.sub(r"\$([^$]+)\$", plain, words)
