"""The rules for Python, on libcst: a program's layout and comments stay where a rule does not touch them."""

from semrep_jax.python.rewrites import conditions, expressions, loops, names, statements
from semrep_jax.python.rewrites.rule import Rule

_MODULES = {
    "names": names,
    "conditions": conditions,
    "expressions": expressions,
    "statements": statements,
    "loops": loops,
}
RULE_GROUPS: dict[str, list[str]] = {room: [r.name for r in module.RULES] for room, module in _MODULES.items()}
RULES: dict[str, Rule] = {r.name: r for module in _MODULES.values() for r in module.RULES}
