"""Base models by alias: facts, weights, loading."""
