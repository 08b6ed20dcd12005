"""What holds for all tests."""

from clair.figures.drawing import Figure

# Every figure that any test draws is checked entry by entry.
Figure.validate = True
