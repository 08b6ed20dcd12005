"""How often the story holds: it lists the draws where it does not.

There are fifty draws, and no setting was chosen on them. ``python benchmarks/board_story.py`` makes
the record in a quarter of a minute; a test repeats a part.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from functools import cache

from clair import __version__
from clair._files import ASSETS
from clair.board.story import ROBUST, setting
from clair.federated.regression import RegressionResult, run_regression
from clair.sentences import TIE

SEEDS = range(5000, 5050)
ASSET = ASSETS / "board" / "record.json"


@dataclass(frozen=True)
class Record:
    """Seeds of the draws in which something the story says did not happen.

    Attributes
    ----------
    version : str
        Of clair, that made it.
    seeds : tuple of int
        All draws.
    missed : tuple of int
        The poisoned hospital was not flagged.
    accused : tuple of int
        An honest hospital was flagged.
    behind_alone : tuple of int
        The honest hospitals' error was not below that of training alone.
    behind_average : tuple of int
        It was not below that of the plain average and every robust one.
    accused_clean : tuple of int
        Nobody was poisoned and yet somebody was flagged.
    reversed_missed, screened_missed : tuple of int
        A hospital that sends the opposite was not flagged, without and with the extra check.
    reversed_accused, screened_accused : tuple of int
        An honest hospital was flagged there, without and with the extra check.
    two_missed : tuple of int
        Two of the five were poisoned and not exactly these two were flagged.
    level_pca, level_pca_clean : tuple of int
        The shared directions alone, with nobody flagged, did as well as CLAIR, with one poisoned
        and with none.
    """

    version: str
    seeds: tuple[int, ...]
    missed: tuple[int, ...]
    accused: tuple[int, ...]
    behind_alone: tuple[int, ...]
    behind_average: tuple[int, ...]
    accused_clean: tuple[int, ...]
    reversed_missed: tuple[int, ...]
    reversed_accused: tuple[int, ...]
    screened_missed: tuple[int, ...]
    screened_accused: tuple[int, ...]
    two_missed: tuple[int, ...]
    level_pca: tuple[int, ...]
    level_pca_clean: tuple[int, ...]

    @property
    def n_draws(self) -> int:
        """Number of draws."""
        return len(self.seeds)

    @property
    def held(self) -> int:
        """Draws with exactly the poisoned one flagged and less error than any other way."""
        return self._without(self.missed, self.accused, self.behind_alone, self.behind_average)

    @property
    def reversed_exact(self) -> int:
        """Draws with exactly the one flagged that sends the opposite."""
        return self._without(self.reversed_missed, self.reversed_accused)

    @property
    def screened_exact(self) -> int:
        """The same with the extra check."""
        return self._without(self.screened_missed, self.screened_accused)

    def _without(self, *failed: tuple[int, ...]) -> int:
        return self.n_draws - len(set().union(*failed))


#: Names of what may go wrong in a draw.
FAILURES = tuple(f.name for f in fields(Record) if f.name not in ("version", "seeds"))


def failures(seed: int) -> set[str]:
    """Run a draw and name the fields of a `Record` that it belongs to."""
    main = run_regression(setting(seed), methods=("local", "fedavg", *ROBUST, "pca", "clair"))
    clair = main.mean("clair", "excess")
    averages = [main.mean(key, "excess") for key in ("fedavg", *ROBUST)]
    clean = run_regression(setting(seed, poisoned_fraction=0.0), methods=("local", "pca", "clair"))
    opposite = _verdict(seed, attack="sign_flip").detection
    screened = _verdict(seed, attack="sign_flip", screen_coefficients=True).detection
    found = {
        "missed": main.detection.missed > 0,
        "accused": main.detection.false_alarms > 0,
        "behind_alone": clair >= main.mean("local", "excess"),
        "behind_average": clair >= min(averages),
        "accused_clean": clean.detection.false_alarms > 0,
        "reversed_missed": opposite.missed > 0,
        "reversed_accused": opposite.false_alarms > 0,
        "screened_missed": screened.missed > 0,
        "screened_accused": screened.false_alarms > 0,
        "level_pca": _level(main),
        "level_pca_clean": _level(clean),
        "two_missed": not _verdict(seed, poisoned_fraction=0.4).detection.exact,
    }
    return {name for name, happened in found.items() if happened}


def _level(run: RegressionResult) -> bool:
    """Tell whether PCA, with nobody flagged, did as well as CLAIR."""
    return run.mean("pca", "excess") <= run.mean("clair", "excess") * (1 + TIE)


def _verdict(seed: int, **changes: object) -> RegressionResult:
    return run_regression(setting(seed, **changes), methods=("local",))


def make_record(seeds: range = SEEDS) -> Record:
    """Repeat the story on every seed."""
    by_seed = {seed: failures(seed) for seed in seeds}
    lists = {name: tuple(s for s in seeds if name in by_seed[s]) for name in FAILURES}
    return Record(version=__version__, seeds=tuple(seeds), **lists)


def save_record(record: Record) -> None:
    """Write the record to its asset file."""
    ASSET.parent.mkdir(exist_ok=True)
    ASSET.write_text(json.dumps(asdict(record), indent=1) + "\n", encoding="utf-8")


@cache
def load_record() -> Record:
    """Read the record from its asset file."""
    stored = json.loads(ASSET.read_text(encoding="utf-8"))
    version = stored.pop("version")
    return Record(version=version, **{name: tuple(seeds) for name, seeds in stored.items()})
