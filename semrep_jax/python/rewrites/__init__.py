"""The rules for Python, on libcst: a program's layout and comments stay where a rule does not touch them.

The order of the modules, and of the rules in them, decides what a random generator's state draws.
"""

from semrep_jax.python.rewrites import collecting, conditions, expressions, jumps, loops, names, statements
from semrep_jax.python.rewrites.rule import Rule

_MODULES = {
    "names": (names,),
    "conditions": (conditions,),
    "expressions": (expressions,),
    "statements": (statements,),
    "loops": (loops, collecting, jumps),
}
_RULES = {
    group: [found for module in modules for found in vars(module).values() if isinstance(found, Rule)]
    for group, modules in _MODULES.items()
}
RULE_GROUPS: dict[str, list[str]] = {group: [rule.name for rule in rules] for group, rules in _RULES.items()}
RULES: dict[str, Rule] = {rule.name: rule for rules in _RULES.values() for rule in rules}
