"""Records as data frames, and what is missing in them."""
