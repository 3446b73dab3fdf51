"""What rules ask about a piece of CUDA C++: what it reads and writes, whether it may be evaluated twice, which type it has."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from tree_sitter import Node

from semrep_jax.cuda.canonical import parser
from semrep_jax.cuda.rewrites.rule import Function, said, walk

MATH = frozenset({
    "expf", "exp2f", "logf", "log1pf", "log2f", "expm1f", "sqrtf", "rsqrtf", "tanhf", "sinf", "cosf", "erff", "fabsf", "fmaxf", "fminf",
    "powf", "floorf", "ceilf", "copysignf", "fmaf", "truncf", "rintf", "coshf", "sinhf", "atanf", "cbrtf", "__expf", "__logf", "__ldg",
    "max", "min", "abs",
})  # fmt: skip
CALM = {*MATH, "reinterpret_cast", "static_cast"}
_MEETING = (
    "__sync", "__shfl", "__ballot", "__any_", "__all_", "__match", "__reduce", "__activemask", "__threadfence", "atomic", "cooperative",
    "cg",
)  # fmt: skip
PRECEDENCE = {
    "*": 10, "/": 10, "%": 10, "+": 9, "-": 9, "<<": 8, ">>": 8, "<": 7, ">": 7, "<=": 7, ">=": 7, "==": 6, "!=": 6, "&": 5, "^": 4,
    "|": 3, "&&": 2, "||": 1,
}  # fmt: skip
_LOOSE = ("conditional_expression", "assignment_expression", "comma_expression")


def operator(node: Node) -> str:
    """The operator of a binary expression, an assignment or an update."""
    return said(node.child_by_field_name("operator"))


def sides(node: Node) -> tuple[Node, Node]:
    """Left and right of a binary expression or an assignment."""
    left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
    assert left is not None and right is not None
    return left, right


def bare(node: Node) -> Node:
    """What stands in the parentheses around it."""
    while node.type in ("parenthesized_expression", "condition_clause") and node.named_child_count == 1:
        node = node.named_children[0]
    return node


def plain(text: str) -> str:
    """A text without white space."""
    return "".join(text.split())


def tame(node: Node) -> bool:
    """Whether there are no comments, preprocessor lines, lambdas or jumps to labels in it: its text may be laid out anew."""
    odd = ("comment", "lambda_expression", "goto_statement", "labeled_statement", "ERROR")
    return not any(n.type in odd or n.type.startswith("preproc") for n in walk(node))


def names(node: Node) -> set[str]:
    """The identifiers in it."""
    return {said(n) for n in walk(node, "identifier")}


def pure(node: Node) -> bool:
    """Whether evaluating it changes nothing: no assignments, and calls of mathematical functions only."""
    for n in walk(node):
        if n.type in ("assignment_expression", "update_expression", "lambda_expression", "comment", "new_expression"):
            return False
        if n.type == "call_expression":
            called = n.child_by_field_name("function")
            name = (
                said(called.child_by_field_name("name"))
                if called is not None and called.type == "template_function"
                else said(called)
            )
            if name not in CALM:
                return False
    return True


def base(node: Node) -> str:
    """The variable that an assignment's left side begins with."""
    while True:
        inner = node.child_by_field_name("argument") or (node.named_children[0] if node.named_children else None)
        if node.type == "identifier" or inner is None:
            return said(node)
        node = inner


def targets(node: Node) -> Iterator[Node]:
    """What is assigned to, incremented, has its address taken, or is given to a function that takes references."""
    top = node
    while top.parent is not None:
        top = top.parent
    references = _taking_references(top.text or b"")
    for n in walk(node):
        if n.type == "call_expression" and references and n.children[0].type != "template_function":
            called, given = (
                said(n.child_by_field_name("function")).rpartition(".")[2],
                n.child_by_field_name("arguments"),
            )
            yield from given.named_children if given is not None and called in references else ()
        if n.type == "assignment_expression":
            yield sides(n)[0]
        elif n.type == "update_expression" or (n.type == "pointer_expression" and said(n.children[0]) == "&"):
            argument = n.child_by_field_name("argument")
            if argument is not None and not (n.type == "pointer_expression" and _in_cached_load(n)):
                yield argument


@lru_cache(maxsize=256)
def _taking_references(text: bytes) -> frozenset[str]:
    """The functions of a text that take a parameter by reference."""
    if b"&" not in text:
        return frozenset()
    found = set()
    for node in walk(parser().parse(text).root_node, "function_declarator"):
        name, listed = node.child_by_field_name("declarator"), node.child_by_field_name("parameters")
        if listed is not None and any(
            True for _ in walk(listed, "reference_declarator", "abstract_reference_declarator")
        ):
            found.add(said(name))
    return frozenset(found)


def _in_cached_load(node: Node) -> bool:
    call = node.parent.parent if node.parent is not None else None
    return call is not None and call.type == "call_expression" and said(call.child_by_field_name("function")) == "__ldg"


def assigned(node: Node) -> set[str]:
    """The variables that are assigned to as a whole, or have their address taken."""
    return {said(t) for t in map(bare, targets(node)) if t.type == "identifier"}


def stored(node: Node) -> set[str]:
    """The variables through which memory is written, arrays or pointers; a field of a vector counts as well."""
    return {base(t) for t in map(bare, targets(node)) if t.type != "identifier"}


def calls(node: Node) -> set[str]:
    """The names of functions that are called."""
    return {said(n.child_by_field_name("function")) for n in walk(node, "call_expression")}


def collective(node: Node) -> bool:
    """Whether threads meet in it: barriers, shuffles, atomics, shared memory."""
    return "__shared__" in said(node) or any(n.startswith(_MEETING) for n in names(node))


BUILT_IN = {"threadIdx", "blockIdx", "blockDim", "gridDim", "warpSize"}


def placed(root: Node) -> set[str]:
    """The functions (not kernels) and macros of a program in which threads meet, or that ask which thread it is."""
    found: set[str] = set()
    macros = {said(n.child_by_field_name("name")): _words(n) for n in walk(root, "preproc_def", "preproc_function_def")}
    bodies = {}
    for node in walk(root, "function_definition"):
        head, body = node.child_by_field_name("declarator"), node.child_by_field_name("body")
        if head is not None and body is not None and not any(c.type == "__global__" for c in node.children):
            inner = next(iter(walk(head, "function_declarator")), head).child_by_field_name("declarator")
            bodies[said(inner)] = _words(body)
    while True:
        odd = {n for n, words in (macros | bodies).items() if words & (BUILT_IN | found | {"__shared__", "asm"})}
        odd |= {n for n, words in (macros | bodies).items() if any(w.startswith(_MEETING) for w in words)}
        odd |= {n for n, words in macros.items() if "return" in words}
        if odd <= found:
            return found
        found |= odd


def _words(node: Node) -> set[str]:
    return set("".join(c if c.isalnum() or c == "_" else " " for c in said(node)).split())


def jumps(node: Node, *kinds: str) -> bool:
    """Whether `break`, `continue` or `return` (by the kinds given) can leave it; those of loops in it stay in it."""
    if node.type in kinds:
        return True
    inner = kinds
    if node.type in ("for_statement", "while_statement", "do_statement", "for_range_loop"):
        inner = tuple(k for k in kinds if k == "return_statement")
    elif node.type == "switch_statement":
        inner = tuple(k for k in kinds if k != "break_statement")
    return any(jumps(child, *inner) for child in node.named_children)


def declared(node: Node) -> set[str]:
    """The names of variables declared in it."""
    found = set()
    for declaration in walk(node, "declaration", "for_range_loop"):
        for one in declaration.children_by_field_name("declarator"):
            found |= {said(n) for n in walk(_name(one), "identifier")}
    return found


def _name(declarator: Node) -> Node:
    """A declarator without its value, stars and brackets."""
    inner = declarator.child_by_field_name("declarator")
    if declarator.type == "reference_declarator" and declarator.named_children:
        inner = declarator.named_children[-1]
    return declarator if inner is None else _name(inner)


def initialised(declaration: Node) -> list[tuple[str, Node | None]] | None:
    """(name, value) of each declarator; None where one is a pointer, an array or initialised by braces or parentheses."""
    found: list[tuple[str, Node | None]] = []
    for one in declaration.children_by_field_name("declarator"):
        name = one.child_by_field_name("declarator") if one.type == "init_declarator" else one
        value = one.child_by_field_name("value") if one.type == "init_declarator" else None
        if (
            name is None
            or name.type != "identifier"
            or (value is not None and value.type in ("initializer_list", "argument_list"))
        ):
            return None
        found.append((said(name), value))
    return found or None


def prefix(declaration: Node) -> str:
    """The text of a declaration before its first declarator: qualifiers and type."""
    first = declaration.children_by_field_name("declarator")[0]
    return (declaration.text or b"")[: first.start_byte - declaration.start_byte].decode().strip()


def statements(block: Node) -> list[Node]:
    """The statements of a block, or the one statement."""
    return [n for n in block.named_children if n.type != "comment"] if block.type == "compound_statement" else [block]


def blocks(function: Function) -> list[Node]:
    """Every block of a function, the outermost first."""
    return list(walk(function.body, "compound_statement"))


def types(function: Function) -> dict[str, str | None]:
    """The type of each name, `T*` for pointers and arrays; None for a name with two."""
    found: dict[str, str | None] = {}

    def add(name: str, kind: str) -> None:
        found[name] = kind if found.get(name, kind) == kind else None

    for p in function.parameters:
        add(p.name, p.type + "*" * p.pointer)
    for declaration in walk(function.body, "declaration"):
        kind = " ".join(said(declaration.child_by_field_name("type")).split())
        for one in declaration.children_by_field_name("declarator"):
            stars = "*" * sum(True for _ in walk(one, "pointer_declarator", "array_declarator"))
            add(said(_name(one)), kind + stars)
    return found


_RANK = ("bool", "unsigned char", "int", "unsigned", "long long", "float", "double")
_INTEGERS = ("int", "unsigned", "long long")
_FLOATS = MATH - {"__ldg", "max", "min", "abs"}


def type_of(node: Node, known: dict[str, str | None]) -> str | None:
    """The type of an expression where that is sure: bool, int, unsigned, long long, float, double, `T*`; else None."""
    node = bare(node)
    match node.type:
        case "number_literal":
            text = said(node).lower()
            if text.startswith("0x"):
                return None
            if any(c in text for c in ".e"):
                return "float" if text.endswith("f") else "double"
            return "int" if text.isdigit() else "unsigned" if text.endswith("u") and text[:-1].isdigit() else None
        case "identifier":
            return "float" if said(node) == "INFINITY" else known.get(said(node))
        case "field_expression":
            return "unsigned" if base(node) in ("threadIdx", "blockIdx", "blockDim", "gridDim") else None
        case "cast_expression":
            kind = " ".join(said(node.child_by_field_name("type")).split())
            return kind if kind in _RANK else None
        case "subscript_expression":
            argument = node.child_by_field_name("argument")
            of = type_of(argument, known) if argument is not None else None
            return of[:-1] if of is not None and of.endswith("*") else None
        case "unary_expression":
            argument = node.child_by_field_name("argument")
            if operator(node) == "!":
                return "bool"
            of = type_of(argument, known) if argument is not None else None
            return of if of in (*_INTEGERS, "float", "double") else None
        case "call_expression":
            return "float" if said(node.child_by_field_name("function")) in _FLOATS else None
        case "conditional_expression":
            first, second = (node.child_by_field_name(f) for f in ("consequence", "alternative"))
            assert first is not None and second is not None
            of = type_of(first, known)
            return of if of == type_of(second, known) else None
        case "binary_expression":
            return _arithmetic(operator(node), *(type_of(side, known) for side in sides(node)))
    return None


def _arithmetic(sign: str, left: str | None, right: str | None) -> str | None:
    if PRECEDENCE.get(sign, 0) in (1, 2, 6, 7):
        return "bool"
    if left is None or right is None:
        return None
    if left.endswith("*") or right.endswith("*"):
        pointer, other = (left, right) if left.endswith("*") else (right, left)
        return pointer if sign in "+-" and other in _INTEGERS else None
    if left not in _RANK or right not in _RANK:
        return None
    return _RANK[max(_RANK.index(left), _RANK.index(right), _RANK.index("int"))]


def integral(node: Node, known: dict[str, str | None]) -> bool:
    """Whether it surely is an integer."""
    return type_of(node, known) in _INTEGERS


def operand(node: Node, sign: str, right: bool = False) -> str:
    """An expression's text as an operand of this operator: in parentheses where it binds less tightly, and nowhere else."""
    inner = bare(node)
    if inner.type == "binary_expression":
        mine, outer = PRECEDENCE.get(operator(inner), 0), PRECEDENCE[sign]
        return f"({said(inner)})" if mine < outer or (right and mine == outer) else said(inner)
    return f"({said(inner)})" if inner.type in _LOOSE else said(inner)


_PRIMARY = (
    "identifier",
    "number_literal",
    "parenthesized_expression",
    "field_expression",
    "subscript_expression",
    "call_expression",
)


def primary(node: Node) -> bool:
    """Whether it may be written behind any operator without parentheses."""
    return node.type in _PRIMARY


def roomy(node: Node) -> bool:
    """Whether an expression of the lowest precedence may stand in this node's place without parentheses."""
    parent = node.parent
    if parent is None:
        return False
    if parent.type in (
        "init_declarator",
        "parenthesized_expression",
        "argument_list",
        "subscript_argument_list",
        "return_statement",
    ):
        return True
    return parent.type == "assignment_expression" and sides(parent)[1] == node


def unconditional(node: Node, top: Node) -> bool:
    """Whether an expression in a statement is evaluated whenever that statement is: not behind a condition or in a loop of it."""
    inside: Node | None = node
    while inside is not None and inside != top:
        parent = inside.parent
        if parent is None:
            return False
        if (
            parent.type in ("conditional_expression", "if_statement")
            and parent.child_by_field_name("condition") != inside
        ):
            return False
        if parent.type in ("for_statement", "while_statement", "do_statement", "switch_statement", "lambda_expression"):
            return False
        if parent.type == "binary_expression" and operator(parent) in ("&&", "||") and sides(parent)[1] == inside:
            return False
        inside = parent
    return True


def negated(condition: Node, known: dict[str, str | None]) -> str:
    """The opposite of a condition; of a comparison of integers the opposite comparison."""
    inner = bare(condition)
    opposite = {"<": ">=", ">=": "<", ">": "<=", "<=": ">", "==": "!=", "!=": "=="}
    if inner.type == "unary_expression" and operator(inner) == "!":
        argument = inner.child_by_field_name("argument")
        assert argument is not None
        return said(bare(argument))
    if (
        inner.type == "binary_expression"
        and operator(inner) in opposite
        and all(integral(s, known) for s in sides(inner))
    ):
        left, right = sides(inner)
        return f"{said(left)} {opposite[operator(inner)]} {said(right)}"
    return f"!({said(inner)})"
