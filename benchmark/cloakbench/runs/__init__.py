"""Whole runs: from a choice of suite and entries to records in a store."""
