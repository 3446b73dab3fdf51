"""Compiling for a GPU, and running and timing on one."""
