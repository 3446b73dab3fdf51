"""Inputs for a function that nobody has described: from its doctests, its type hints, or by trying what it takes.

    calls = generate(source, "f", sandbox, count=200, seed=0)      # argument tuples in wire form

Hypothesis draws the values. Where a parameter has no hint, one call with each combination of likely types is run contained, and those
that end in TypeError or AttributeError are not drawn from again. The same seed gives the same calls.
"""

from __future__ import annotations

import ast
import itertools
import warnings
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from semrep_jax.programs import SemRepError
from semrep_jax.sandbox.pool import Limits, Sandbox
from semrep_jax.sandbox.wire import Unencodable, encode

LIMITS = Limits(cpu_seconds=2.0, wall_seconds=6.0, memory_mb=512)
MOST_COMBINATIONS, KEPT_COMBINATIONS = 150, 4
Strategy = st.SearchStrategy[Any]


class InputError(SemRepError):
    """The function to be called is not there, or can't be called with plain values."""


def _texts() -> Strategy:
    return st.text("abcABC xyz019(){}[],.-", max_size=12)


def _numbers() -> Strategy:
    return st.one_of(st.integers(-10, 30), st.integers(0, 5), st.integers(-1000, 1000))


def _floats() -> Strategy:
    return st.floats(-100, 100, width=32) | st.sampled_from([0.0, -0.0, 0.1, 0.5, 1e10, 1e-7])


GUESSES: dict[str, Strategy] = {
    "int": _numbers(),
    "list[int]": st.lists(_numbers(), max_size=8),
    "str": _texts(),
    "float": _floats(),
    "list[str]": st.lists(_texts(), max_size=5),
    "list[float]": st.lists(_floats(), max_size=6),
    "list[list[int]]": st.lists(st.lists(_numbers(), max_size=4), max_size=4),
    "dict[str, int]": st.dictionaries(_texts(), _numbers(), max_size=4),
    "bool": st.booleans(),
    "tuple[int, int]": st.tuples(_numbers(), _numbers()),
    "set[int]": st.sets(_numbers(), max_size=5),
    "list[tuple[int, int]]": st.lists(st.tuples(_numbers(), _numbers()), max_size=4),
}
_ONE: dict[str, Any] = {
    "int": 3, "list[int]": [3, 1, 2], "str": "abc", "float": 1.5, "list[str]": ["ab", "c"], "list[float]": [1.5, 2.0],
    "list[list[int]]": [[1, 2], [3, 4]], "dict[str, int]": {"a": 1}, "bool": True, "tuple[int, int]": (1, 2), "set[int]": {1, 2},
    "list[tuple[int, int]]": [(1, 2), (3, 4)],
}  # fmt: skip


def functions(source: str) -> dict[str, ast.FunctionDef]:
    """The functions at the top of a program. Raises InputError where it does not parse."""
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise InputError(f"the program is not valid Python (line {error.lineno}: {error.msg})") from error
    return {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}


def generate(source: str, entry: str, sandbox: Sandbox, count: int = 200, seed: int = 0) -> list[Any]:
    """At most `count` different argument tuples in wire form, its doctests' first. Raises InputError."""
    function = functions(source).get(entry)
    if function is None:
        raise InputError(f"there is no function {entry!r} at the top of the program; there are {', '.join(functions(source)) or 'none'}")
    if function.args.kwonlyargs and any(d is None for d in function.args.kw_defaults):
        raise InputError(f"{entry} needs keyword arguments; give tests instead")
    parameters = [*function.args.posonlyargs, *function.args.args]
    found = [encode(call) for call in doctests(function)]
    if not parameters:
        return [encode(())]
    choices = _combinations(source, entry, parameters, sandbox, seed)
    share = -(-count // max(1, len(choices)))
    for n, strategies in enumerate(choices):
        found += [encode(call) for call in draw(st.tuples(*strategies), share, seed + n)]
    seen: dict[str, Any] = {repr(call): call for call in found}
    return list(seen.values())[:count]


def draw(strategy: Strategy, count: int, number: int) -> list[Any]:
    """`count` draws of a strategy, the same for the same number."""
    found: list[Any] = []

    @seed(number)
    @settings(max_examples=count, phases=[Phase.generate], database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def collect(value: Any) -> None:
        found.append(value)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        collect()
    return found


def doctests(function: ast.FunctionDef) -> list[tuple[Any, ...]]:
    """Arguments of the calls of itself, with plain values, in a function's docstring."""
    found = []
    for line in (ast.get_docstring(function) or "").splitlines():
        text = line.strip().removeprefix(">>>").strip()
        if not line.strip().startswith(">>>") or f"{function.name}(" not in text:
            continue
        try:
            calls = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == function.name]
            found += [tuple(ast.literal_eval(a) for a in call.args) for call in calls if not call.keywords]
            encode(found[-1] if found else ())
        except (SyntaxError, ValueError, TypeError, Unencodable):
            continue
    return found


def hinted(annotation: ast.expr | None) -> Strategy | None:
    """The strategy of a type hint; None where there is none or it says nothing we can draw."""
    if annotation is None:
        return None
    if isinstance(annotation, ast.Constant):
        if annotation.value is None:
            return st.none()
        if isinstance(annotation.value, str):
            try:
                return hinted(ast.parse(annotation.value, mode="eval").body)
            except SyntaxError:
                return None
        return None
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        sides = hinted(annotation.left), hinted(annotation.right)
        return None if sides[0] is None or sides[1] is None else sides[0] | sides[1]
    name = annotation.id if isinstance(annotation, ast.Name) else annotation.attr if isinstance(annotation, ast.Attribute) else ""
    if name:
        plain = {"int": _numbers(), "float": _floats(), "str": _texts(), "bool": st.booleans(), "bytes": st.binary(max_size=6)}
        bare = {"list": "list[int]", "List": "list[int]", "dict": "dict[str, int]", "Dict": "dict[str, int]", "set": "set[int]",
                "Set": "set[int]", "tuple": "tuple[int, int]", "Tuple": "tuple[int, int]", "Sequence": "list[int]",
                "Iterable": "list[int]"}  # fmt: skip
        return plain[name] if name in plain else GUESSES[bare[name]] if name in bare else None
    return _subscripted(annotation) if isinstance(annotation, ast.Subscript) else None


def _subscripted(annotation: ast.Subscript) -> Strategy | None:
    head = annotation.value
    name = head.id if isinstance(head, ast.Name) else head.attr if isinstance(head, ast.Attribute) else ""
    inner = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
    variadic = len(inner) == 2 and isinstance(inner[1], ast.Constant) and inner[1].value is Ellipsis
    parts = [hinted(i) for i in (inner[:1] if variadic else inner)]
    known = [p for p in parts if p is not None]
    if len(known) != len(parts):
        return None
    match name.lower():
        case "list" | "sequence" | "iterable" | "collection" | "iterator":
            return st.lists(known[0], max_size=8)
        case "set" | "frozenset":
            return st.sets(known[0], max_size=6)
        case "dict" | "mapping":
            return st.dictionaries(known[0], known[1], max_size=5) if len(known) == 2 else None
        case "optional":
            return st.none() | known[0]
        case "union":
            return st.one_of(*known)
        case "tuple":
            return st.lists(known[0], max_size=6).map(tuple) if variadic else st.tuples(*known)
    return None


def _combinations(source: str, entry: str, parameters: list[ast.arg], sandbox: Sandbox, number: int) -> list[list[Strategy]]:
    """For each combination of types that the function takes, a strategy for each parameter."""
    known = [hinted(p.annotation) for p in parameters]
    open_ = [i for i, strategy in enumerate(known) if strategy is None]
    if not open_:
        return [[s for s in known if s is not None]]
    samples = [None if s is None else draw(s, 1, number)[0] for s in known]
    combinations = list(itertools.product(GUESSES, repeat=len(open_))) if len(open_) <= 3 else []
    rng = Random(number)
    combinations += [tuple(rng.choices(list(GUESSES), k=len(open_))) for _ in range(MOST_COMBINATIONS - len(combinations))]
    if len(combinations) > MOST_COMBINATIONS:
        same = [c for c in combinations if len(set(c)) == 1]
        combinations = same + rng.sample([c for c in combinations if len(set(c)) > 1], MOST_COMBINATIONS - len(same))
    calls = []
    for combination in combinations:
        values = list(samples)
        for i, kind in zip(open_, combination, strict=True):
            values[i] = _ONE[kind]
        calls.append(encode(tuple(values)))
    seen = sandbox.run(source, entry, calls, LIMITS)
    if len(seen.outcomes) != len(calls):
        return [[s if s is not None else GUESSES["int"] for s in known]]
    taken = [c for c, o in zip(combinations, seen.outcomes, strict=True) if o.error not in ("TypeError", "AttributeError")]
    right = [c for c, o in zip(combinations, seen.outcomes, strict=True) if o.error is None]
    chosen = (right or taken or [("int",) * len(open_)])[:KEPT_COMBINATIONS]
    result = []
    for combination in chosen:
        strategies = list(known)
        for i, kind in zip(open_, combination, strict=True):
            strategies[i] = GUESSES[kind]
        result.append([s for s in strategies if s is not None])
    return result
