"""The parts of a report: each turns records into blocks."""
