"""Compute what the Red team page shows beforehand: what defeats which defence.

    python assets/redteam/make.py

Writes ``record.json`` beside itself: the settings, the harm of every attack of the gallery to every
defence, and for every defence what a search found. Takes some minutes on one core.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from clair.redteam.record import RECORD_CONFIG, recorded  # noqa: E402


def main() -> None:
    """Write the record."""
    record = recorded(RECORD_CONFIG, print)
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    (HERE / "record.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
