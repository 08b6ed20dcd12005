"""What holds for all tests."""

from clair.figures import base

# Every figure that any test draws is checked entry by entry.
base.VALIDATE = True
