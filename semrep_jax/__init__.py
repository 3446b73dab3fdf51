"""semrep_jax: train and use language models that transform code (SemRep, arXiv 2603.13640, in JAX)."""

__version__ = "0.1.0"
