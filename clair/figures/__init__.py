"""Results to plotly figures: the theme is passed in, nothing is displayed here."""
