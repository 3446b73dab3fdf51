"""Suites -> samples -> verdicts -> metrics with intervals; `compare` runs the two arms and asks who wins."""
