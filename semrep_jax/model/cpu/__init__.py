"""What decoding on a CPU spends its time on, written for it: products of few rows, attention to cached keys."""
