"""Guided lessons: courses kept as data, and the quantities their questions ask for."""
