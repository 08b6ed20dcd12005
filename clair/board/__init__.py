"""The board story: five hospitals, one of them poisoned, told with the numbers of a live run."""

from clair.board.record import Record, load_record
from clair.board.slides import OF_A_DRAW, SLIDES, slides_of, summary
from clair.board.story import HOSPITALS, Story, tell
from clair.board.words import Slide

__all__ = [
    "HOSPITALS",
    "OF_A_DRAW",
    "SLIDES",
    "Record",
    "Slide",
    "Story",
    "load_record",
    "slides_of",
    "summary",
    "tell",
]
