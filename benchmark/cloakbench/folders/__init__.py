"""A user's own images: protecting them, attacking them, imitating them, one module each."""
