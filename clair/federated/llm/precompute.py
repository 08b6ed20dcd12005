"""Make the result that the language model's page opens with.

``python -m clair.federated.llm.precompute`` writes it, with the extra "llm" installed. The file
records its configuration; a test checks that it is the default one.
"""

from __future__ import annotations

import json

from clair._files import ASSETS
from clair.federated.llm import LLMConfig, run_llm

RESULT = ASSETS / "llm" / "default_result.json"


def main() -> None:
    """Run the default configuration on the CPU and write what the page draws."""
    payload = run_llm(LLMConfig(device="cpu")).shown_json()
    payload["config"]["device"] = LLMConfig().device  # the page offers what is there
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(payload, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{payload['shown']['sentence']}\nwrote {RESULT} ({RESULT.stat().st_size / 1024:.0f} KB)")


if __name__ == "__main__":
    main()
