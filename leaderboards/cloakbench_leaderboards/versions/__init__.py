"""Two versions of an entry, and what differs between them."""
