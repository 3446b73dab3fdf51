"""The rule that makes two kernels of one, by way of a scratch buffer that holds a float for each element."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tree_sitter import Node

from semrep_jax.cuda.rewrites.mapping import OneEach, arguments, as_launch, between, ceil_parts, one_each, same
from semrep_jax.cuda.rewrites.rule import CudaRule, Function, Listing, replace, said, walk
from semrep_jax.cuda.rewrites.trees import assigned, declared, names, pure, stored, types

MOST_LAUNCHES, MOST_SCRATCH = 64, 16
FIRST, SECOND = "_first", "_second"


def split(listing: Listing) -> Iterator[Listing]:
    """A kernel with one element a thread -> one that stores a float for each element, and one that goes on from there.

    It is cut where one float is all that the second half needs, besides what it can reckon again from the index.
    """
    scratch = listing.plan.get("scratch") or {}
    if len(listing.plan["launch"]) >= MOST_LAUNCHES or len(scratch) >= MOST_SCRATCH:
        return
    for kernel in listing.kernels:
        shape = one_each(listing, kernel)
        if shape is None or len(shape.launches) != 1 or kernel.name.count(FIRST) + kernel.name.count(SECOND) > 2:
            continue
        for at in range(1, len(shape.rest)):
            before, after = shape.rest[:at], shape.rest[at:]
            live = _live(shape, before, after)
            if live is not None and not any(stored(n) for n in before):
                yield _split(listing, shape, before, after, *live)


def _live(shape: OneEach, before: tuple[Node, ...], after: tuple[Node, ...]) -> tuple[str, list[Node]] | None:
    """The one float that lives across the cut, and the declarations that are made again; None where more lives."""
    known, own = types(shape.kernel), [n for n in before if n.type == "declaration"]
    again = repeatable(shape, own)
    needed = set().union(*(names(n) for n in after))
    remade: list[Node] = []
    for node in reversed(again):
        if declared(node) & needed:
            remade.insert(0, node)
            needed |= names(node)
    made = set().union(*(declared(n) for n in own)) - set().union(*(declared(n) for n in again))
    live = needed & made
    if len(live) != 1:
        return None
    (name,) = live
    counted = sum(name in declared(n) for n in walk(shape.kernel.body, "declaration"))
    return (name, remade) if known.get(name) == "float" and counted == 1 else None


def repeatable(shape: OneEach, own: list[Node]) -> list[Node]:
    """Declarations that give the same anywhere in the kernel: of the index and parameters, without a look at memory, never changed."""
    steady = {shape.index, *(p.name for p in shape.kernel.parameters)} - assigned(shape.kernel.body)
    found = []
    for node in own:
        values = [one.child_by_field_name("value") for one in node.children_by_field_name("declarator")]
        touches = any(
            True
            for _ in walk(node, "subscript_expression", "pointer_expression", "call_expression", "array_declarator")
        )
        if any(v is None or not pure(v) for v in values) or touches or declared(node) & assigned(shape.kernel.body):
            continue
        used = set().union(*(names(v) for v in values if v is not None)) - declared(node)
        if used <= steady and said(node.child_by_field_name("type")) != "float":
            found.append(node)
            steady |= declared(node)
    return found


def _split(
    listing: Listing, shape: OneEach, before: tuple[Node, ...], after: tuple[Node, ...], name: str, again: list[Node]
) -> Listing:
    kernel, launch = shape.kernel, shape.launches[0]
    stage = listing.fresh("stage")
    titles = listing.fresh(f"{kernel.name}{FIRST}"), listing.fresh(f"{kernel.name}{SECOND}")
    given = arguments(listing, kernel, launch.place)
    count = names(shape.count)
    here = set().union(count, *(names(n) for n in before))
    there = set().union(count, *(names(n) for n in (*again, *after)))
    writes = [said(p.node) for p in kernel.parameters if p.name in here]
    reads = [said(p.node) for p in kernel.parameters if p.name in there]
    pointers = sum(p.pointer for p in kernel.parameters if p.name in here)
    writes.insert(pointers, f"float* __restrict__ {stage}")
    reads.insert(0, f"const float* __restrict__ {stage}")
    one = f"{between(before, '    ')}\n    {stage}[{shape.index}] = {name};"
    remade = "".join(f"{between([n], '    ')}\n    " for n in again)
    two = f"{remade}float {name} = {stage}[{shape.index}];\n    {between(after, '    ')}"
    code = "\n\n".join(
        written(kernel, t, p, shape, b) for t, p, b in zip(titles, (writes, reads), (one, two), strict=True)
    )
    plan = listing.copied_plan()
    old = plan["launch"][launch.place]
    first = [given[p.name] for p in kernel.parameters if p.name in here]
    first.insert(pointers, stage)
    second = [stage, *(given[p.name] for p in kernel.parameters if p.name in there)]
    plan["launch"][launch.place : launch.place + 1] = [
        old | {"kernel": titles[0], "args": first},
        old | {"kernel": titles[1], "args": second},
    ]
    plan["scratch"] = (plan.get("scratch") or {}) | {stage: f"f32[{_length(shape, given)}]"}
    return listing.changed([replace(kernel.node, code)], plan)


def _length(shape: OneEach, given: dict[str, str]) -> str:
    """As many elements as there are, or at the least as many as threads."""
    launch, wanted = shape.launches[0], as_launch(shape.count, given)
    parts = ceil_parts(launch.grid)
    if parts is not None and wanted is not None and same(parts[0], wanted):
        return parts[0]
    return f"({launch.grid}) * {launch.block}"


def written(kernel: Function, title: str, parameters: Iterable[str], shape: OneEach, rest: str) -> str:
    """A kernel with one element a thread like another, by another name, with other parameters and another rest."""
    head = (kernel.node.text or b"")[: kernel.body.start_byte - kernel.node.start_byte].decode()
    before = (
        head[: head.rindex(kernel.name, 0, head.index("("))]
        if "launch_bounds" not in head
        else head[: head.rindex(kernel.name)]
    )
    guard = f"int {shape.index} = {shape.value};\n    if ({shape.index} >= {said(shape.count)}) return;"
    return f"{before}{title}({', '.join(parameters)}) {{\n    {guard}\n    {rest}\n}}"


RULES = (CudaRule("split_kernel", split, "fuse_kernels"),)
