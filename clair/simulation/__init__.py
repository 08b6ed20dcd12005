"""Problems with a known truth: the matrix model, attacks, scenarios and sweeps over them."""
