"""Pictures as PNG files, drawn from arrays and records: planes with errors marked, surfaces, curves, pseudo-masks."""
