"""Compute the phase diagram that the Theory page opens with, and the speed of sweeps.

    python assets/theory/make.py

Writes ``phase_default.jsonl`` (its description on the first line, then a cell a line) and
``rates.json`` (fits a second by method: by the clock, and per second of work of one core, which
does not depend on what else the machine was doing) beside itself.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
LOAD = os.getloadavg()
sys.path.insert(0, str(HERE.parents[1]))

from clair.simulation.matrix_model import ProblemSpec  # noqa: E402
from clair.simulation.sweeps.grid import METHODS, Axis, SweepConfig, SweepResult  # noqa: E402
from clair.simulation.sweeps.run import run_sweep  # noqa: E402
from clair.simulation.sweeps.store import write_result  # noqa: E402

CONFIG = SweepConfig(
    base=ProblemSpec(),
    along=(
        Axis("noise", tuple(round(0.01 * i, 2) for i in range(20))),
        Axis(
            "attack_scale",
            (*(round(0.1 * i, 1) for i in range(1, 21)), 3.0, 4.0, 6.0, 8.0, 10.0),
        ),
    ),
    trials=10,
)


def measured(config: SweepConfig) -> tuple[SweepResult, dict[str, float]]:
    """Run a sweep from nothing, and measure its speed.

    Returns the result and two rates: fits per second by the clock, and per second of one core's
    work.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        result = run_sweep(config, folder=Path(folder))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    work = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    fits = config.n_cells * config.trials
    return result, {
        "fits_per_second": round(fits / result.seconds, 1),
        "fits_per_core_second": round(fits / work, 1),
    }


def main() -> None:
    """Compute both files."""
    result, residual = measured(CONFIG)
    write_result(result, HERE / "phase_default.jsonl")
    sample = SweepConfig(
        base=CONFIG.base,
        along=tuple(Axis(axis.name, axis.values[::4]) for axis in CONFIG.along),
        trials=10,
        options=METHODS["norms"],
    )
    record = {
        "residual": residual,
        "norms": measured(sample)[1],
        "clients": CONFIG.base.n_clients,
        "shape": [CONFIG.base.d_out, CONFIG.base.d_in],
        "load_at_start": [round(load, 1) for load in LOAD],
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    (HERE / "rates.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record))


if __name__ == "__main__":
    main()
