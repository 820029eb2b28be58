"""Boards over time: history, steps, feed."""
