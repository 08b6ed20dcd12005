"""What a page shows, described once: the app draws these blocks, a report prints them.

A view is a function from a result to blocks. A `Plot` says how a chart is made; whoever shows it
chooses the theme, so nothing is drawn before it is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from clair.figures.base import Chart
from clair.figures.compare import linked, unlinked
from clair.figures.palette import ThemeName
from clair.report.tables import Table

#: "terms" also explains the words of the field; the last three are set apart from the text.
Look = Literal["text", "terms", "caption", "heading", "latex", "note", "good", "warning"]


@dataclass(frozen=True)
class Words:
    """Some Markdown, shown in one of several ways."""

    text: str
    look: Look = "text"


@dataclass(frozen=True)
class Listing:
    """Lines with a name each, in which no sign means anything: they may come from outside.

    Attributes
    ----------
    lines : tuple of (name, text)
        A name may be empty.
    title : str
        With one, they are set apart from the rest.
    """

    lines: tuple[tuple[str, str], ...]
    title: str = ""


@dataclass(frozen=True)
class Fact:
    """A number that stands out, and what it is."""

    value: str
    label: str
    note: str = ""
    help: str = ""


@dataclass(frozen=True)
class Facts:
    """Numbers beside each other."""

    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Plot:
    """A chart that is yet to be drawn: ``make(*args, theme, **settings)``.

    Attributes
    ----------
    key : str
        Unique on its page; the same key changes the same drawing.
    make : callable
        Function of a module, which may be kept with its arguments as the key.
    args, settings
        Its arguments beside the theme.
    pick : int or None
        Which chart, where `make` draws several at once.
    """

    key: str
    make: Callable[..., Any]
    args: tuple[Any, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    pick: int | None = None

    def chart(self, theme: ThemeName) -> Chart:
        """Draw the chart on the paper of a theme."""
        made = self.make(*self.args, theme, **self.settings)
        chart: Chart = made if self.pick is None else made[self.pick]
        return chart


@dataclass(frozen=True)
class Player:
    """An animation ``make(*args, theme)``, which paper cannot show."""

    key: str
    make: Callable[..., Any]
    args: tuple[Any, ...]


@dataclass(frozen=True)
class Pair:
    """The same plot of two results, A and B, beside each other; on the same axes if `shared`."""

    key: str
    first: Plot
    second: Plot
    shared: bool = True

    def charts(self, theme: ThemeName) -> tuple[Chart, Chart]:
        """Draw both on the paper of a theme."""
        join = linked if self.shared else unlinked
        return join(self.first.chart(theme), self.second.chart(theme))


@dataclass(frozen=True)
class Columns:
    """Blocks beside each other, printed one below the other; no widths are equal widths."""

    columns: tuple[tuple[Block, ...], ...]
    widths: tuple[int, ...] = ()
    align: Literal["top", "bottom"] = "top"


@dataclass(frozen=True)
class Choice:
    """One of several groups of blocks, which the visitor chooses; printed are all of them.

    Attributes
    ----------
    key, label : str
        Of the switch.
    options : mapping of str to tuple of blocks
    names : mapping of str to str
        What the switch calls them.
    first : str
        The option that is shown first; by default the first.
    menu : bool
        Whether the switch is a menu, for many options or names from outside.
    """

    key: str
    label: str
    options: Mapping[str, tuple[Block, ...]]
    names: Mapping[str, str]
    first: str = ""
    menu: bool = False


@dataclass(frozen=True)
class Frame:
    """Words set apart from the rest, larger on stage, where one frame is shown at a time."""

    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Parts:
    """Groups of blocks by title, one at a time on stage, where the arrow keys turn them."""

    key: str
    parts: Mapping[str, tuple[Block, ...]]


@dataclass(frozen=True)
class Markup:
    """HTML of our own, ``make(*args, theme)``; every text from outside is escaped in it."""

    make: Callable[..., str]
    args: tuple[Any, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Live:
    """What the page draws by itself, such as controls of its own; paper has no place for it."""

    draw: Callable[[ThemeName], None]


@dataclass(frozen=True)
class OnScreen:
    """Blocks for the page only."""

    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Printed:
    """Blocks for paper only."""

    blocks: tuple[Block, ...]


Block = (
    Words
    | Listing
    | Facts
    | Plot
    | Player
    | Pair
    | Chart
    | Table
    | Columns
    | Choice
    | Parts
    | Frame
    | Markup
    | Live
    | OnScreen
    | Printed
)


@dataclass(frozen=True)
class View:
    """One way to look at a result.

    Attributes
    ----------
    title : str
        Its heading in a report, and on stage where a page is shown in parts.
    blocks : callable
        Maps a result to blocks. With ``stage=True`` they fit a projector without scrolling.
    """

    title: str
    blocks: Callable[..., Sequence[Block]]


def plot(key: str, make: Callable[..., Any], *args: Any, **settings: Any) -> Plot:
    """Describe the chart ``make(*args, theme, **settings)``."""
    return Plot(key, make, args, settings)


def chosen_plot(key: str, make: Callable[..., Any], pick: int, *args: Any) -> Plot:
    """Describe chart number `pick` of those that ``make(*args, theme)`` draws at once."""
    return Plot(key, make, args, pick=pick)


def columns(*parts: Sequence[Block], widths: tuple[int, ...] = ()) -> Columns:
    """Put groups of blocks beside each other."""
    return Columns(tuple(map(tuple, parts)), widths)


def plots_of(blocks: Sequence[Block]) -> Iterator[Plot]:
    """Find all plots in some blocks, also those inside others."""
    return (block for block in leaves(blocks) if isinstance(block, Plot))


def tables_of(blocks: Sequence[Block]) -> Iterator[Table]:
    """Find all tables in some blocks, also those inside others."""
    return (block for block in leaves(blocks) if isinstance(block, Table))


def leaves(blocks: Sequence[Block]) -> Iterator[Block]:
    """Walk through blocks that hold no others, in order."""
    for block in blocks:
        match block:
            case Columns():
                groups: Iterable[Sequence[Block]] = block.columns
            case Choice():
                groups = block.options.values()
            case Parts():
                groups = block.parts.values()
            case Frame() | OnScreen() | Printed():
                groups = (block.blocks,)
            case _:
                yield block
                continue
        for group in groups:
            yield from leaves(group)
