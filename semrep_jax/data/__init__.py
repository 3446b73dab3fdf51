"""Grain: `supervised` streams packed pairs, `prompts` streams RL tasks; both iterators' states go into checkpoints."""
