"""Rewrite -> verify -> transform: what the policy does at inference, written once for training, evaluation and a
person's file."""
