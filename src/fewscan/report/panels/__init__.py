"""Pictures of scans inside the page: cases with their labels, registered pairs, surfaces."""
