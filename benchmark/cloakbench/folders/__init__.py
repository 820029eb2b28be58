"""A user's own images: protecting, cleaning and imitating them, one module per verb."""
