"""The decoder and its families, weights in and out, tokenizers, sharding, log-probs, the ahead-of-time compiler."""
