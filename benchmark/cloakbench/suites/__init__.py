"""Suites: their TOML files, what reads them, and what checks them."""
