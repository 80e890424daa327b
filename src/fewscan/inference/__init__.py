"""Prediction: sliding window, test-time views, model files, and the way back to the scan's own grid."""
