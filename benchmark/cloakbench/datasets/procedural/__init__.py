"""Seeded procedural art: scenes, marks and styles."""
