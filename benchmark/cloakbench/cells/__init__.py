"""The unit of work: its plan, key, seeds, run, record and place in the store."""
