"""The commands behind `python -m clair`."""
