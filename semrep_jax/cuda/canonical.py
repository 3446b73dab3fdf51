"""Canonical form of a CUDA candidate (device code and its launch list), and the distance between two of them.

What is removed: comments, layout, `#include` lines, the names of everything the text declares (kernels, parameters, locals, types,
scratch buffers, in the order of their first appearance), the spelling of numbers, and the layout of the launch list. `const`,
`__restrict__` and the order of statements stay: they are what a kernel engineer changes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Any

from tree_sitter import Node

from semrep_jax.cuda.syntax import node_text, parse
from semrep_jax.cuda.syntax import parser as parser

FENCE = re.compile(r"```[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:```|\Z)", re.DOTALL)
_NAMES = ("identifier", "type_identifier")
_NUMBER = re.compile(r"(?P<value>(?:0[xX][0-9a-fA-F']+|[0-9']*\.?[0-9']*(?:[eE][+-]?\d+)?))(?P<suffix>[a-zA-Z]*)")
_WORD = re.compile(r"[A-Za-z_]\w*")


@lru_cache(maxsize=16384)
def canonical(source: str) -> str | None:
    """Canonical text of a candidate in fenced blocks, or of bare CUDA; None where there is no code in it."""
    blocks = FENCE.findall(source)
    code = "\n".join(body for tag, body in blocks if not _is_list(tag, body)) if blocks else source
    leaves = list(_leaves(parse(code.encode("utf-8", "replace"))))
    if not leaves:
        return None
    own = {node_text(leaf) for leaf in leaves if _declares(leaf)}
    fresh: dict[str, str] = {}

    def renamed(name: str) -> str:
        return fresh.setdefault(name, f"v{len(fresh)}") if name in own else name

    words = [renamed(node_text(leaf)) if leaf.type in _NAMES else _spelt(leaf) for leaf in leaves]
    lists = [_list(body, renamed) for tag, body in blocks if _is_list(tag, body)]
    return "\n".join([" ".join(words), *lists])


@lru_cache(maxsize=16384)
def distance(a: str, b: str) -> float:
    """Share of tokens by which two canonical texts differ: 0 is equal, 1 is unrelated (difflib's ratio; a tree-edit distance over a
    kernel's hundreds of nodes would take seconds)."""
    return 1.0 - SequenceMatcher(None, a.split(), b.split(), autojunk=False).ratio()


def _leaves(root: Node) -> Iterator[Node]:
    """Tokens in order, without comments and includes; no recursion, for texts may nest as deep as they are long."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.type in ("comment", "preproc_include"):
            continue
        if node.type in ("string_literal", "preproc_arg") or not node.children:
            if node_text(node).strip():
                yield node
            continue
        waiting.extend(reversed(node.children))


def _declares(leaf: Node) -> bool:
    parent = leaf.parent
    if leaf.type not in _NAMES or parent is None:
        return False
    if parent.type.endswith("declarator"):
        inner = parent.child_by_field_name("declarator")
        return inner is not None and inner.start_byte == leaf.start_byte and inner.type == leaf.type
    if parent.type in ("declaration", "parameter_declaration", "optional_parameter_declaration", "for_range_loop"):
        return parent.child_by_field_name("declarator") == leaf
    if parent.type in ("type_parameter_declaration", "optional_type_parameter_declaration"):
        return True
    named = (
        "struct_specifier",
        "class_specifier",
        "enum_specifier",
        "enumerator",
        "preproc_def",
        "preproc_function_def",
    )
    return parent.type in (*named, "alias_declaration") and parent.child_by_field_name("name") == leaf


def _spelt(leaf: Node) -> str:
    text = node_text(leaf)
    if leaf.type != "number_literal":
        return " ".join(text.split())
    match = _NUMBER.fullmatch(text)
    if match is None:
        return text
    value, suffix = match["value"].replace("'", ""), match["suffix"].lower()
    try:
        return f"{int(value, 0) if value.isdigit() or value[:2].lower() == '0x' else float(value)!r}{suffix}"
    except ValueError:  # an octal, or no number after all
        return text


def _is_list(tag: str, body: str) -> bool:
    return tag.lower() in ("json", "launch") or (not tag and body.lstrip()[:1] in ("[", "{"))


def _list(text: str, renamed: Any) -> str:
    """A launch list with the code's new names in it, scratch buffers numbered, one layout."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return _plain(text)
    said = {"launch": said} if isinstance(said, list) else said
    scratch = said.get("scratch") if isinstance(said, dict) else None
    numbered = {name: f"s{i}" for i, name in enumerate(scratch)} if isinstance(scratch, dict) else {}

    def walk(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {numbered.get(k, k): walk(v, k) for k, v in value.items()}
        if key in ("grid", "block") and not isinstance(value, list):
            return [_plain(value)]
        if isinstance(value, list):
            return [_plain(v) for v in value] if key in ("grid", "block") else [walk(v, key) for v in value]
        if key == "kernel":
            return _WORD.sub(lambda m: renamed(m[0]), str(value))
        return _WORD.sub(lambda m: numbered.get(m[0], m[0]), _plain(value))

    try:
        return json.dumps(walk(said), sort_keys=True)
    except RecursionError:
        return _plain(text)


def _plain(value: Any) -> str:
    return "".join(str(value).split())
