"""What rules ask of a node of CUDA's syntax tree: its parts, its statements, the variables that it declares.

declaration = next(walk(parse(b"void f() { int a = 1, b = 2; }"), "declaration"))
declared_type(declaration), list(variables(declaration))                      # "int", ["a", "b"]
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from tree_sitter import Node, Query, QueryCursor

from semrep_jax.cuda.syntax import node_text, parser, walk

LOOPS = ("for_statement", "while_statement", "do_statement")
_NOT_TO_REFORMAT = ("comment", "lambda_expression", "goto_statement", "labeled_statement", "ERROR")


def matches(root: Node, pattern: str) -> Iterator[dict[str, Node]]:
    """The captures of each match of a tree-sitter query, in the order of the text, an outer match before those in it.

    root: where to look. pattern: the query, with `@site` in each match and no name twice. Captures that
    begin with `_` serve its predicates and are left out.
    """
    found = QueryCursor(_query(pattern)).matches(root)
    captures = [{name: nodes[0] for name, nodes in match.items() if name[0] != "_"} for _, match in found]
    return iter(sorted(captures, key=lambda c: (c["site"].start_byte, -c["site"].end_byte)))


@cache
def _query(pattern: str) -> Query:
    language = parser().language
    assert language is not None
    return Query(language, pattern)


def fields(node: Node, *names: str) -> tuple[Node, ...] | None:
    """The children in these fields; None where one is missing."""
    found = [node.child_by_field_name(name) for name in names]
    present = tuple(n for n in found if n is not None)
    return present if len(present) == len(found) else None


def contains(node: Node, *kinds: str) -> bool:
    """Whether it is, or holds, a node of one of these kinds."""
    return next(walk(node, *kinds), None) is not None


def operator(node: Node) -> str:
    """The operator of a binary expression, an assignment or an update."""
    return node_text(node.child_by_field_name("operator"))


def operands(node: Node) -> tuple[Node, Node]:
    """Left and right of a binary expression or an assignment."""
    left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
    assert left is not None and right is not None
    return left, right


def is_binary(node: Node, *operators: str) -> bool:
    """Whether it is a binary expression with one of these operators."""
    return node.type == "binary_expression" and operator(node) in operators


def strip_parens(node: Node) -> Node:
    """What stands in the parentheses around it."""
    while node.type in ("parenthesized_expression", "condition_clause") and node.named_child_count == 1:
        node = node.named_children[0]
    return node


def compact(code: Node | str | None) -> str:
    """A node's text, or a text, without white space; nothing for none."""
    return "".join((code if isinstance(code, str) else node_text(code)).split())


def called_name(call: Node) -> str:
    """The name of the function that a call expression calls."""
    return node_text(call.child_by_field_name("function"))


def identifiers(*nodes: Node) -> set[str]:
    """The identifiers in these nodes."""
    return {node_text(n) for node in nodes for n in walk(node, "identifier")}


def is_constant(node: Node, statement: Node) -> bool:
    """Whether a node of a statement stands where a constant is asked for, as the size of an array."""
    while node != statement and node.parent is not None:
        parent = node.parent
        if parent.type == "array_declarator" and parent.child_by_field_name("size") == node:
            return True
        if parent.type in ("template_argument_list", "case_statement", "static_assert_declaration"):
            return True
        node = parent
    return False


def names_in_text(node: Node) -> set[str]:
    """What looks like a name in a node's text: of macros, whose text is no tree."""
    return set(re.findall(r"\w+", node_text(node)))


def uses_of(name: str, node: Node) -> list[Node]:
    """The identifiers in a node that are this name."""
    return [n for n in walk(node, "identifier") if node_text(n) == name]


def encloses(outer: Node, inner: Node) -> bool:
    """Whether a node begins within another one's text."""
    return outer.start_byte <= inner.start_byte < outer.end_byte


def can_reformat(node: Node) -> bool:
    """Whether its text may be laid out anew: it holds no comments, preprocessor lines, lambdas, or jumps to labels."""
    return not any(n.type in _NOT_TO_REFORMAT or n.type.startswith("preproc") for n in walk(node))


def statements(block: Node) -> list[Node]:
    """The statements of a block, or the one statement."""
    return [n for n in block.named_children if n.type != "comment"] if block.type == "compound_statement" else [block]


def sole_statement(node: Node | None) -> Node | None:
    """The statement itself, or the only one of a block; a block of several, or of none, as it is."""
    if node is not None and node.type == "compound_statement" and len(statements(node)) == 1:
        return statements(node)[0]
    return node


def assignment_of(statement: Node | None) -> Node | None:
    """The assignment that a statement consists of; None where it is another kind of statement."""
    if statement is None or statement.type != "expression_statement" or statement.named_child_count != 1:
        return None
    inner = statement.named_children[0]
    return inner if inner.type == "assignment_expression" else None


@dataclass(frozen=True)
class If:
    """An `if`: its condition in parentheses, what is done, and what is done otherwise (without `else`), if anything."""

    condition: Node
    consequence: Node
    alternative: Node | None


def as_if(node: Node) -> If | None:
    """The parts of an `if` statement; None for any other node."""
    parts = fields(node, "condition", "consequence") if node.type == "if_statement" else None
    if parts is None:
        return None
    condition, consequence = parts
    alternative = node.child_by_field_name("alternative")
    if alternative is not None and alternative.type == "else_clause":
        alternative = alternative.named_children[0]
    return If(condition, consequence, alternative)


class Binding(NamedTuple):
    """A variable and the expression that it is declared with."""

    name: str
    value: Node


def variables(declaration: Node) -> dict[str, Node | None] | None:
    """The value of each variable of a declaration by its name, None for those without one.

    None where one is a pointer, an array, or initialised by braces or parentheses.
    """
    found: dict[str, Node | None] = {}
    for declarator in declaration.children_by_field_name("declarator"):
        initialised = declarator.type == "init_declarator"
        name = declarator.child_by_field_name("declarator") if initialised else declarator
        value = declarator.child_by_field_name("value") if initialised else None
        if name is None or name.type != "identifier":
            return None
        if value is not None and value.type in ("initializer_list", "argument_list"):
            return None
        found[node_text(name)] = value
    return found or None


def sole_variable(node: Node, *types: str) -> Binding | None:
    """The variable of a declaration of just one, with a value, of one of these types (any by default); else None."""
    found = variables(node) if node.type == "declaration" else None
    if found is None or len(found) != 1 or (types and declared_type(node) not in types):
        return None
    ((name, value),) = found.items()
    return None if value is None else Binding(name, value)


def declared(*nodes: Node) -> set[str]:
    """The names of variables declared in these nodes."""
    found = set()
    for node in nodes:
        for declaration in walk(node, "declaration", "for_range_loop"):
            for declarator in declaration.children_by_field_name("declarator"):
                found |= identifiers(declared_name(declarator))
    return found


def declared_name(declarator: Node) -> Node:
    """A declarator without its value, stars and brackets."""
    inner = declarator.child_by_field_name("declarator")
    if declarator.type == "reference_declarator" and declarator.named_children:
        inner = declarator.named_children[-1]
    return declarator if inner is None else declared_name(inner)


def declared_type(declaration: Node) -> str:
    """The text of a declaration before its first declarator: qualifiers and type."""
    first = declaration.children_by_field_name("declarator")[0]
    return (declaration.text or b"")[: first.start_byte - declaration.start_byte].decode().strip()
