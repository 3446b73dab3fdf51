"""The rules for Python, on libcst: a program's layout and comments stay where a rule does not touch them."""

from semrep_jax.rewrites.python import conditions, expressions, loops, names, statements
from semrep_jax.rewrites.python.rule import Rule

RULES: dict[str, Rule] = {r.name: r for room in (names, conditions, expressions, statements, loops) for r in room.RULES}
