"""Clients of a federation that copy texts, each in its own house style; some are poisoned."""
