"""Iterative inference: strategies that write, judge and keep programs for one task, under one budget."""
