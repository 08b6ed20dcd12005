"""Where theory puts the boundary of a phase diagram, computed without simulation."""

from __future__ import annotations

import numpy as np

from clair.simulation.sweeps.grid import SweepConfig, cell_spec, obstacle
from clair.theory.predictions import predicted_subspace_error
from clair.theory.sets import exact_set_probability

#: Settings that a prediction does not know of; with any of them there is none.
_UNKNOWN = {
    "exact": ("unevenness", "data_spread", "second_share"),
    "subspace_error": ("data_spread",),
}


def has_boundary(config: SweepConfig, measure: str) -> bool:
    """Tell whether there is a formula: for no other measure, option or setting than it knows of.

    Parameters
    ----------
    config : SweepConfig
    measure : str
    """
    unknown = _UNKNOWN.get(measure)
    if unknown is None or config.method != "residual" or config.attack is not None:
        return False
    return not any(name in config.axes or getattr(config.base, name) > 0 for name in unknown)


def predicted(config: SweepConfig, measure: str) -> np.ndarray | None:
    """Predict a measure of every cell: the probability of the exact set, or the subspace error.

    Parameters
    ----------
    config : SweepConfig
    measure : str

    Returns
    -------
    ndarray of shape (rows, columns, ...), or None
        NaN in impossible cells; None where there is no formula, see `has_boundary`.
    """
    if not has_boundary(config, measure):
        return None
    predict = exact_set_probability if measure == "exact" else predicted_subspace_error
    values = np.full(config.n_cells, np.nan)
    for cell in range(config.n_cells):
        if obstacle(config, cell) is None:
            values[cell] = predict(cell_spec(config, cell))
    return values.reshape(config.shape)
