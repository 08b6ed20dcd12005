"""Phase diagrams: `grid` says what a sweep is, `run` computes it in `worker` processes."""
