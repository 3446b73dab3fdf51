"""Semantics-preserving rewrites of programs: rules by name, chains of them, and only what execution has confirmed."""
