"""The fixed attacks: what the mimic does to protected images."""
