"""Scans on disk: cases, layouts, images with geometry, checking, preparation, sampling, the virtual cohort."""
