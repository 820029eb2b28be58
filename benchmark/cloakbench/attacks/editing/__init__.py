"""What the mimic does to change an artist's image into another."""
