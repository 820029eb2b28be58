"""Training of the embedded models from nothing."""
