"""The store of a run: its paths, keys, seeds, images and records, written and read."""
