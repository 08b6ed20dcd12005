"""Make the result the text-copying page opens with.

``python -m clair.federated.copytask.precompute`` writes it.

The file records its configuration; a test checks that it is what the page opens with.
"""

from __future__ import annotations

import json
from dataclasses import replace

from clair._files import ASSETS
from clair.federated.copytask import OPENING, run_copytask
from clair.federated.copytask.model import build_model

RESULT = ASSETS / "copytask" / "default_result.json"


def main() -> None:
    """Run the opening configuration on the CPU and write what the page draws."""
    build_model()  # loads the libraries, which is no part of a run on a warm server
    payload = run_copytask(replace(OPENING, device="cpu")).shown_json()
    payload["config"]["device"] = OPENING.device  # the page offers what is there
    RESULT.write_text(json.dumps(payload, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{payload['shown']['sentence']}\nwrote {RESULT} ({RESULT.stat().st_size / 1024:.0f} KB)")


if __name__ == "__main__":
    main()
