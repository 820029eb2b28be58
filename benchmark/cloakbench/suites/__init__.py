"""Suites: their TOML files, schema and reader."""
