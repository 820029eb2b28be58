"""What crosses the border as TOML or JSON: the schema of suites and of records. Imports nothing else of the package."""
