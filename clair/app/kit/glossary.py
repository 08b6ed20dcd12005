"""What the words mean: one list for the Overview and for the notes under dotted words."""

from __future__ import annotations

import html
import re
from functools import lru_cache
from typing import NamedTuple

from clair.app.kit.content import content


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


TERMS = tuple(Term(**one) for one in content("glossary")["terms"])

# One scan over the text, so that no term is marked inside another. Code, mathematics and addresses
# of links are skipped.
_SKIPPED = r"`[^`]*`|\$[^$]*\$|\]\([^)]*\)|&\w+;"
_SCAN = re.compile(
    f"({_SKIPPED})|"
    + "|".join(rf"(?P<t{i}>(?<!\w)(?:{term.forms})(?!\w))" for i, term in enumerate(TERMS)),
    re.IGNORECASE,
)


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
