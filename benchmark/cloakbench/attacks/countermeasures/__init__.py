"""What the mimic does to clean the images."""
