"""Record the run that the Federation page opens with: ``python -m clair.flower.precompute``.

The file holds its settings. Needs the extra "flower".
"""

from __future__ import annotations

import json

from clair._files import ASSETS
from clair.flower import FlowerConfig, run_flower

RESULT = ASSETS / "federation" / "default_result.json"


def main() -> None:
    """Run the default settings and write what the page draws."""
    run_flower(FlowerConfig(steps=2))  # so that the seconds recorded hold no loading
    payload = run_flower(FlowerConfig()).shown_json()
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(payload, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{payload['shown']['sentence']}\nwrote {RESULT} ({RESULT.stat().st_size / 1024:.0f} KB)")


if __name__ == "__main__":
    main()
