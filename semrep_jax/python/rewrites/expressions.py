"""Rules about single expressions and plain assignments."""

from __future__ import annotations

from typing import Any

import libcst as cst

from semrep_jax.python.rewrites.rule import Block, Function, Rule, calm, code, expression, inside, small, statement

_AUGMENTED = {
    cst.AddAssign: "+", cst.SubtractAssign: "-", cst.MultiplyAssign: "*", cst.FloorDivideAssign: "//", cst.ModuloAssign: "%",
    cst.DivideAssign: "/", cst.PowerAssign: "**",
}  # fmt: skip
_PLAIN = {
    cst.Add: "+=", cst.Subtract: "-=", cst.Multiply: "*=", cst.FloorDivide: "//=", cst.Modulo: "%=", cst.Divide: "/=", cst.Power: "**=",
}  # fmt: skip


def _whole(node: cst.BaseExpression) -> bool:
    """Whether it surely is an integer: a literal, a length, or arithmetic of such."""
    if isinstance(node, cst.Integer):
        return True
    if isinstance(node, cst.Call):
        return isinstance(node.func, cst.Name) and node.func.value in ("len", "ord", "int")
    return (
        isinstance(node, cst.BinaryOperation)
        and _whole(node.left)
        and _whole(node.right)
        and type(node.operator) in (cst.Add, cst.Multiply)
    )


def commute(node: cst.BaseExpression, function: Function) -> cst.BaseExpression | None:
    """a + 1  ->  1 + a, and of products, where one side is an integer: the other is a number then, or a sequence times it"""
    if not isinstance(node, cst.BinaryOperation) or not isinstance(node.operator, (cst.Add, cst.Multiply)):
        return None
    if not (_whole(node.left) or _whole(node.right)) or not (calm(node.left) and calm(node.right)):
        return None
    return expression(f"({inside(node.right)} {code(node.operator).strip()} {inside(node.left)})")


def subtract_as_add(node: cst.BaseExpression, function: Function) -> cst.BaseExpression | None:
    """a - 1  ->  a + -1"""
    if (
        not isinstance(node, cst.BinaryOperation)
        or not isinstance(node.operator, cst.Subtract)
        or not isinstance(node.right, cst.Integer)
    ):
        return None
    return expression(f"({inside(node.left)} + -{code(node.right)})")


def add_as_subtract(node: cst.BaseExpression, function: Function) -> cst.BaseExpression | None:
    """a + -1  ->  a - 1"""
    if not isinstance(node, cst.BinaryOperation) or not isinstance(node.operator, cst.Add):
        return None
    right = node.right
    if (
        not isinstance(right, cst.UnaryOperation)
        or not isinstance(right.operator, cst.Minus)
        or not isinstance(right.expression, cst.Integer)
    ):
        return None
    return expression(f"({inside(node.left)} - {code(right.expression)})")


def fstring_to_format(node: cst.BaseExpression, function: Function) -> cst.BaseExpression | None:
    """f"{a}-{b}"  ->  "{}-{}".format(a, b)"""
    parts = _parts(node)
    if parts is None:
        return None
    text = "".join(p.replace("{", "{{").replace("}", "}}") if isinstance(p, str) else "{}" for p in parts)
    return expression(f"{text!r}.format({', '.join(code(p) for p in parts if not isinstance(p, str))})")


def fstring_to_concatenation(node: cst.BaseExpression, function: Function) -> cst.BaseExpression | None:
    """f"{a}-{b}"  ->  str(a) + "-" + str(b); format() of a plain object is its str()"""
    parts = _parts(node)
    if parts is None or len(parts) < 2 or "str" in function.stored:
        return None
    return expression(f"({' + '.join(repr(p) if isinstance(p, str) else f'str({code(p)})' for p in parts)})")


def format_to_fstring(node: cst.BaseExpression, function: Function) -> cst.BaseExpression | None:
    """ "{}-{}".format(a, b)  ->  f"{a}-{b}", for names"""
    if not isinstance(node, cst.Call) or not isinstance(node.func, cst.Attribute) or node.func.attr.value != "format":
        return None
    text = node.func.value
    if (
        not isinstance(text, cst.SimpleString)
        or text.prefix
        or any(a.keyword or a.star or not isinstance(a.value, cst.Name) for a in node.args)
    ):
        return None
    value = text.evaluated_value
    if (
        not isinstance(value, str)
        or value.count("{}") != len(node.args)
        or value.replace("{}", "").strip("{}") != value.replace("{}", "")
    ):
        return None
    pieces = value.split("{}")
    if any("{" in p or "}" in p or "\\" in repr(p) for p in pieces):
        return None
    body = pieces[0] + "".join(f"{{{code(a.value)}}}{p}" for a, p in zip(node.args, pieces[1:], strict=True))
    quote = "'" if '"' in body else '"'
    return expression(f"f{quote}{body}{quote}") if quote not in body else None


def _parts(node: cst.BaseExpression) -> list[str | cst.BaseExpression] | None:
    """Texts and expressions of an f-string without conversions and formats, else None."""
    if not isinstance(node, cst.FormattedString) or "r" in node.start.lower():
        return None
    found: list[str | cst.BaseExpression] = []
    for part in node.parts:
        if isinstance(part, cst.FormattedStringText):
            value = cst.parse_expression(f'"""{part.value}"""') if not part.value.endswith('"') else None
            if not isinstance(value, cst.SimpleString) or not isinstance(value.evaluated_value, str):
                return None
            found.append(value.evaluated_value.replace("{{", "{").replace("}}", "}"))
        elif (
            isinstance(part, cst.FormattedStringExpression)
            and not part.conversion
            and not part.format_spec
            and not part.equal
        ):
            found.append(part.expression)
        else:
            return None
    return found or None


def max_to_ternary(node: cst.BaseExpression, function: Function) -> cst.BaseExpression | None:
    """max(a, b)  ->  (b if b > a else a), both calm; and of min. On a tie both give the first."""
    if (
        not isinstance(node, cst.Call)
        or not isinstance(node.func, cst.Name)
        or node.func.value not in ("max", "min")
        or len(node.args) != 2
    ):
        return None
    if any(a.keyword or a.star for a in node.args) or node.func.value in function.stored:
        return None
    a, b = (arg.value for arg in node.args)
    if not (calm(a) and calm(b)):
        return None
    sign = ">" if node.func.value == "max" else "<"
    return expression(f"({inside(b)} if {inside(b)} {sign} {inside(a)} else {inside(a)})")


def ternary_to_max(node: cst.BaseExpression, function: Function) -> cst.BaseExpression | None:
    """(b if b > a else a)  ->  max(a, b), and so for min"""
    if not isinstance(node, cst.IfExp) or not isinstance(node.test, cst.Comparison) or len(node.test.comparisons) != 1:
        return None
    one = node.test.comparisons[0]
    b, a = code(node.test.left), code(one.comparator)
    if (code(node.body), code(node.orelse)) != (b, a) or not isinstance(one.operator, (cst.GreaterThan, cst.LessThan)):
        return None
    name = "max" if isinstance(one.operator, cst.GreaterThan) else "min"
    return None if name in function.names else expression(f"{name}({a}, {b})")


def reverse_by_slice(node: cst.BaseExpression, function: Function) -> cst.BaseExpression | None:
    """list(reversed(x))  ->  list(x)[::-1]"""
    inner = _call(_call(node, "list"), "reversed")
    return expression(f"list({code(inner)})[::-1]") if inner is not None and "list" not in function.stored else None


def literal_to_call(node: cst.BaseExpression, function: Function) -> cst.BaseExpression | None:
    """[]  ->  list(), {}  ->  dict()"""
    for kind, name in ((cst.List, "list"), (cst.Dict, "dict")):
        if isinstance(node, kind) and not node.elements and name not in function.stored:
            return expression(f"{name}()")
    return None


def call_to_literal(node: cst.BaseExpression, function: Function) -> cst.BaseExpression | None:
    """list()  ->  [], dict()  ->  {}"""
    if (
        isinstance(node, cst.Call)
        and not node.args
        and isinstance(node.func, cst.Name)
        and node.func.value not in function.stored
    ):
        text = {"list": "[]", "dict": "{}"}.get(node.func.value)
        return expression(text) if text else None
    return None


def quotes(node: cst.BaseExpression, function: Function) -> cst.BaseExpression | None:
    """'a'  ->  "a", or the other way"""
    if not isinstance(node, cst.SimpleString) or node.prefix or len(node.quote) != 1 or "\\" in node.value:
        return None
    other = '"' if node.quote == "'" else "'"
    return (
        None
        if other in node.raw_value
        else cst.SimpleString(f"{other}{node.raw_value}{other}", lpar=node.lpar, rpar=node.rpar)
    )


def to_plain(block: Block, i: int, function: Function) -> tuple[int, list[Any]] | None:
    """x += e  ->  x = x + e"""
    one = small(block[i])
    if (
        not isinstance(one, cst.AugAssign)
        or not isinstance(one.target, cst.Name)
        or type(one.operator) not in _AUGMENTED
    ):
        return None
    name = one.target.value
    return 1, [statement(f"{name} = {name} {_AUGMENTED[type(one.operator)]} {inside(one.value)}")]


def to_augmented(block: Block, i: int, function: Function) -> tuple[int, list[Any]] | None:
    """x = x + e  ->  x += e"""
    one = small(block[i])
    if not isinstance(one, cst.Assign) or len(one.targets) != 1 or not isinstance(one.value, cst.BinaryOperation):
        return None
    target, value = one.targets[0].target, one.value
    if not isinstance(target, cst.Name) or code(value.left) != target.value or type(value.operator) not in _PLAIN:
        return None
    return 1, [statement(f"{target.value} {_PLAIN[type(value.operator)]} {code(value.right)}")]


def _call(node: cst.BaseExpression | None, name: str) -> cst.BaseExpression | None:
    """The one plain argument of a call of `name`, else None."""
    if (
        not isinstance(node, cst.Call)
        or not isinstance(node.func, cst.Name)
        or node.func.value != name
        or len(node.args) != 1
    ):
        return None
    return None if node.args[0].keyword or node.args[0].star else node.args[0].value


RULES = (
    Rule("commute", "commute", expression=commute),
    Rule("subtract_as_add", "add_as_subtract", expression=subtract_as_add),
    Rule("add_as_subtract", "subtract_as_add", expression=add_as_subtract),
    Rule("fstring_to_format", "format_to_fstring", expression=fstring_to_format),
    Rule("fstring_to_concatenation", expression=fstring_to_concatenation),
    Rule("format_to_fstring", "fstring_to_format", expression=format_to_fstring),
    Rule("max_to_ternary", "ternary_to_max", expression=max_to_ternary),
    Rule("ternary_to_max", "max_to_ternary", expression=ternary_to_max),
    Rule("reverse_by_slice", expression=reverse_by_slice),
    Rule("literal_to_call", "call_to_literal", expression=literal_to_call),
    Rule("call_to_literal", "literal_to_call", expression=call_to_literal),
    Rule("quotes", "quotes", expression=quotes),
    Rule("to_plain", "to_augmented", block=to_plain),
    Rule("to_augmented", "to_plain", block=to_augmented),
)
