"""Where artists' images come from."""
