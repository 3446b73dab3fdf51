"""What a rule for CUDA C++ is, and the program that it looks at: device code as a tree, and the launch list as a dictionary.

A rule has a name, its inverse's name where there is one, and a function that offers programs, each with one change. Its preconditions are
syntactic and err on the safe side. Changes are spans of bytes with their new text, so that what a rule does not touch stays as written.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tree_sitter import Node

from semrep_jax.cuda.canonical import FENCE, parser

Edit = tuple[int, int, str]  # from byte, to byte (of the device code), what stands there now
Offers = Callable[["Listing"], Iterator["Listing"]]


@dataclass(frozen=True)
class CudaRule:
    """One rewrite: `offers` gives a program for each place where it applies. `inverse` names the rule that leads back, if one does."""

    name: str
    offers: Offers
    inverse: str | None = None


@dataclass(frozen=True)
class Parameter:
    """A parameter of a function: its declaration, name, element type, and whether it is a pointer, to const, restricted."""

    node: Node
    name: str
    type: str
    pointer: bool
    const: bool
    restrict: bool


@dataclass(frozen=True)
class Function:
    """A function with a body. `kernel` says whether it is `__global__`, `template` whether it has template parameters."""

    node: Node
    name: str
    body: Node
    parameters: tuple[Parameter, ...]
    kernel: bool
    template: bool

    @cached_property
    def pointers(self) -> dict[str, Parameter]:
        """The pointer parameters by name."""
        return {p.name: p for p in self.parameters if p.pointer}


class Listing:
    """A CUDA program: `code` is its device code, `plan` its launch list {"launch": [...], "scratch": {...}}."""

    def __init__(self, text: str, code: tuple[int, int], plan: tuple[int, int]):
        self.text = text
        self._code, self._plan = code, plan

    @cached_property
    def code(self) -> str:
        """The device code."""
        return self.text[slice(*self._code)]

    @cached_property
    def plan(self) -> dict[str, Any]:
        """The launch list; not to be changed, `changed` takes a new one."""
        said = json.loads(self.text[slice(*self._plan)])
        return {"launch": said} if isinstance(said, list) else said

    @cached_property
    def root(self) -> Node:
        """The device code's tree."""
        return parser().parse(self.code.encode()).root_node

    @cached_property
    def functions(self) -> list[Function]:
        """Functions with a body, kernels and others, in the order of the text."""
        return list(_functions(self.root))

    @property
    def kernels(self) -> list[Function]:
        """The kernels that are no templates."""
        return [f for f in self.functions if f.kernel and not f.template]

    def launches(self, kernel: Function) -> list[int]:
        """Places of this kernel's launches in the list."""
        return [i for i, launch in enumerate(self.plan["launch"]) if launch["kernel"].strip() == kernel.name]

    @cached_property
    def words(self) -> set[str]:
        """Every name in the code and in the launch list: no new name may be one of them."""
        found = {said(n) for n in walk(self.root, "identifier", "type_identifier", "field_identifier")}
        for node in walk(self.root, "preproc_arg"):
            found |= set("".join(c if c.isalnum() or c == "_" else " " for c in said(node)).split())
        listed = [a for launch in self.plan["launch"] for a in launch["args"]]
        return found | {a for a in listed if ":" not in a} | set(self.plan.get("scratch") or {})

    def fresh(self, *wanted: str) -> str:
        """The first of `wanted`, or it with a number, that the program does not use."""
        return next(
            n for i in range(10_000) for n in (w + (str(i) if i else "") for w in wanted) if n not in self.words
        )

    def changed(self, edits: Iterable[Edit] = (), plan: dict[str, Any] | None = None) -> Listing:
        """The program with these changes of its code, and another launch list where one is given."""
        code = _applied(self.code.encode(), 0, edits)
        listed = self.text[slice(*self._plan)] if plan is None else f"{json.dumps(plan)}\n"
        parts = sorted([(self._code, code), (self._plan, listed)])
        text, places, at = "", {}, 0
        for (start, end), new in parts:
            text += self.text[at:start]
            places[start] = (len(text), len(text) + len(new))
            text, at = text + new, end
        return Listing(text + self.text[at:], places[self._code[0]], places[self._plan[0]])

    def copied_plan(self) -> dict[str, Any]:
        """A launch list to change."""
        return copy.deepcopy(self.plan)


def read(text: str) -> Listing | None:
    """The program in a text with one block of code and one launch list; None where it has not just these, or does not parse."""
    code, plan = [], []
    for match in FENCE.finditer(text):
        tag, place = match[1].lower(), match.span(2)
        if tag in ("cuda", "cu", "c++", "cpp", "c"):
            code.append(place)
        elif tag in ("json", "launch"):
            plan.append(place)
    if len(code) != 1 or len(plan) != 1:
        return None
    listing = Listing(text, code[0], plan[0])
    return listing if sound(listing) else None


def sound(listing: Listing) -> bool:
    """Whether the code parses and every launch names a kernel of it, with as many arguments as that has parameters."""
    try:
        launches = listing.plan["launch"]
        if listing.root.has_error or not launches:
            return False
        parameters = {f.name: len(f.parameters) for f in listing.functions if f.kernel}
        return all(parameters[one["kernel"].partition("<")[0].strip()] == len(one["args"]) for one in launches)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


def said(node: Node | None) -> str:
    """A node's text; nothing for none."""
    return node.text.decode() if node is not None and node.text is not None else ""


def walk(root: Node, *kinds: str) -> Iterator[Node]:
    """The nodes of these kinds in a tree, its root with them, in the order of the text; all nodes where no kind is given."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if not kinds or node.type in kinds:
            yield node
        waiting.extend(reversed(node.children))


def spliced(node: Node, edits: Iterable[Edit]) -> str:
    """A node's text with edits that lie in it and do not overlap."""
    return _applied(node.text or b"", node.start_byte, edits)


def _applied(raw: bytes, offset: int, edits: Iterable[Edit]) -> str:
    after = len(raw)
    for start, end, new in sorted(edits, reverse=True):
        assert 0 <= start - offset <= end - offset <= after, "edits overlap or lie outside"
        raw = raw[: start - offset] + new.encode() + raw[end - offset :]
        after = start - offset
    return raw.decode()


def replace(node: Node, text: str) -> Edit:
    """The edit that puts `text` in a node's place."""
    return node.start_byte, node.end_byte, text


def substituted(node: Node, names: dict[str, str]) -> list[Edit]:
    """The edits that put other text in the place of these identifiers."""
    return [replace(n, names[said(n)]) for n in walk(node, "identifier") if said(n) in names]


def indent(node: Node) -> str:
    """The white space that a node's line begins with, as far as columns tell."""
    while node.parent is not None and node.parent.type != "translation_unit":
        before = node.prev_sibling
        if before is not None and before.end_point.row < node.start_point.row:
            break
        node = before if before is not None else node.parent
    return " " * node.start_point.column


def moved(node: Node, by: str, edits: Iterable[Edit] = ()) -> str:
    """A node's text with edits, for a place where lines begin at `by`."""
    return spliced(node, edits).replace(f"\n{indent(node)}", f"\n{by}")


def _functions(node: Node, template: bool = False) -> Iterator[Function]:
    for child in node.named_children:
        if child.type == "function_definition":
            function = _function(child, template)
            if function is not None:
                yield function
        elif child.type in ("template_declaration", "linkage_specification", "declaration_list"):
            yield from _functions(child, template or child.type == "template_declaration")


def _function(definition: Node, template: bool) -> Function | None:
    declarator, body = definition.child_by_field_name("declarator"), definition.child_by_field_name("body")
    while declarator is not None and declarator.type != "function_declarator":
        declarator = declarator.child_by_field_name("declarator")
    if declarator is None or body is None:
        return None
    name, listed = declarator.child_by_field_name("declarator"), declarator.child_by_field_name("parameters")
    if name is None or listed is None or name.type != "identifier":
        return None
    parameters = tuple(_parameter(p) for p in listed.named_children if p.type == "parameter_declaration")
    return Function(
        definition, said(name), body, parameters, any(c.type == "__global__" for c in definition.children), template
    )


def _parameter(node: Node) -> Parameter:
    declarator = node.child_by_field_name("declarator")
    name = next(iter(walk(declarator, "identifier")), None) if declarator is not None else None
    pointer = declarator is not None and declarator.type == "pointer_declarator"
    const = any(said(c) == "const" for c in node.children if c.type == "type_qualifier")
    restrict = declarator is not None and any(said(c) == "__restrict__" for c in walk(declarator, "type_qualifier"))
    return Parameter(node, said(name), said(node.child_by_field_name("type")), pointer, const, restrict)
