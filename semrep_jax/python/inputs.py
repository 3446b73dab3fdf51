"""Inputs for a function that nobody has described: from its doctests, its type hints, or by trying what it takes.

    calls = generate(source, "f", sandbox, count=200, seed=0)      # argument tuples in wire form

Hypothesis draws the values; the program's own constants, and the neighbours of what its doctests give, are among them.
Where a parameter has no hint, one call with each combination of likely types is run contained, and those that end in
TypeError or AttributeError are not drawn from again. The same seed gives the same calls.

To draw another type, add it to GUESSES (parameters without a hint), to HINTS or to `_subscripted` (hints).
"""

from __future__ import annotations

import ast
import itertools
import warnings
from collections.abc import Sequence
from functools import lru_cache
from random import Random
from typing import Any, NamedTuple

import hypothesis
from hypothesis import strategies as st

from semrep_jax.core import syntax
from semrep_jax.core.errors import SemRepError
from semrep_jax.sandbox.pool import Limits, Sandbox
from semrep_jax.sandbox.wire import Unencodable, encode

LIMITS = Limits(cpu_seconds=2.0, wall_seconds=6.0, memory_mb=512)  # of the trial of combinations of types
MOST_COMBINATIONS = 150  # of types, tried
KEPT_COMBINATIONS = 4  # drawn from
MOST_ENUMERATED = 3  # parameters without a hint up to which every combination may be tried
DRAWS_PER_CALL = 3  # draws repeat each other
VALUES_PER_KIND = 100
NEIGHBOURS_OF_EXAMPLES = 3  # one call in so many, where there are examples
LONGEST_CONSTANT = 20  # characters
LARGEST_CONSTANT = 10**6

Strategy = st.SearchStrategy[Any]
Call = tuple[Any, ...]

TEXTS = st.text("abcABC xyz019(){}[],.-", max_size=12)
INTEGERS = st.one_of(st.integers(-10, 30), st.integers(0, 5), st.integers(-1000, 1000))
FLOATS = st.floats(-100, 100) | st.floats(-4, 4, width=16) | st.sampled_from([0.0, -0.0, 0.1, 0.5, 1e10, 1e-7])


class Guess(NamedTuple):
    """A type that a parameter may have: what draws its values, and the one value that a function is tried with."""

    strategy: Strategy
    example: Any


# In the order in which they are preferred.
GUESSES: dict[str, Guess] = {
    "int": Guess(INTEGERS, 3),
    "list[int]": Guess(st.lists(INTEGERS, max_size=8), [3, 1, 2]),
    "str": Guess(TEXTS, "abc"),
    "float": Guess(FLOATS, 1.5),
    "list[str]": Guess(st.lists(TEXTS, max_size=5), ["ab", "c"]),
    "list[float]": Guess(st.lists(FLOATS, max_size=6), [1.5, 2.0]),
    "list[list[int]]": Guess(st.lists(st.lists(INTEGERS, max_size=4), max_size=4), [[1, 2], [3, 4]]),
    "dict[str, int]": Guess(st.dictionaries(TEXTS, INTEGERS, max_size=4), {"a": 1}),
    "bool": Guess(st.booleans(), True),
    "tuple[int, int]": Guess(st.tuples(INTEGERS, INTEGERS), (1, 2)),
    "set[int]": Guess(st.sets(INTEGERS, max_size=5), {1, 2}),
    "list[tuple[int, int]]": Guess(st.lists(st.tuples(INTEGERS, INTEGERS), max_size=4), [(1, 2), (3, 4)]),
}
# What a hint of one name is drawn from; those with [...] are in `_subscripted`.
HINTS: dict[str, Strategy] = {
    "int": INTEGERS,
    "float": FLOATS,
    "str": TEXTS,
    "bool": st.booleans(),
    "bytes": st.binary(max_size=6),
    **dict.fromkeys(("list", "List", "Sequence", "Iterable"), GUESSES["list[int]"].strategy),
    **dict.fromkeys(("dict", "Dict"), GUESSES["dict[str, int]"].strategy),
    **dict.fromkeys(("set", "Set"), GUESSES["set[int]"].strategy),
    **dict.fromkeys(("tuple", "Tuple"), GUESSES["tuple[int, int]"].strategy),
}


class InputError(SemRepError):
    """The function to be called is not there, or can't be called with plain values."""


def functions(source: str) -> dict[str, ast.FunctionDef]:
    """The functions at the top of a program. Raises InputError where it does not parse."""
    try:
        tree = syntax.module(source)
    except SyntaxError as error:
        raise InputError(f"the program is not valid Python (line {error.lineno}: {error.msg})") from error
    return {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}


def generate(
    source: str, entry: str, sandbox: Sandbox, count: int = 200, seed: int = 0, examples: Sequence[Call] = ()
) -> list[Any]:
    """Different argument tuples in wire form: examples, their neighbours, then draws and theirs.

    source: the program. entry: the function's name. sandbox: where it is tried what the function takes. count: at
    most so many. seed: decides all draws. examples: calls that come first, before those of the function's doctests.
    The neighbours of examples are a third; the program's own texts and numbers take part in the rest. Raises
    InputError.
    """
    function = _callable_function(source, entry)
    parameters = [*function.args.posonlyargs, *function.args.args]
    if not parameters:
        return [encode(())]
    examples = [*examples, *doctests(entry, ast.get_docstring(function) or "")]
    rng, constants = Random(seed), program_constants(source)
    first = [encode(call) for call in examples]
    if examples:
        near = (neighbour(rng.choice(examples), rng, constants) for _ in range(count // NEIGHBOURS_OF_EXAMPLES))
        first += [encode(call) for call in near]
    combinations = _accepted_kinds(source, entry, parameters, sandbox, seed)
    calls: dict[str, Any] = {repr(call): call for call in first}
    for n in range(DRAWS_PER_CALL * count):
        if len(calls) >= count:
            break
        drawn = tuple(rng.choice(values(kind)) for kind in combinations[n % len(combinations)])
        if n % 2:
            drawn = neighbour(drawn, rng, constants)
        call = encode(_with_constant(drawn, rng, constants))
        calls.setdefault(repr(call), call)
    return list(calls.values())[:count]


def _callable_function(source: str, entry: str) -> ast.FunctionDef:
    """The function to be called. Raises InputError where it is not there or positional arguments do not suffice."""
    known = functions(source)
    if entry not in known:
        raise InputError(
            f"there is no function {entry!r} at the top of the program; there are {', '.join(known) or 'none'}"
        )
    if any(default is None for default in known[entry].args.kw_defaults):
        raise InputError(f"{entry} needs keyword arguments; give tests instead")
    return known[entry]


@lru_cache(maxsize=512)
def values(kind: str) -> list[Any]:
    """VALUES_PER_KIND draws, once in a process; calls are put together of them.

    kind: a key of GUESSES, or a type hint as it is written, which `hinted` knows.
    """
    strategy = GUESSES[kind].strategy if kind in GUESSES else hinted(syntax.expression(kind).body)
    assert strategy is not None
    return sample_values(strategy, VALUES_PER_KIND, 0)


def program_constants(source: str) -> list[Any]:
    """The texts and numbers that a program compares with and looks for: short ones, in order."""
    tree = syntax.module(source)
    documentation = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    found = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and id(n) not in documentation]
    return list(dict.fromkeys(v for v in found if _is_telling(v)))


def _is_telling(value: object) -> bool:
    if type(value) is str:
        return 0 < len(value) <= LONGEST_CONSTANT
    return type(value) is int and 1 < value < LARGEST_CONSTANT


def _with_constant(call: Call, rng: Random, constants: list[Any]) -> Call:
    """One argument of every third call is a constant of the program's own, or holds one, where the types agree."""
    if not constants or rng.random() > 1 / 3:
        return call
    i, constant = rng.randrange(len(call)), rng.choice(constants)
    argument = call[i]
    if type(argument) is type(constant):
        replace = rng.random() < 0.5 or type(constant) is int
        argument = constant if replace else argument[:4] + constant + argument[4:]
    elif isinstance(argument, list) and argument and type(argument[0]) is type(constant):
        argument = [*argument[:-1], constant]
    return (*call[:i], argument, *call[i + 1 :])


def neighbour(value: Any, rng: Random, constants: list[Any]) -> Any:
    """A value one small step from another, of the same type.

    value: a number gives one next to it; a text, sequence or dict (or an argument tuple) one with one place changed.
    rng: decides the step. constants: texts among them may be put into a text.
    """
    if type(value) is bool:
        return not value
    if type(value) is int:
        return value + rng.choice([-1, 1, -10, 10, value, -2 * value])
    if type(value) is float:
        return value * rng.choice([0.5, -1.0, 2.0]) + rng.choice([0.0, 1.0, -0.5])
    if type(value) is str:
        return _neighbouring_text(value, rng, constants)
    if type(value) in (list, tuple) and value:
        i = rng.randrange(len(value))
        changed = [*value[:i], neighbour(value[i], rng, constants), *value[i + 1 :]]
        if type(value) is tuple:
            return tuple(changed)
        return rng.choice([changed, [*value[:i], *value[i + 1 :]], [*value, value[i]], value[::-1]])
    if type(value) is dict and value:
        key = rng.choice(list(value))
        return {**value, key: neighbour(value[key], rng, constants)}
    return value


def _neighbouring_text(text: str, rng: Random, constants: list[Any]) -> str:
    """A text with a letter changed or left out, with a constant put in, or without its beginning."""
    known = [c for c in constants if type(c) is str] or ["a"]
    i, j = (rng.randrange(len(text) + 1) for _ in range(2))
    letter = text[j : j + 1] if rng.random() < 0.5 else rng.choice("019aAzZ -.")
    changed = text[:i] + letter + text[i + 1 :]
    shorter = text[:i] + text[i + 1 :]
    longer = text[:i] + rng.choice(known) + text[i:]
    return rng.choice([changed, shorter, longer, text[i:]])


def sample_values(strategy: Strategy, count: int, seed: int) -> list[Any]:
    """`count` draws of a strategy, the same for the same seed."""
    found: list[Any] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        phases=[hypothesis.Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategy)
    def collect(value: Any) -> None:
        found.append(value)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        collect()
    return found


def doctests(name: str, text: str) -> list[Call]:
    """Arguments of the calls of a function, with plain values, in the doctests of a text."""
    found = []
    for line in text.splitlines():
        example = line.strip().removeprefix(">>>").strip()
        if not line.strip().startswith(">>>") or f"{name}(" not in example:
            continue
        try:
            nodes = [n for n in ast.walk(syntax.module(example)) if isinstance(n, ast.Call) and not n.keywords]
            calls = [n.args for n in nodes if isinstance(n.func, ast.Name) and n.func.id == name]
            arguments = [tuple(map(ast.literal_eval, args)) for args in calls]
            found += [call for call in arguments if encode(call)]
        except (SyntaxError, ValueError, TypeError, Unencodable, RecursionError, MemoryError):
            continue
    return found


def hinted(annotation: ast.expr | None) -> Strategy | None:
    """The strategy of a type hint; None where there is none or it says nothing we can draw."""
    match annotation:
        case ast.Constant(value=None):
            return st.none()
        case ast.Constant(value=str(text)):
            try:
                return hinted(syntax.expression(text).body)
            except SyntaxError:
                return None
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            one, other = hinted(left), hinted(right)
            return None if one is None or other is None else one | other
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return HINTS.get(name)
        case ast.Subscript(value=ast.Name(id=name) | ast.Attribute(attr=name), slice=ast.Tuple(elts=inner)):
            return _subscripted(name, inner)
        case ast.Subscript(value=ast.Name(id=name) | ast.Attribute(attr=name), slice=inner):
            return _subscripted(name, [inner])
    return None


def _subscripted(name: str, inner: list[ast.expr]) -> Strategy | None:
    """The strategy of a hint `name[inner]`."""
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


def _accepted_kinds(source: str, entry: str, parameters: list[ast.arg], sandbox: Sandbox, seed: int) -> list[list[str]]:
    """Combinations of kinds (see `values`), one for each parameter, that the function takes.

    Parameters with a hint that can be drawn keep it; for the others, combinations of GUESSES are tried, one contained
    call each. Those that return come before those that raise; where the trial says nothing, every other parameter is
    an int.
    """
    hints = [_drawable_hint(p) for p in parameters]
    unknown = hints.count(None)
    if not unknown:
        return [_filled(hints, ())]
    guesses = _guesses(unknown, Random(seed))
    samples = [None if hint is None else values(hint)[0] for hint in hints]
    calls = []
    for guess in guesses:
        examples = (GUESSES[kind].example for kind in guess)
        calls.append(encode(tuple(next(examples) if h is None else s for h, s in zip(hints, samples, strict=True))))
    seen = sandbox.run(source, entry, calls, LIMITS).outcomes
    all_int = ("int",) * unknown
    if len(seen) != len(calls):
        return [_filled(hints, all_int)]
    refused = ("TypeError", "AttributeError")
    returned = [g for g, outcome in zip(guesses, seen, strict=True) if outcome.error is None]
    taken = [g for g, outcome in zip(guesses, seen, strict=True) if outcome.error not in refused]
    return [_filled(hints, guess) for guess in (returned or taken or [all_int])[:KEPT_COMBINATIONS]]


def _drawable_hint(parameter: ast.arg) -> str | None:
    """A parameter's hint as it is written; None where values can't be drawn for it."""
    annotation = parameter.annotation
    return None if annotation is None or hinted(annotation) is None else ast.unparse(annotation)


def _filled(hints: Sequence[str | None], guess: Sequence[str]) -> list[str]:
    """The hints, with the kinds of a guess where there is none."""
    rest = iter(guess)
    return [next(rest) if hint is None else hint for hint in hints]


def _guesses(count: int, rng: Random) -> list[tuple[str, ...]]:
    """At most MOST_COMBINATIONS of GUESSES for so many parameters; up to MOST_ENUMERATED, those of one kind first."""
    combinations = list(itertools.product(GUESSES, repeat=count)) if count <= MOST_ENUMERATED else []
    combinations += [tuple(rng.choices(list(GUESSES), k=count)) for _ in range(MOST_COMBINATIONS - len(combinations))]
    if len(combinations) <= MOST_COMBINATIONS:
        return combinations
    uniform = [c for c in combinations if len(set(c)) == 1]
    mixed = [c for c in combinations if len(set(c)) > 1]
    return uniform + rng.sample(mixed, MOST_COMBINATIONS - len(uniform))
