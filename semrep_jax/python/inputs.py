"""Inputs for a function that nobody has described: from its doctests, its type hints, or by trying what it takes.

    calls = generate(source, "f", sandbox, count=200, seed=0)      # argument tuples in wire form

Hypothesis draws the values; the program's own constants, and the neighbours of what its doctests give, are among them. Where a parameter
has no hint, one call with each combination of likely types is run contained, and those that end in TypeError or AttributeError are not
drawn from again. The same seed gives the same calls.
"""

from __future__ import annotations

import ast
import itertools
import warnings
from collections.abc import Sequence
from functools import lru_cache
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from semrep_jax.core import syntax
from semrep_jax.core.errors import SemRepError
from semrep_jax.sandbox.pool import Limits, Sandbox
from semrep_jax.sandbox.wire import Unencodable, encode

LIMITS = Limits(cpu_seconds=2.0, wall_seconds=6.0, memory_mb=512)
MOST_COMBINATIONS, KEPT_COMBINATIONS, ROUNDS, POOL = 150, 4, 3, 100
Strategy = st.SearchStrategy[Any]


class InputError(SemRepError):
    """The function to be called is not there, or can't be called with plain values."""


def _texts() -> Strategy:
    return st.text("abcABC xyz019(){}[],.-", max_size=12)


def _numbers() -> Strategy:
    return st.one_of(st.integers(-10, 30), st.integers(0, 5), st.integers(-1000, 1000))


def _floats() -> Strategy:
    return st.floats(-100, 100) | st.floats(-4, 4, width=16) | st.sampled_from([0.0, -0.0, 0.1, 0.5, 1e10, 1e-7])


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
        tree = syntax.module(source)
    except SyntaxError as error:
        raise InputError(f"the program is not valid Python (line {error.lineno}: {error.msg})") from error
    return {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}


def generate(
    source: str, entry: str, sandbox: Sandbox, count: int = 200, seed: int = 0, examples: Sequence[tuple[Any, ...]] = ()
) -> list[Any]:
    """At most `count` different argument tuples in wire form: `examples` and its docstring's first, then their neighbours (a third, where
    there are such), then draws and their neighbours, in which the program's own texts and numbers take part. Raises InputError."""
    function = functions(source).get(entry)
    if function is None:
        raise InputError(
            f"there is no function {entry!r} at the top of the program; there are {', '.join(functions(source)) or 'none'}"
        )
    if function.args.kwonlyargs and any(d is None for d in function.args.kw_defaults):
        raise InputError(f"{entry} needs keyword arguments; give tests instead")
    parameters = [*function.args.posonlyargs, *function.args.args]
    if not parameters:
        return [encode(())]
    given = [*examples, *doctests(entry, ast.get_docstring(function) or "")]
    rng = Random(seed)
    words = constants(source)
    found = [encode(call) for call in given]
    if given:
        found += [encode(near(rng.choice(given), rng, words)) for _ in range(count // 3)]
    choices = _combinations(source, entry, parameters, sandbox, seed)
    seen: dict[str, Any] = {repr(call): call for call in found}
    for n in range(ROUNDS * count):  # draws repeat each other: until there are enough different ones
        if len(seen) >= count:
            break
        drawn = tuple(rng.choice(values(kind)) for kind in choices[n % len(choices)])
        call = encode(_spiced(near(drawn, rng, words) if n % 2 else drawn, rng, words))
        seen.setdefault(repr(call), call)
    return list(seen.values())[:count]


@lru_cache(maxsize=512)
def values(kind: str) -> list[Any]:
    """POOL draws of a kind: one of GUESSES, or a type hint as it is written. Drawn once in a process; calls are put together of them."""
    strategy = GUESSES[kind] if kind in GUESSES else hinted(syntax.expression(kind).body)
    assert strategy is not None
    return sample_values(strategy, POOL, 0)


def constants(source: str) -> list[Any]:
    """The texts and numbers that a program compares with and looks for: short ones, in order."""
    tree = syntax.module(source)
    documented = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    found = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and id(n) not in documented]
    return list(
        dict.fromkeys(v for v in found if (type(v) is str and 0 < len(v) <= 20) or (type(v) is int and 1 < v < 10**6))
    )


def _spiced(call: tuple[Any, ...], rng: Random, words: list[Any]) -> tuple[Any, ...]:
    """One argument of every third call is a constant of the program's own, or holds one, where the types agree."""
    if not words or rng.random() > 1 / 3:
        return call
    i, word = rng.randrange(len(call)), rng.choice(words)
    if type(call[i]) is type(word):
        return (
            *call[:i],
            word if rng.random() < 0.5 or type(word) is int else call[i][:4] + word + call[i][4:],
            *call[i + 1 :],
        )
    if isinstance(call[i], list) and call[i] and type(call[i][0]) is type(word):
        return (*call[:i], [*call[i][:-1], word], *call[i + 1 :])
    return call


def near(value: Any, rng: Random, words: list[Any]) -> Any:
    """A value one small step from another, of the same type: a number next to it, a text or sequence with one place changed."""
    if type(value) is bool:
        return not value
    if type(value) is int:
        return value + rng.choice([-1, 1, -10, 10, value, -2 * value])
    if type(value) is float:
        return value * rng.choice([0.5, -1.0, 2.0]) + rng.choice([0.0, 1.0, -0.5])
    if type(value) is str:
        texts = [w for w in words if type(w) is str] or ["a"]
        i, j = (rng.randrange(len(value) + 1) for _ in range(2))
        letter = value[j : j + 1] if rng.random() < 0.5 else rng.choice("019aAzZ -.")
        return rng.choice(
            [
                value[:i] + letter + value[i + 1 :],
                value[:i] + value[i + 1 :],
                value[:i] + rng.choice(texts) + value[i:],
                value[i:],
            ]
        )
    if type(value) in (list, tuple) and value:
        i = rng.randrange(len(value))
        changed = [*value[:i], near(value[i], rng, words), *value[i + 1 :]]
        if type(value) is list:
            return rng.choice([changed, [*value[:i], *value[i + 1 :]], [*value, value[i]], value[::-1]])
        return tuple(changed)
    if type(value) is dict and value:
        key = rng.choice(list(value))
        return {**value, key: near(value[key], rng, words)}
    return value


def sample_values(strategy: Strategy, count: int, number: int) -> list[Any]:
    """`count` draws of a strategy, the same for the same number."""
    found: list[Any] = []

    @seed(number)
    @settings(
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(value: Any) -> None:
        found.append(value)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        collect()
    return found


def doctests(name: str, text: str) -> list[tuple[Any, ...]]:
    """Arguments of the calls of a function, with plain values, in the doctests of a text."""
    found = []
    for line in text.splitlines():
        example = line.strip().removeprefix(">>>").strip()
        if not line.strip().startswith(">>>") or f"{name}(" not in example:
            continue
        try:
            calls = [
                n
                for n in ast.walk(syntax.module(example))
                if isinstance(n, ast.Call) and getattr(n.func, "id", "") == name
            ]
            given = [tuple(ast.literal_eval(a) for a in call.args) for call in calls if not call.keywords]
            found += [call for call in given if encode(call)]
        except (SyntaxError, ValueError, TypeError, Unencodable, RecursionError, MemoryError):
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
                return hinted(syntax.expression(annotation.value).body)
            except SyntaxError:
                return None
        return None
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        sides = hinted(annotation.left), hinted(annotation.right)
        return None if sides[0] is None or sides[1] is None else sides[0] | sides[1]
    name = (
        annotation.id
        if isinstance(annotation, ast.Name)
        else annotation.attr
        if isinstance(annotation, ast.Attribute)
        else ""
    )
    if name:
        plain = {
            "int": _numbers(),
            "float": _floats(),
            "str": _texts(),
            "bool": st.booleans(),
            "bytes": st.binary(max_size=6),
        }
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


def _combinations(source: str, entry: str, parameters: list[ast.arg], sandbox: Sandbox, number: int) -> list[list[str]]:
    """For each combination of types that the function takes, a kind for each parameter."""
    known = [
        ast.unparse(p.annotation) if p.annotation is not None and hinted(p.annotation) is not None else None
        for p in parameters
    ]
    open_ = [i for i, kind in enumerate(known) if kind is None]
    if not open_:
        return [[kind for kind in known if kind is not None]]
    samples = [None if kind is None else values(kind)[0] for kind in known]
    combinations = list(itertools.product(GUESSES, repeat=len(open_))) if len(open_) <= 3 else []
    rng = Random(number)
    combinations += [
        tuple(rng.choices(list(GUESSES), k=len(open_))) for _ in range(MOST_COMBINATIONS - len(combinations))
    ]
    if len(combinations) > MOST_COMBINATIONS:
        same = [c for c in combinations if len(set(c)) == 1]
        combinations = same + rng.sample([c for c in combinations if len(set(c)) > 1], MOST_COMBINATIONS - len(same))
    calls = []
    for combination in combinations:
        given = list(samples)
        for i, kind in zip(open_, combination, strict=True):
            given[i] = _ONE[kind]
        calls.append(encode(tuple(given)))
    seen = sandbox.run(source, entry, calls, LIMITS)
    if len(seen.outcomes) != len(calls):
        return [[kind or "int" for kind in known]]
    taken = [
        c for c, o in zip(combinations, seen.outcomes, strict=True) if o.error not in ("TypeError", "AttributeError")
    ]
    right = [c for c, o in zip(combinations, seen.outcomes, strict=True) if o.error is None]
    chosen = (right or taken or [("int",) * len(open_)])[:KEPT_COMBINATIONS]
    result = []
    for combination in chosen:
        kinds = list(known)
        for i, kind in zip(open_, combination, strict=True):
            kinds[i] = kind
        result.append([kind for kind in kinds if kind is not None])
    return result
