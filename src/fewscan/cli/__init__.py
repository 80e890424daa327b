"""The command line: one module per command; heavy imports stay inside the commands."""
