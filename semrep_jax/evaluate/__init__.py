"""Suites -> samples -> verdicts -> metrics with intervals. Knows nothing of training."""
