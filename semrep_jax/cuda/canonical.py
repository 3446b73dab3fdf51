"""Canonical form of a CUDA candidate (device code and its launch list), and the distance between two of them.

    canonical("__global__ void k(float* out) { out[0] = 0x10; }")
    # __global__ void v0 ( float * v1 ) { v1 [ 0 ] = 16 ; }

What is removed: comments, layout, `#include` lines, the names of everything the text declares (kernels, parameters,
locals, types, scratch buffers, in the order of their first appearance), the spelling of numbers, and of the launch list
its layout and what makes no difference: dimensions of 1, no shared memory, buffers that nobody uses. `const`,
`__restrict__` and the order of statements stay: they are what a kernel engineer changes.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Any

from tree_sitter import Node

from semrep_jax.core import syntax
from semrep_jax.cuda.candidate.blocks import is_launch_list
from semrep_jax.cuda.candidate.expressions import ExpressionError, evaluate
from semrep_jax.cuda.syntax import node_text, parse
from semrep_jax.languages import fenced_blocks

_NAMES = ("identifier", "type_identifier")
_DECLARATIONS = ("declaration", "parameter_declaration", "optional_parameter_declaration", "for_range_loop")
_TYPE_PARAMETERS = ("type_parameter_declaration", "optional_type_parameter_declaration")
_NAMED = (
    "struct_specifier",
    "class_specifier",
    "enum_specifier",
    "enumerator",
    "preproc_def",
    "preproc_function_def",
    "alias_declaration",
)
_NUMBER = re.compile(r"(?P<value>(?:0[xX][0-9a-fA-F']+|[0-9']*\.?[0-9']*(?:[eE][+-]?\d+)?))(?P<suffix>[a-zA-Z]*)")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")


@lru_cache(maxsize=16384)
def canonical(source: str) -> str | None:
    """Canonical text of a candidate in fenced blocks, or of bare CUDA; None where there is no code in it."""
    blocks = fenced_blocks(source)
    lists = [block.body for block in blocks if is_launch_list(block)]
    code = "\n".join(block.body for block in blocks if not is_launch_list(block)) if blocks else source
    leaves = list(_leaves(parse(code.encode("utf-8", "replace"))))
    if not leaves:
        return None
    declared = {node_text(leaf) for leaf, parent in leaves if parent is not None and _declares(parent, leaf)}
    numbered: dict[str, str] = {}

    def renamed(name: str) -> str:
        return numbered.setdefault(name, f"v{len(numbered)}") if name in declared else name

    tokens = [renamed(node_text(leaf)) if leaf.type in _NAMES else _spelt(leaf) for leaf, _ in leaves]
    return "\n".join([" ".join(tokens), *(_canonical_list(body, renamed) for body in lists)])


@lru_cache(maxsize=16384)
def distance(a: str, b: str) -> float:
    """Share of tokens by which two canonical texts differ: 0 is equal, 1 is unrelated (difflib's ratio; a tree-edit
    distance over a kernel's hundreds of nodes would take seconds)."""
    return 1.0 - SequenceMatcher(None, a.split(), b.split(), autojunk=False).ratio()


def _leaves(root: Node) -> Iterator[tuple[Node, Node | None]]:
    """Tokens in order, each with its parent (`Node.parent` looks for it from the root on), without comments and
    includes; no recursion, for texts may nest as deep as they are long."""
    waiting: list[tuple[Node, Node | None]] = [(root, None)]
    while waiting:
        node, parent = waiting.pop()
        if node.type in ("comment", "preproc_include"):
            continue
        if node.type in ("string_literal", "preproc_arg") or not node.children:
            if node_text(node).strip():
                yield node, parent
            continue
        waiting.extend((child, node) for child in reversed(node.children))


def _declares(parent: Node, leaf: Node) -> bool:
    """Whether a token is the name that its parent declares."""
    if leaf.type not in _NAMES:
        return False
    if parent.type.endswith("declarator"):
        inner = parent.child_by_field_name("declarator")
        return inner is not None and inner.start_byte == leaf.start_byte and inner.type == leaf.type
    if parent.type in _DECLARATIONS:
        return parent.child_by_field_name("declarator") == leaf
    if parent.type in _TYPE_PARAMETERS:
        return True
    return parent.type in _NAMED and parent.child_by_field_name("name") == leaf


def _spelt(leaf: Node) -> str:
    """A token with single spaces, a number in Python's spelling of it."""
    text = node_text(leaf)
    if leaf.type != "number_literal":
        return " ".join(text.split())
    match = _NUMBER.fullmatch(text)
    if match is None:
        return text
    value, suffix = match["value"].replace("'", ""), match["suffix"].lower()
    is_integer = value.isdigit() or value[:2].lower() == "0x"
    try:
        return f"{int(value, 0) if is_integer else float(value)!r}{suffix}"
    except ValueError:  # an octal, or no number after all
        return text


def _canonical_list(text: str, renamed: Callable[[str], str]) -> str:
    """A launch list with the code's new names in it, scratch buffers numbered, one layout."""
    try:
        launch_list = json.loads(text)
    except (ValueError, RecursionError):
        return _compact(text)
    block = {"launch": launch_list} if isinstance(launch_list, list) else launch_list
    if not isinstance(block, dict):
        return _compact(text)
    try:
        return json.dumps(_walked(_without_defaults(block), renamed), sort_keys=True)
    except RecursionError:
        return _compact(text)


def _without_defaults(block: dict[str, Any]) -> dict[str, Any]:
    """A launch block without what makes no difference: dimensions of 1 at the end, no shared memory, scratch buffers
    that no launch is given."""
    launches = block.get("launch")
    launches = [_shortest(launch) for launch in launches] if isinstance(launches, list) else [launches]
    kept = {key: value for key, value in block.items() if key != "scratch"} | {"launch": launches}
    scratch = block.get("scratch")
    if isinstance(scratch, dict):
        lists = [one.get("args") for one in launches if isinstance(one, dict)]
        given = {_compact(argument) for arguments in lists if isinstance(arguments, list) for argument in arguments}
        scratch = {name: buffer for name, buffer in scratch.items() if name in given}
    return kept | {"scratch": scratch} if scratch else kept


def _shortest(launch: Any) -> Any:
    """One launch; its numbers as their values."""
    if not isinstance(launch, dict):
        return launch
    short = {key: value for key, value in launch.items() if key not in ("shared", "smem")}
    if isinstance(short.get("args"), list):
        short["args"] = [_argument(one) for one in short["args"]]
    shared = _number(launch.get("shared") or launch.get("smem") or 0)
    if shared != "0":
        short["shared"] = shared
    for key in {"grid", "block"} & short.keys():
        dimensions = [_number(d) for d in (short[key] if isinstance(short[key], list) else [short[key]])]
        while len(dimensions) > 1 and dimensions[-1] == "1":
            dimensions.pop()
        short[key] = dimensions
    return short


def _argument(written: Any) -> Any:
    """An argument of a launch, a number's expression as `_number` has it."""
    dtype, colon, expression = written.partition(":") if isinstance(written, str) else ("", "", "")
    return f"{_compact(dtype)}:{_number(expression)}" if colon else written


def _number(expression: Any) -> str:
    """An expression with the parentheses and spaces that it needs; one without axes as its value."""
    try:
        value = evaluate(expression, {})
        return str(int(value) if float(value).is_integer() else value)
    except ExpressionError:
        pass
    try:
        return _compact(ast.unparse(syntax.expression(str(expression).strip())))
    except (SyntaxError, ValueError, MemoryError):  # no expression, half of a character, or one that is too deep
        return _compact(expression)


def _walked(block: dict[str, Any], renamed: Callable[[str], str]) -> Any:
    """A launch block with new names in it."""
    scratch = block.get("scratch")
    numbered = {name: f"s{i}" for i, name in enumerate(scratch)} if isinstance(scratch, dict) else {}

    def walk(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {numbered.get(k, k): walk(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [walk(v, key) for v in value]
        if key == "kernel":
            return _IDENTIFIER.sub(lambda name: renamed(name[0]), str(value))
        return _IDENTIFIER.sub(lambda name: numbered.get(name[0], name[0]), _compact(value))

    return walk(block)


def _compact(value: Any) -> str:
    return "".join(str(value).split())
