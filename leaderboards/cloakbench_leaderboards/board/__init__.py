"""The view-model of the board: tables, headline, curves."""
