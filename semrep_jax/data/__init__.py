"""Pairs to train on, by Grain: texts of records, their tokens, mixed and packed batches; the stream of RL tasks."""
