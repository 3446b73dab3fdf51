"""Grain: `shards` on disk, `tokens` of them, `packing` ahead, `supervised` streams packed pairs, `prompts` streams RL tasks; the states of
both streams go into checkpoints."""
