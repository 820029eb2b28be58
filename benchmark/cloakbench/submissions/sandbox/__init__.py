"""The process that runs a submission's code, and what holds it."""
