"""Losses as pure functions: any number of classes, soft targets, 2-D and 3-D."""
