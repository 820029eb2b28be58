"""Leaderboards: records of the benchmark become scores, and scores become a static page. Never imports torch."""
