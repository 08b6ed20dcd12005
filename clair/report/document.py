"""A report before it becomes a file: what it says, its charts, its tables, how to repeat it."""

from __future__ import annotations

from dataclasses import dataclass, field

from clair.figures.base import Chart
from clair.report.blocks import Block, Fact, View
from clair.report.recipe import Recipe
from clair.report.tables import Table

__all__ = ["Fact", "Report", "Screen", "Section", "Setting", "Verbatim"]


class Verbatim(str):
    """Text with names from outside: a star in it is a star and does not mean emphasis."""

    __slots__ = ()


@dataclass(frozen=True)
class Setting:
    """One setting in words.

    Attributes
    ----------
    label, value : str
    group : str
        Heading under which it stands.
    changed : bool
        Whether it differs from the value the page opens with.
    """

    label: str
    value: str
    group: str = ""
    changed: bool = False


@dataclass(frozen=True)
class Section:
    """A heading, and what stands under it in this order: words, charts, tables, blocks."""

    title: str
    words: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()
    blocks: tuple[Block, ...] = ()

    @classmethod
    def of(cls, view: View, *results: object) -> Section:
        """Take a view of results as a section."""
        return cls(view.title, blocks=tuple(view.blocks(*results)))


@dataclass(frozen=True)
class Screen:
    """What only the page knows of a result: its settings in words, and its address.

    Attributes
    ----------
    settings : tuple of Setting
    link : str
        Opens the same screen. It has the host if that is known, else it begins at the app's root.
    """

    settings: tuple[Setting, ...] = ()
    link: str = ""


@dataclass(frozen=True)
class Report:
    """Everything a report shows.

    Attributes
    ----------
    page, title : str
        Where it comes from, and its heading.
    sentence : str
        What happened, in one plain sentence computed from the numbers.
    screen : Screen
    facts : tuple of Fact
    sections : tuple of Section
        Charts and tables.
    method : tuple of str
        How it was computed, a paragraph each.
    limits : tuple of str
        Where the result does not hold, a paragraph each.
    recipe : Recipe
    made_with : tuple of (name, version)
        Application, interpreter, libraries, device.
    sheet : bool
        Whether it is set to fit on one sheet of paper.
    """

    page: str
    title: str
    sentence: str
    recipe: Recipe
    screen: Screen = field(default_factory=Screen)
    facts: tuple[Fact, ...] = ()
    sections: tuple[Section, ...] = ()
    method: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    made_with: tuple[tuple[str, str], ...] = ()
    sheet: bool = False
