"""The rule that fetches and stores four floats at a time."""

from __future__ import annotations

from collections.abc import Iterator

from tree_sitter import Node

from semrep_jax.cuda.rewrites.mapping import INDEX, OneEach, at_index, divided, one_each, relaunched
from semrep_jax.cuda.rewrites.qualifiers import apart
from semrep_jax.cuda.rewrites.rule import CudaRule, Edit, Listing, replace, said, walk
from semrep_jax.cuda.rewrites.trees import sides, stored, unconditional

LONGEST = 700
_LOOPS = ("for_statement", "while_statement", "do_statement")


def vectorise(listing: Listing) -> Iterator[Listing]:
    """y[i] = f(x[i]) one element a thread -> four a thread through float4, and the last ones one by one.

    Buffers begin at multiples of 16 bytes, so that each fourth float does. What is read at other places is read as before.
    """
    for kernel in listing.kernels:
        shape = one_each(listing, kernel)
        if shape is None or not apart(listing, kernel) or len(shape.text("")) > LONGEST:
            continue
        if any(True for n in shape.rest for _ in walk(n, *_LOOPS)):
            continue
        store, loads = _store(shape), _loads(shape)
        if store is None or not loads:
            continue
        yield _vectorised(listing, shape, store, loads)


def _store(shape: OneEach) -> Node | None:
    """The one store y[i] = ... that every thread reaches, of a pointer to float that is not used otherwise; else None."""
    written = set().union(*(stored(n) for n in shape.rest)) & set(shape.kernel.pointers)
    if len(written) != 1:
        return None
    (name,) = written
    uses = [u for n in shape.rest for u in walk(n, "identifier") if said(u) == name]
    store = at_index(uses[0], shape.same) if len(uses) == 1 and shape.kernel.pointers[name].type == "float" else None
    assignment = store.parent if store is not None else None
    if (
        assignment is None
        or assignment.type != "assignment_expression"
        or said(assignment.child_by_field_name("operator")) != "="
    ):
        return None
    return store if assignment.parent in shape.rest and sides(assignment)[0] == store else None


def _loads(shape: OneEach) -> dict[str, list[Node]]:
    """Loads x[i] that every thread makes, by name, of pointers to const float."""
    found: dict[str, list[Node]] = {}
    for statement in shape.rest:
        for use in walk(statement, "identifier"):
            pointer, load = shape.kernel.pointers.get(said(use)), at_index(use, shape.same)
            if load is None or pointer is None or not pointer.const or pointer.type != "float":
                continue
            if unconditional(load, statement) and (load.parent is None or load.parent.type != "pointer_expression"):
                found.setdefault(said(use), []).append(load)
    return found


def _vectorised(listing: Listing, shape: OneEach, store: Node, loads: dict[str, list[Node]]) -> Listing:
    first, out, y = listing.fresh("first"), listing.fresh("four"), said(store.children[0])
    into = {name: listing.fresh(f"{name}_four") for name in loads}
    lines = [f"float4 {into[n]} = *reinterpret_cast<const float4*>({n} + {first});" for n in loads] + [f"float4 {out};"]
    for part, field in enumerate("xyzw"):
        edits: list[Edit] = [replace(load, f"{into[n]}.{field}") for n, found in loads.items() for load in found]
        edits.append(replace(store, f"{out}.{field}"))
        spans = [(a, b) for a, b, _ in edits]
        uses = [u.start_byte for n in shape.rest for u in walk(n, "identifier") if said(u) == shape.index]
        still = any(not any(a <= u < b for a, b in spans) for u in uses)
        own = f"int {shape.index} = {first} + {part};\n            " if still else ""
        lines.append(f"{{\n            {own}{shape.text(' ' * 12, edits)}\n        }}")
    lines.append(f"*reinterpret_cast<float4*>({y} + {first}) = {out};")
    many = "\n        ".join(lines)
    count = said(shape.count)
    each = f"for (int {shape.index} = {first}; {shape.index} < {count}; {shape.index}++) {{\n            {shape.text(' ' * 12)}\n        }}"
    fours = f"int {first} = ({INDEX}) * 4;\n    if ({first} + 3 < {count}) {{\n        {many}\n    }}"
    text = f"{fours} else {{\n        {each}\n    }}"
    plan = relaunched(listing, [(one, divided(one.grid, 4), one.block) for one in shape.launches])
    return listing.changed([(*shape.span, text)], plan)


RULES = (CudaRule("vectorise", vectorise),)
