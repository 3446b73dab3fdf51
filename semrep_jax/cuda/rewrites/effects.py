"""What evaluating a piece of CUDA C++ does: what it writes, whether threads meet in it, whether control leaves it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from tree_sitter import Node

from semrep_jax.cuda.rewrites import nodes
from semrep_jax.cuda.syntax import node_text, parse, walk

BUILT_IN = {"threadIdx", "blockIdx", "blockDim", "gridDim", "warpSize"}
_EXPONENTIAL = {"expf", "exp2f", "expm1f", "logf", "log1pf", "log2f", "__expf", "__logf", "powf"}
_ROOTS = {"sqrtf", "rsqrtf", "cbrtf"}
_TRIGONOMETRIC = {"sinf", "cosf", "sinhf", "coshf", "tanhf", "atanf", "erff"}
_ROUNDING = {"floorf", "ceilf", "truncf", "rintf"}
_OTHER_FLOAT = {"fabsf", "fmaxf", "fminf", "copysignf", "fmaf"}
FLOAT_FUNCTIONS = frozenset(_EXPONENTIAL | _ROOTS | _TRIGONOMETRIC | _ROUNDING | _OTHER_FLOAT)
PURE_FUNCTIONS = FLOAT_FUNCTIONS | {"__ldg", "max", "min", "abs"}
_PURE_CALLS = PURE_FUNCTIONS | {"reinterpret_cast", "static_cast"}
_IMPURE = ("assignment_expression", "update_expression", "lambda_expression", "comment", "new_expression")
_OF_A_WARP = ("__shfl", "__ballot", "__any_", "__all_", "__match", "__reduce", "__activemask")
_COLLECTIVE = (*_OF_A_WARP, "__sync", "__threadfence", "atomic", "cooperative", "cg")  # how their names begin
JUMPS = ("return_statement", "break_statement", "continue_statement")


def is_pure(node: Node) -> bool:
    """Whether evaluating it changes nothing: no assignments, and calls of mathematical functions only."""
    if nodes.contains(node, *_IMPURE):
        return False
    for call in walk(node, "call_expression"):
        function = call.child_by_field_name("function")
        if function is not None and function.type == "template_function":
            function = function.child_by_field_name("name")
        if node_text(function) not in _PURE_CALLS:
            return False
    return True


def root_variable(node: Node) -> str:
    """The variable that an assignment's left side begins with."""
    while True:
        inner = node.child_by_field_name("argument") or (node.named_children[0] if node.named_children else None)
        if node.type == "identifier" or inner is None:
            return node_text(node)
        node = inner


def assigned(*within: Node) -> set[str]:
    """The variables that are assigned to as a whole, or have their address taken."""
    return {node_text(t) for node in within for t in _targets(node) if t.type == "identifier"}


def stored(*within: Node) -> set[str]:
    """The variables through which memory is written, arrays or pointers; a field of a vector counts as well."""
    return {root_variable(t) for node in within for t in _targets(node) if t.type != "identifier"}


def _targets(node: Node) -> Iterator[Node]:
    """What is assigned to, incremented, has its address taken, or is given to a function that takes references."""
    top = node
    while top.parent is not None:
        top = top.parent
    by_reference = _functions_with_references(top.text or b"")
    for n in walk(node):
        if n.type == "call_expression" and by_reference and n.children[0].type != "template_function":
            arguments = n.child_by_field_name("arguments")
            if arguments is not None and nodes.called_name(n).rpartition(".")[2] in by_reference:
                yield from map(nodes.strip_parens, arguments.named_children)
        if n.type == "assignment_expression":
            yield nodes.strip_parens(nodes.operands(n)[0])
        elif n.type == "update_expression" or _takes_address(n):
            argument = n.child_by_field_name("argument")
            if argument is not None:
                yield nodes.strip_parens(argument)


@lru_cache(maxsize=256)
def _functions_with_references(text: bytes) -> frozenset[str]:
    """The functions of a text that take a parameter by reference."""
    if b"&" not in text:
        return frozenset()
    found = set()
    for node in walk(parse(text), "function_declarator"):
        listed = node.child_by_field_name("parameters")
        if listed is not None and nodes.contains(listed, "reference_declarator", "abstract_reference_declarator"):
            found.add(node_text(node.child_by_field_name("declarator")))
    return frozenset(found)


def _takes_address(node: Node) -> bool:
    """Whether it is the address of something, but for a load through the cache."""
    if node.type != "pointer_expression" or node_text(node.children[0]) != "&":
        return False
    call = node.parent.parent if node.parent is not None else None
    return call is None or call.type != "call_expression" or nodes.called_name(call) != "__ldg"


def calls(node: Node) -> set[str]:
    """The names of functions that are called."""
    return {nodes.called_name(n) for n in walk(node, "call_expression")}


def is_collective(node: Node) -> bool:
    """Whether threads meet in it: barriers, shuffles, atomics, shared memory."""
    return "__shared__" in node_text(node) or any(n.startswith(_COLLECTIVE) for n in nodes.identifiers(node))


def thread_dependent_names(root: Node) -> set[str]:
    """The functions (not kernels) and macros of a program in which threads meet, or that ask which thread it is."""
    defined = walk(root, "preproc_def", "preproc_function_def")
    macros = {node_text(n.child_by_field_name("name")): nodes.names_in_text(n) for n in defined}
    bodies = macros | _device_functions(root)
    found = {name for name, used in macros.items() if "return" in used}
    found |= {name for name, used in bodies.items() if any(n.startswith(_COLLECTIVE) for n in used)}
    while True:
        dependent = {name for name, used in bodies.items() if used & (BUILT_IN | found | {"__shared__", "asm"})}
        if dependent <= found:
            return found
        found |= dependent


def _device_functions(root: Node) -> dict[str, set[str]]:
    """The names that the body of each function that is no kernel is written with, by the function's name."""
    found = {}
    for node in walk(root, "function_definition"):
        head, body = node.child_by_field_name("declarator"), node.child_by_field_name("body")
        if head is not None and body is not None and not any(c.type == "__global__" for c in node.children):
            name = next(walk(head, "function_declarator"), head).child_by_field_name("declarator")
            found[node_text(name)] = nodes.names_in_text(body)
    return found


def jumps(node: Node, *kinds: str) -> bool:
    """Whether `break`, `continue` or `return` (by the kinds given) can leave it; those of loops in it stay in it."""
    if node.type in kinds:
        return True
    inner = kinds
    if node.type in (*nodes.LOOPS, "for_range_loop"):
        inner = tuple(k for k in kinds if k == "return_statement")
    elif node.type == "switch_statement":
        inner = tuple(k for k in kinds if k != "break_statement")
    return any(jumps(child, *inner) for child in node.named_children)


def is_unconditional(node: Node, top: Node) -> bool:
    """Whether an expression is evaluated once whenever statement `top` is: behind no condition, in no loop of it."""
    inside = node
    while inside != top:
        parent = inside.parent
        if parent is None or parent.type in (*nodes.LOOPS, "switch_statement", "lambda_expression"):
            return False
        has_branches = parent.type in ("conditional_expression", "if_statement")
        if has_branches and parent.child_by_field_name("condition") != inside:
            return False
        if nodes.is_binary(parent, "&&", "||") and nodes.operands(parent)[1] == inside:
            return False
        inside = parent
    return True
