"""The rules for CUDA C++, on tree-sitter: code keeps its layout where a rule does not touch it, the launch list follows where it must."""

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

_MODULES = {
    "names": names, "expressions": expressions, "functions": functions, "conditions": conditions, "loops": loops, "qualifiers": qualifiers,
    "threads": threads, "vectors": vectors, "tiles": tiles, "split": split, "fuse": fuse,
}  # fmt: skip
RULE_GROUPS: dict[str, list[str]] = {room: [r.name for r in module.RULES] for room, module in _MODULES.items()}
RULES: dict[str, CudaRule] = {r.name: r for module in _MODULES.values() for r in module.RULES}
