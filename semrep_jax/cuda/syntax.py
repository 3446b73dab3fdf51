"""CUDA C++ as trees (tree-sitter): the parser, a node's text, and what a function's head says.

    root = parse("__global__ void k(const float* x, int n = 1) { }".encode())
    (kernel,) = functions(root)
    kernel.name, kernel.is_kernel, [p.type for p in kernel.parameters]        # "k", True, ["float", "int"]

Trees are made of any text: what does not parse is an ERROR node somewhere in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property

import tree_sitter_cuda
from tree_sitter import Language, Node, Parser

TEMPLATES = frozenset({"template_declaration"})
LINKAGE = frozenset({"linkage_specification", "declaration_list"})  # extern "C" { ... }
NAMESPACES = frozenset({"namespace_definition", "declaration_list"})
_PARAMETERS = ("parameter_declaration", "optional_parameter_declaration")
_DECLARATORS = ("pointer_declarator", "reference_declarator", "array_declarator")


@cache
def parser() -> Parser:
    """The parser of CUDA C++."""
    return Parser(Language(tree_sitter_cuda.language()))


def parse(code: bytes) -> Node:
    """The root of a text's tree."""
    return parser().parse(code).root_node


def node_text(node: Node | None) -> str:
    """A node's text; nothing for none."""
    return node.text.decode("utf-8", "replace") if node is not None and node.text is not None else ""


def walk(root: Node, *kinds: str) -> Iterator[Node]:
    """The nodes of these kinds in a tree and its root, in the order of the text; all nodes where no kind is given.

    No recursion: a text may nest as deep as it is long.
    """
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if not kinds or node.type in kinds:
            yield node
        waiting.extend(reversed(node.children))


@dataclass(frozen=True)
class Parameter:
    """One parameter of a function.

    type: what it points at, or its own type, with single spaces. pointer: it is written with a `*`. const: `const` is
    written before its type. restrict: it is written with `__restrict__`.
    """

    node: Node
    name: str
    type: str
    pointer: bool
    const: bool
    restrict: bool

    @property
    def optional(self) -> bool:
        """Whether it has a default."""
        return self.node.type == "optional_parameter_declaration"

    @cached_property
    def is_buffer(self) -> bool:
        """Whether a buffer is passed for it: a pointer, or an array (`float x[]`)."""
        chain = _declarator_chain(self.node.child_by_field_name("declarator"))
        return any(d.type in ("pointer_declarator", "array_declarator") for d in chain)


@dataclass(frozen=True)
class Function:
    """A function with a body. `template` has the names of its template parameters; None where it is no template."""

    node: Node
    name: str
    body: Node
    parameters: tuple[Parameter, ...]
    template: tuple[str, ...] | None

    @cached_property
    def qualified(self) -> str:
        """Its name behind those of the namespaces that it stands in; one without a name adds nothing."""
        names, node = [self.name], self.node.parent
        while node is not None:
            name = node.child_by_field_name("name") if node.type == "namespace_definition" else None
            names += [node_text(name)] if name is not None else []
            node = node.parent
        return "::".join(reversed(names))

    @cached_property
    def is_kernel(self) -> bool:
        """Whether it is `__global__`."""
        return is_kernel(self.node)

    @cached_property
    def launch_bound(self) -> str | None:
        """The most threads of a block by its `__launch_bounds__`, as written; None where it has none."""
        bounds = next((child for child in self.node.children if child.type == "launch_bounds"), None)
        return None if bounds is None else node_text(bounds.named_children[0])

    @property
    def line(self) -> int:
        """The line that it begins at, from 1."""
        return self.node.start_point[0] + 1

    @cached_property
    def pointers(self) -> dict[str, Parameter]:
        """The parameters written with a `*`, by name."""
        return {p.name: p for p in self.parameters if p.pointer}


@dataclass(frozen=True)
class Definition:
    """A function definition's node, and the names of its template parameters (None where it is no template)."""

    node: Node
    template: tuple[str, ...] | None = None

    def function(self) -> Function | None:
        """The function, its head read; None where the head is none that we can read."""
        declarator, body = function_declarator(self.node), self.node.child_by_field_name("body")
        name = declarator.child_by_field_name("declarator") if declarator is not None else None
        if declarator is None or name is None or body is None:
            return None
        listed = declarator.child_by_field_name("parameters")
        given = [p for p in (listed.named_children if listed is not None else []) if p.type in _PARAMETERS]
        return Function(self.node, node_text(name), body, tuple(_parameter(p) for p in given), self.template)


def definitions(root: Node, inside: frozenset[str], template: tuple[str, ...] | None = None) -> Iterator[Definition]:
    """The function definitions below a node, in the order of the text.

    inside: the kinds of node that are looked into, of TEMPLATES, LINKAGE and NAMESPACES. template: the names of the
    parameters of the template that `root` stands in.
    """
    for child in root.named_children:
        if child.type == "function_definition":
            yield Definition(child, template)
        elif child.type in inside:
            is_template = child.type == "template_declaration"
            yield from definitions(child, inside, _template_names(child) if is_template else template)


def functions(root: Node, inside: frozenset[str] = TEMPLATES | LINKAGE) -> Iterator[Function]:
    """The functions with a body whose heads can be read, in the order of the text; see `definitions`."""
    for definition in definitions(root, inside):
        function = definition.function()
        if function is not None:
            yield function


def function_declarator(definition: Node) -> Node | None:
    """A definition's `name(parameters)`, without the pointers around it; None where there is none."""
    declarator = definition.child_by_field_name("declarator")
    while declarator is not None and declarator.type != "function_declarator":
        declarator = declarator.child_by_field_name("declarator")
    return declarator


def is_kernel(definition: Node) -> bool:
    """Whether a function definition is `__global__`."""
    return any(c.type == "__global__" for c in definition.children)


def is_device(definition: Node) -> bool:
    """Whether a function definition is `__global__` or `__device__`."""
    return any(c.type in ("__global__", "__device__") for c in definition.children)


def _template_names(declaration: Node) -> tuple[str, ...]:
    listed = next((c for c in declaration.children if c.type == "template_parameter_list"), declaration)
    heads = [node_text(parameter).partition("=")[0].split() for parameter in listed.named_children]
    return tuple(head[-1] for head in heads if head)


def _declarator_chain(declarator: Node | None) -> Iterator[Node]:
    """The pointer, reference and array declarators around a name, outermost first, and what they are around."""
    while declarator is not None:
        yield declarator
        if declarator.type not in _DECLARATORS:
            return
        inner = declarator.child_by_field_name("declarator")
        declarator = inner if inner is not None else next(reversed(declarator.named_children), None)


def _parameter(node: Node) -> Parameter:
    declarator = node.child_by_field_name("declarator")
    qualifiers = [node_text(c) for c in node.children if c.type == "type_qualifier"]
    restrict = declarator is not None and any(
        node_text(c) == "__restrict__" for c in walk(declarator, "type_qualifier")
    )
    return Parameter(
        node=node,
        name=_parameter_name(declarator),
        type=" ".join(node_text(node.child_by_field_name("type")).split()),
        pointer=declarator is not None and declarator.type == "pointer_declarator",
        const="const" in qualifiers,
        restrict=restrict,
    )


def _parameter_name(declarator: Node | None) -> str:
    """The name that is declared, also where the tree around it is broken; nothing for none."""
    *_, last = None, *_declarator_chain(declarator)
    if last is None or last.type == "identifier":
        return node_text(last)
    return node_text(next(walk(last, "identifier"), None))
