"""Records become scores: statistics, signal, matching, aggregates, ranks."""
