"""What holds for all tests."""

import os

# Before anybody imports numpy, which reads it once: the matrices here are small, and threads that
# wait for each other on a busy machine make the same numbers several times slower.
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

from clair.figures.drawing import Figure  # noqa: E402

# Every figure that any test draws is checked entry by entry.
Figure.validate = True
