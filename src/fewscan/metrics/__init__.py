"""Metrics of segmentation quality and the statistics to compare them."""
