"""Rules about names: renaming, declarations apart and together, an expression under a name of its own."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from tree_sitter import Node

from semrep_jax.cuda.rewrites.rule import CudaRule, Function, Listing, indent, replace, said, substituted, walk
from semrep_jax.cuda.rewrites.trees import (
    assigned,
    blocks,
    declared,
    initialised,
    operand,
    plain,
    prefix,
    primary,
    pure,
    roomy,
    statements,
    stored,
    tame,
    type_of,
    types,
    unconditional,
)

_WANTED = {"int": ("index", "position"), "float": ("value", "result"), "float*": ("data", "values")}


def rename(listing: Listing) -> Iterator[Listing]:
    """A parameter or local variable under another name."""
    top = {
        said(n) for node in listing.root.named_children if node.type == "declaration" for n in walk(node, "identifier")
    }
    macros = " ".join(said(n) for n in walk(listing.root, "preproc_arg"))
    for function in listing.functions:
        known = types(function)
        for name in dict.fromkeys([*(p.name for p in function.parameters), *sorted(declared(function.body))]):
            if not name or name in top or name in macros or (function.template and name not in known):
                continue
            new = listing.fresh(*_WANTED.get(known.get(name) or "", ("other",)))
            yield listing.changed(substituted(function.node, {name: new}))


def rename_kernel(listing: Listing) -> Iterator[Listing]:
    """A kernel under another name, in the launch list as well."""
    for kernel in listing.kernels:
        own = kernel.name.removesuffix("_kernel")
        new = listing.fresh(f"{kernel.name}_kernel" if own == kernel.name else f"{own}_forward")
        plan = listing.copied_plan()
        for i in listing.launches(kernel):
            plan["launch"][i]["kernel"] = new
        yield listing.changed(substituted(listing.root, {kernel.name: new}), plan)


def split_declaration(listing: Listing) -> Iterator[Listing]:
    """int a = 1, b = 2; -> int a = 1; int b = 2;"""
    for node in _declarations(listing):
        ones = node.children_by_field_name("declarator")
        if len(ones) > 1:
            yield listing.changed(
                [replace(node, f"\n{indent(node)}".join(f"{prefix(node)} {said(one)};" for one in ones))]
            )


def merge_declarations(listing: Listing) -> Iterator[Listing]:
    """int a = 1; int b = 2; -> int a = 1, b = 2;"""
    for node in _declarations(listing):
        after = node.next_named_sibling
        if (
            after is None
            or after.type != "declaration"
            or initialised(after) is None
            or prefix(after) != prefix(node)
            or not tame(after)
            or "auto" in prefix(node)
        ):
            continue
        ones = [*node.children_by_field_name("declarator"), *after.children_by_field_name("declarator")]
        yield listing.changed([(node.start_byte, after.end_byte, f"{prefix(node)} {', '.join(map(said, ones))};")])


def _declarations(listing: Listing) -> Iterator[Node]:
    for function in listing.functions:
        for node in walk(function.body, "declaration"):
            if (
                node.parent is not None
                and node.parent.type == "compound_statement"
                and initialised(node) is not None
                and tame(node)
            ):
                yield node


def name_expression(listing: Listing) -> Iterator[Listing]:
    """y[i] = f(a * b); -> float value = a * b; y[i] = f(value);, everywhere in the statement where the expression stands."""
    for function in listing.functions:
        known = types(function)
        for block in blocks(function):
            for statement in statements(block):
                if statement.type not in ("expression_statement", "declaration") or not tame(statement):
                    continue
                yield from _named(listing, statement, known)


def _named(listing: Listing, statement: Node, known: dict[str, str | None]) -> Iterator[Listing]:
    done = set()
    own = declared(statement) if statement.type == "declaration" else set()
    for node in walk(statement, "binary_expression", "subscript_expression", "call_expression"):
        text, kind = said(node), type_of(node, known)
        changes = (assigned(statement) | stored(statement)) & {said(n) for n in walk(node, "identifier")}
        if (
            text in done
            or kind not in ("int", "long long", "float")
            or not pure(node)
            or len(plain(text)) < 4
            or changes
            or own & _names(node)
        ):
            continue
        alike = [n for n in walk(statement, node.type) if said(n) == text and n.parent is not None]
        if not all(unconditional(n, statement) for n in alike) or any(_whole(n) or _target(n) for n in alike):
            continue
        done.add(text)
        name = listing.fresh(*_WANTED.get(kind, ("offset",)))
        first = (statement.start_byte, statement.start_byte, f"{kind} {name} = {text};\n{indent(statement)}")
        yield listing.changed([first, *(replace(n, name) for n in alike)])


def _names(node: Node) -> set[str]:
    return {said(n) for n in walk(node, "identifier")}


def _whole(node: Node) -> bool:
    """Whether the statement does nothing else than to hold this expression under a name."""
    return node.parent is not None and node.parent.type == "init_declarator"


def _target(node: Node) -> bool:
    """Whether it is written to, or its address is taken."""
    parent = node.parent
    if parent is None or parent.type in ("update_expression", "pointer_expression"):
        return True
    return parent.type == "assignment_expression" and parent.child_by_field_name("left") == node


def inline_name(listing: Listing) -> Iterator[Listing]:
    """float value = a * b; y[i] = f(value); -> y[i] = f(a * b);, where the next statement alone reads it."""
    for function in listing.functions:
        known = types(function)
        for block in blocks(function):
            within = statements(block)
            for node, after in pairwise(within):
                changed = _inlined(function, node, after, known) if tame(node) and tame(after) else None
                if changed is not None:
                    yield listing.changed([(node.start_byte, after.start_byte, ""), *changed])


def _inlined(
    function: Function, node: Node, after: Node, known: dict[str, str | None]
) -> list[tuple[int, int, str]] | None:
    made = initialised(node) if node.type == "declaration" else None
    if (
        made is None
        or len(made) != 1
        or made[0][1] is None
        or after.type not in ("expression_statement", "declaration")
    ):
        return None
    name, value = made[0]
    assert value is not None
    uses = [
        n
        for n in walk(function.body, "identifier")
        if said(n) == name and not node.start_byte <= n.start_byte < node.end_byte
    ]
    if not uses or any(not after.start_byte <= n.start_byte < after.end_byte for n in uses) or not pure(value):
        return None
    if known.get(name) is None or type_of(value, known) != known.get(name) or name in assigned(after) | stored(after):
        return None
    if (assigned(after) | stored(after) | declared(after)) & _names(value) or (len(uses) > 1 and len(said(value)) > 40):
        return None
    return [replace(n, _placed(n, value)) for n in uses]


def _placed(use: Node, value: Node) -> str:
    parent = use.parent
    if primary(value) or roomy(use):
        return said(value)
    if parent is not None and parent.type == "binary_expression":
        sign = said(parent.child_by_field_name("operator"))
        return operand(value, sign, right=parent.child_by_field_name("right") == use)
    return f"({said(value)})"


RULES = (
    CudaRule("rename", rename, "rename"),
    CudaRule("rename_kernel", rename_kernel, "rename_kernel"),
    CudaRule("split_declaration", split_declaration, "merge_declarations"),
    CudaRule("merge_declarations", merge_declarations, "split_declaration"),
    CudaRule("name_expression", name_expression, "inline_name"),
    CudaRule("inline_name", inline_name, "name_expression"),
)
