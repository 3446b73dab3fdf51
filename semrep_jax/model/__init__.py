"""The decoder: `decoder` (Flax), `attention`, `sharding`, `logprobs`, `tokenizer`, `pretrained` (weights in and out)."""
