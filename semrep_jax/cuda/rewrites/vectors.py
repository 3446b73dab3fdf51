"""The rule that fetches and stores four floats at a time."""

from __future__ import annotations

from collections.abc import Iterator

from tree_sitter import Node

from semrep_jax.cuda.rewrites.edits import Edit, replace
from semrep_jax.cuda.rewrites.effects import stored
from semrep_jax.cuda.rewrites.elementwise import INDEX, ElementwiseKernel, elementwise_kernels, loads_at, subscript_at
from semrep_jax.cuda.rewrites.launches import relaunched
from semrep_jax.cuda.rewrites.nodes import LOOPS, contains, operands, operator
from semrep_jax.cuda.rewrites.program import CudaProgram
from semrep_jax.cuda.rewrites.qualifiers import has_no_aliases
from semrep_jax.cuda.rewrites.rule import CudaRule
from semrep_jax.cuda.syntax import node_text

LONGEST_VECTORISED = 700  # characters of what is done for each element
FIELDS = "xyzw"


def vectorise(program: CudaProgram) -> Iterator[CudaProgram]:
    """y[i] = f(x[i]); -> float4 x_four = *(float4*)(x + first); four.x = f(x_four.x); ... *(float4*)(y + first) = four;

    A thread has four elements, the last ones one by one. Buffers begin at multiples of 16 bytes, so each fourth float
    does. What is read at other places is read as before.
    """
    for shape in elementwise_kernels(program):
        if not has_no_aliases(program, shape.function) or len(shape.text("")) > LONGEST_VECTORISED:
            continue
        if any(contains(n, *LOOPS) for n in shape.statements):
            continue
        store, loads = _store(shape), loads_at(shape.function, shape.statements, shape.index_names, ("float",))
        if store is not None and loads:
            launches = [one.coarser(len(FIELDS)) for one in shape.launches]
            body = shape.with_body(_vectorised(program, shape, store, loads))
            yield program.with_edits([body], relaunched(program, launches))


def _store(shape: ElementwiseKernel) -> Node | None:
    """The store y[i] = ... that every thread reaches, of a pointer to float that is not used otherwise; else None."""
    written = stored(*shape.statements) & set(shape.function.pointers)
    uses = shape.uses_of(next(iter(written))) if len(written) == 1 else []
    if len(uses) != 1 or shape.function.pointers[node_text(uses[0])].type != "float":
        return None
    store = subscript_at(uses[0], shape.index_names)
    assignment = store.parent if store is not None else None
    if assignment is None or assignment.type != "assignment_expression" or operator(assignment) != "=":
        return None
    return store if assignment.parent in shape.statements and operands(assignment)[0] == store else None


def _vectorised(program: CudaProgram, shape: ElementwiseKernel, store: Node, loads: dict[str, list[Node]]) -> str:
    """The body that does four elements at once. store: of y[i]. loads: those of x[i] by x's name."""
    first, out = program.unused_name("first"), program.unused_name("four")
    vectors = {name: program.unused_name(f"{name}_four") for name in loads}
    count, indent = node_text(shape.count), " " * 12
    lines = [f"float4 {v} = *reinterpret_cast<const float4*>({name} + {first});" for name, v in vectors.items()]
    lines.append(f"float4 {out};")
    for offset, field in enumerate(FIELDS):
        edits = [replace(load, f"{vectors[name]}.{field}") for name, found in loads.items() for load in found]
        edits.append(replace(store, f"{out}.{field}"))
        index = f"int {shape.index} = {first} + {offset};\n{indent}" if _still_uses_index(shape, edits) else ""
        lines.append(f"{{\n{indent}{index}{shape.text(indent, edits)}\n        }}")
    lines.append(f"*reinterpret_cast<float4*>({node_text(store.children[0])} + {first}) = {out};")
    fours = "\n        ".join(lines)
    return f"""int {first} = ({INDEX}) * 4;
    if ({first} + 3 < {count}) {{
        {fours}
    }} else {{
        for (int {shape.index} = {first}; {shape.index} < {count}; {shape.index}++) {{
            {shape.text(indent)}
        }}
    }}"""


def _still_uses_index(shape: ElementwiseKernel, edits: list[Edit]) -> bool:
    """Whether the index is used outside what is replaced."""
    uses = [use.start_byte for use in shape.uses_of(shape.index)]
    return any(not any(e.start <= use < e.end for e in edits) for use in uses)


RULES = (CudaRule("vectorise", vectorise),)
