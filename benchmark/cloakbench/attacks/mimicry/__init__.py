"""What the mimic does to learn a style and to generate in it."""
