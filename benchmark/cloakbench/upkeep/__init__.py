"""Stores over time: adopt, merge, archive, verify, refresh, delete."""
