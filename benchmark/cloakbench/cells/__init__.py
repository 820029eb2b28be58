"""Cells, the unit of work: planning them, their recipes and order, and running their stages."""
