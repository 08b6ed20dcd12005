"""Reports of the Theory page: what a study of one of its sections says."""

from __future__ import annotations

import re
from collections.abc import Sequence

from clair.figures.base import Chart
from clair.report.document import Report, Screen, Section
from clair.report.provenance import made_with
from clair.report.study import Study
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


def study_report(
    study: Study, sentence: str, intro: str, charts: Sequence[Chart], screen: Screen
) -> Report:
    """Report a section's charts and numbers, what it claims and how that was checked."""
    sections = _CLAIMED.get(study.section, (study.section,))
    claims = tuple(_claim(one) for section in sections for one in of_section(section))
    return Report(
        page="Theory",
        title=study.title,
        sentence=sentence,
        recipe=study.recipe,
        screen=screen,
        sections=(
            Section("What was measured", charts=tuple(charts)),
            Section("The numbers", tables=(study.table,)),
        ),
        method=(" ".join(intro.split()), *claims),
        limits=(
            "Only the abstract of the CLAIR paper is public. What is not marked as the paper's is "
            "older literature or our own reading, checked by simulation.",
            "All problems are drawn from the matrix model. They show what follows from it, not how "
            "often it holds.",
        ),
        made_with=made_with(),
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
