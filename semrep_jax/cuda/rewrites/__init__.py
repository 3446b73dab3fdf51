"""The rules for CUDA C++, on tree-sitter: code keeps its layout where no rule touches it, the launch list follows."""

from semrep_jax.cuda.rewrites import (
    conditions,
    expressions,
    functions,
    fuse,
    loops,
    names,
    qualifiers,
    split,
    threads,
    tiles,
    vectors,
)
from semrep_jax.cuda.rewrites.rule import CudaRule

_MODULES = (names, expressions, functions, conditions, loops, qualifiers, threads, vectors, tiles, split, fuse)
RULES: dict[str, CudaRule] = {rule.name: rule for module in _MODULES for rule in module.RULES}
RULE_GROUPS: dict[str, list[str]] = {
    module.__name__.rpartition(".")[2]: [rule.name for rule in module.RULES] for module in _MODULES
}
