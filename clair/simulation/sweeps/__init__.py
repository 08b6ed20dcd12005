"""Phase diagrams: `grid` says what a sweep is, `run` and `worker` compute it, `store` keeps it."""
