"""What holds for all tests."""

import os

# Set before the first import of numpy, which reads it once. The matrices here are small, and on a
# busy machine threads that wait for each other make the tests several times slower.
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

from clair.figures.drawing import Figure  # noqa: E402

# Every figure that any test draws is checked entry by entry.
Figure.validate = True
