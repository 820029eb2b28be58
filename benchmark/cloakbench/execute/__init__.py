"""Runs cells and tells how far they are."""
