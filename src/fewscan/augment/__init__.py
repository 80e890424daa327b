"""Augmentation: batched spatial and intensity transforms on the training device, and invertible views."""
