"""What the audience of a class types: a code, a name."""

from __future__ import annotations

import unicodedata

#: Letters of a code: no vowels, which would make words, and none that look like another.
LETTERS = "BCDFGHJKMNPQRTVWXZ2346789"
CODE_LENGTH = 5


def clean_code(text: str) -> str:
    """Read a code as people type it; what is none stays none.

    Examples
    --------
    >>> clean_code(" kx4-pr "), clean_code("<script>")
    ('KX4PR', '')
    """
    code = "".join(text[:20].upper().replace("-", " ").split())
    return code if len(code) == CODE_LENGTH and set(code) <= set(LETTERS) else ""


def clean_name(text: str, most: int = 20) -> str:
    r"""Make a visitor's name harmless: one line, no control or formatting characters, short.

    Stacked accents are cut to two a letter. Marks of HTML and Markdown stay; whoever shows the name
    escapes them.

    Examples
    --------
    >>> clean_name("  Ada\n\u202eLovelace  ")
    'Ada Lovelace'
    """
    kept, stacked = [], 0
    for letter in unicodedata.normalize("NFKC", text[:200]):
        kind = unicodedata.category(letter)
        stacked = stacked + 1 if kind[0] == "M" else 0
        if letter.isspace():
            kept.append(" ")
        elif kind[0] != "C" and stacked <= 2:
            kept.append(letter)
    return " ".join("".join(kept).split())[:most].strip()
