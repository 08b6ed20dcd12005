"""What a visitor takes away: reports, tables and the code that gives the same numbers."""
