"""Strangers' Python programs, contained: `pool` (parent), `zygote` (child), `lockdown` (kernel), `wire` (values)."""
