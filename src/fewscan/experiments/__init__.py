"""Experiments: studies that compare methods over labelled counts and seeds, and the tables they give."""
