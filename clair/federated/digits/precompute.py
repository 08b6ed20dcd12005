"""Make the result the digits page opens with: ``python -m clair.federated.digits.precompute``."""

from __future__ import annotations

import json
from dataclasses import replace

from clair._files import ASSETS
from clair.federated.digits import OPENING, run_digits

RESULT = ASSETS / "digits" / "default_result.json"


def main() -> None:
    """Run the opening configuration on the CPU and write what the page draws."""
    run_digits(replace(OPENING, steps=2))  # so that the seconds recorded hold no loading
    payload = run_digits(OPENING).shown_json()
    RESULT.write_text(json.dumps(payload, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{payload['shown']['sentence']}\nwrote {RESULT} ({RESULT.stat().st_size / 1024:.0f} KB)")


if __name__ == "__main__":
    main()
