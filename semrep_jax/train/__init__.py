"""Training: `trainer` (the loop of both stages), `grpo`, `supervised`, `budget`, `stages`, `checkpoint`, `metrics`."""
