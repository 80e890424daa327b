"""One file per method, and their registry."""
