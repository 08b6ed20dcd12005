"""Clients of a federation, each with data and ways of its own; some are poisoned."""
