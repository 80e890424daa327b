"""Charts of a report, each one small figure that is legible on a phone."""
