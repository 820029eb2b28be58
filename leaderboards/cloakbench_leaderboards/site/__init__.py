"""The static site: pages are rendered and written."""
