"""Executors: running cells in this process, in several, or on a Ray cluster, and reporting progress."""
