"""Worker process of a sweep: a description on the first line, then a cell a line, until the end.

Answers each cell with a line of JSON. Started by `clair.simulation.sweeps.run`, not by people.
"""

from __future__ import annotations

import json
import sys

from clair.simulation.sweeps.grid import SweepConfig, run_cell
from clair.simulation.sweeps.store import line_of


def main() -> None:
    """Compute the cells named on standard input."""
    config = SweepConfig.from_json(json.loads(sys.stdin.readline()))
    for line in sys.stdin:
        cell = int(line)
        print(line_of(cell, run_cell(config, cell)), flush=True)


if __name__ == "__main__":
    main()
