"""What the words mean: one list for the Overview and for the notes under dotted words."""

from __future__ import annotations

import html
import re
from functools import lru_cache
from typing import NamedTuple

from clair.figures.palette import PAPERS, ThemeName


class Term(NamedTuple):
    """A word of the field.

    Attributes
    ----------
    name : str
        As the glossary lists it.
    meaning : str
        One or two plain sentences.
    forms : str
        Regular expression of how texts write it.
    """

    name: str
    meaning: str
    forms: str


TERMS: tuple[Term, ...] = (
    Term(
        "Client",
        "One party that trains on its own data and shares no data: a hospital, a phone.",
        r"clients?",
    ),
    Term(
        "Update",
        "What a client sends: the change its training made to the common model, as a matrix.",
        r"updates?",
    ),
    Term(
        "Adapter, LoRA",
        "A cheap way to fine-tune a large model: leave it as it is and learn a small change "
        "B·A beside it, two thin matrices multiplied. The adapter is that change.",
        r"adapters?|LoRA",
    ),
    Term(
        "Rank",
        "The number of independent directions a matrix uses. Low rank means few directions.",
        r"(?:low |low-)?rank",
    ),
    Term(
        "Shared subspace",
        "The few directions in which all honest updates move the model. Where a client goes "
        "within them is its own affair.",
        r"(?:shared |recovered |true )?subspaces?|shared directions",
    ),
    Term(
        "Principal angle",
        "How far two subspaces are turned against each other, direction by direction: 0° is the "
        "same direction, 90° a wholly different one.",
        r"(?:principal )?angles?",
    ),
    Term(
        "Contamination norm",
        "The size of a client's tile in S: how much of its update does not fit what is shared.",
        r"contamination norms?",
    ),
    Term(
        "Residual score, suspicion score",
        "How much of a client's update lies outside the directions that the other clients share, "
        "measured against a typical update.",
        r"(?:residual|suspicion) scores?",
    ),
    Term(
        "Poisoned client",
        "One whose update was made harmful, on purpose or by broken data.",
        r"poisoned",
    ),
    Term(
        "Flagged, suspect, kept",
        "The degrees of the verdict. A flagged client keeps its own update and is left out. A "
        "suspect stands out too little to convict: it is refined, but the others learn little or "
        "nothing from it.",
        r"suspects?",
    ),
    Term(
        "False alarm",
        "An honest client that was flagged as poisoned.",
        r"false alarms?",
    ),
    Term(
        "Heterogeneity",
        "How much honest clients differ from each other because their data differ.",
        r"heterogeneity",
    ),
    Term(
        "Federated averaging, FedAvg",
        "The standard way to combine updates: take their plain average and give it to everybody.",
        r"FedAvg|plain averag(?:e|ing)|averaging everybody",
    ),
    Term(
        "Pooling",
        "An extension of ours: clients are also drawn towards each other inside the shared "
        "subspace, as far as their differences look like noise.",
        r"pooling",
    ),
    Term(
        "Coefficient screen",
        "A second check, ours: flags clients whose update points against the majority inside the "
        "shared subspace.",
        r"coefficient screen",
    ),
    Term(
        "Shape, kurtosis",
        "How heavy-tailed the entries of an update are: a few large ones among many small. Quiet "
        "backdoors in language models show there and nowhere else. Ours.",
        r"kurtosis|heavy-tailed",
    ),
    Term(
        "Singular values",
        "The strengths of the independent directions of a matrix, largest first.",
        r"singular values?|scree",
    ),
    Term(
        "Certificate",
        "Numbers that prove, for this very problem, that the solver's split is the only best one.",
        r"certificate|dual variable",
    ),
    Term(
        "Lambda, λ",
        "The price of explaining a client by itself, in S, instead of by what is shared, in L.",
        r"λ(?!\w)",
    ),
    Term(
        "Oracle",
        "A method that is told the truth nobody has in practice; drawn to show what is possible.",
        r"oracles?",
    ),
)

# One scan over the text, so that no term is marked inside another. Code, mathematics and addresses
# of links are skipped.
_SKIPPED = r"`[^`]*`|\$[^$]*\$|\]\([^)]*\)|&\w+;"
_SCAN = re.compile(
    f"({_SKIPPED})|"
    + "|".join(rf"(?P<t{i}>(?<!\w)(?:{term.forms})(?!\w))" for i, term in enumerate(TERMS)),
    re.IGNORECASE,
)

_CSS = """
p:has(> .term) { position: relative; }
.term {
  text-decoration: underline dotted; text-decoration-thickness: 1px; text-underline-offset: 0.2em;
  cursor: help;
}
.term:hover::after, .term:focus::after {
  content: attr(data-means); position: absolute; z-index: 20; left: 0; top: calc(100% + 2px);
  width: max-content; max-width: min(34rem, 100%); padding: 0.5rem 0.75rem;
  font: 400 0.875rem/1.45 Inter, sans-serif; color: INK; background: SURFACE;
  border: 1px solid LINE; border-radius: 5px; box-shadow: 0 2px 8px rgb(0 0 0 / 0.15);
  white-space: normal; text-align: left;
}
/* a caption is translucent, and so would be the note over what lies below it */
[data-testid=stCaptionContainer]:has(.term:is(:hover, :focus)) { opacity: 1; z-index: 20; }
@media print { .term { text-decoration: none; } }
"""


def notes_css(theme: ThemeName) -> str:
    """Write the CSS of terms and of the notes under them."""
    paper = PAPERS[theme]
    colors = {"INK": paper.ink, "SURFACE": paper.surface, "LINE": paper.muted}
    return re.sub("|".join(colors), lambda match: colors[match[0]], _CSS)


@lru_cache(maxsize=512)
def marked(text: str) -> str:
    """Write text as HTML (or markdown with HTML) with a note on the first use of every term.

    Parameters
    ----------
    text : str
        Plain text or markdown. No HTML of its own survives, so that names from uploads stay text.
    """
    seen: set[str] = set()

    def mark(match: re.Match[str]) -> str:
        found = match.lastgroup
        if found is None or found in seen:
            return match[0]
        seen.add(found)
        term = TERMS[int(found[1:])]
        means = html.escape(f"{term.name}: {term.meaning}")
        return f'<span class="term" tabindex="0" data-means="{means}">{match[0]}</span>'

    return _SCAN.sub(mark, html.escape(text, quote=False))
