"""Running Python programs of strangers, contained: `wire` (values), `lockdown` (kernel), `zygote` (child), `pool` (parent)."""
