"""What values of a type look like: Hypothesis's strategies for type hints, and guesses for parameters without one.

    values("dict[str, int]")          # 100 draws, the same every time
    hinted(annotation)                # the strategy of a hint, or None

What has no plain form is drawn as `Made`: its wire form (see `sandbox.values`), from which the sandbox makes it. To
draw another type, add it to GUESSES (parameters without a hint), to HINTS or to `_subscripted` (hints).
"""

from __future__ import annotations

import ast
import os
import tempfile
import warnings
from calendar import monthrange
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, timedelta, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
from hypothesis import configuration
from hypothesis import strategies as st
from hypothesis.internal.conjecture import providers

from semrep_jax.core import syntax

VALUES_PER_KIND = 100
FILES = ("notes.txt", "data.csv", "config.json", "empty.txt", "sub", "sub/more.txt", "new.txt")  # see `surroundings`
Strategy = st.SearchStrategy[Any]


@dataclass(frozen=True)
class Made:
    """A value that only the sandbox makes, by its wire form."""

    wire: Any

    def __hash__(self) -> int:
        return hash(repr(self.wire))


def _library(name: str, content: Any) -> Made:
    return Made(["x", name, content])


WHITE_SPACE = "\t\n\r\x0b\x0c\x1c\x85\xa0\u2003\u2028\u3000"
BEYOND_ASCII = "éßİıſΣςﬁ中ñÅ٣²½Ⅷ😀\u0301"
# Whole texts on which what looks alike differs: letters, digits and numerals beyond ASCII, ends of lines, numerals.
_TELLING = ["٣", "²", "½", "Ⅷ", "٣7", "1²", "ß", "ss", "Straße", "ﬁn", "e\u0301", "é", "İ", "12\n", "abc\n", " 7 ",
            "+7", "-0", "1_000", "0x1f", "1e5", "3.50", "nan", "True", "None", "a\r\nb", "A", "a\n\n", "\n", "_x1",
            "it's"]  # fmt: skip
# Texts that are one under some folding of case or form, and not under another.
NEARLY_ONE = [("ß", "ss"), ("é", "e\u0301"), ("ſ", "s"), ("ﬁ", "fi"), ("Σ", "ς"), ("İ", "i"), ("²", "2"), ("A", "a")]
_PLAIN = "abcABC xyz019(){}[],.-"
TEXTS = st.one_of(
    st.text(_PLAIN, max_size=12),
    st.text(_PLAIN, max_size=12),
    st.text("abAB  12" + WHITE_SPACE, max_size=8),
    st.text("abzAZ _09:;/\\'\"+*=<>!?@#%&|~^$`" + BEYOND_ASCII, max_size=8),
    st.lists(st.text("abcxyzABC019", min_size=1, max_size=4), max_size=5).flatmap(
        lambda words: st.sampled_from([" ", ", ", "  ", "-", "\n", "\t", "/", ".", "="]).map(lambda s: s.join(words))
    ),
    st.sampled_from(_TELLING),
)
_LARGE = [2**31, -(2**31) - 1, 2**53 + 1, 10**17 + 1, (10**8 + 1) ** 2 - 1, 1 - 2**64, 10**25 + 7]
_SMALL = st.one_of(st.integers(-10, 30), st.integers(0, 5), st.integers(-1000, 1000))
INTEGERS = st.one_of(*[_SMALL] * 11, st.sampled_from(_LARGE))
_SPECIAL = [float("nan"), float("inf"), float("-inf"), 1e300, -1e-300]
FLOATS = st.one_of(
    st.floats(-100, 100),
    st.floats(-4, 4, width=16),
    st.integers(-20, 20).map(float),
    st.integers(-40, 40).map(lambda n: n / 4),
    st.sampled_from([0.0, -0.0, 0.1, 0.5, -0.4, 1e10, 1e-7]),
    st.sampled_from([0.0, -0.0, *_SPECIAL]),
)
SLICES = ((None, 2, None), (1, None, None), (None, None, -1), (0, 0, None), (-2, None, None), (None, None, 2))
RANGES = st.tuples(st.integers(-5, 5), st.integers(-5, 9), st.sampled_from([1, 2, -1])).map(
    lambda r: _library("builtins.range", ["t", *r])
)
_INT_LISTS = st.lists(INTEGERS, max_size=8) | st.lists(st.integers(0, 4), max_size=8)


def asynchronous(items: list[Any]) -> Made:
    """An asynchronous iterator over items."""
    return Made(["aiter", [form(x) for x in items]])


def iterators(items: Strategy) -> Strategy:
    """Iterators over what a strategy of lists draws."""
    kinds = st.sampled_from(["list", "generator", "map"])
    return st.tuples(kinds, items).map(lambda drawn: iterator(*drawn))


def iterator(kind: str, items: list[Any]) -> Made:
    """An iterator of a kind (list, generator, map) over items."""
    return Made(["iter", kind, [form(x) for x in items]])


def sequences(items: Strategy, kind: str = "") -> Strategy:
    """What has an order and a length: lists, now and then tuples; ranges where items are integers (`kind`: the hint of
    them), texts where they are texts."""
    others = {"int": [RANGES], "str": [TEXTS]}.get(kind, [])
    return st.one_of(items, items, items, items, items.map(tuple), *others)


def collections(items: Strategy, kind: str = "") -> Strategy:
    """What has a length: sequences, sets and keys of a dict. kind: the hint of their items."""
    different = items.map(_different)
    keys = different.map(lambda xs: _library("builtins.dict_keys", ["l", *map(form, xs)]))
    return st.one_of(items, items, items.map(tuple), sequences(items, kind), different.map(lambda xs: set(xs)), keys)


def _different(items: list[Any]) -> list[Any]:
    """The items that can be in a set, each once. The place of a NaN in one hangs on where it lies in memory."""
    return list({x: None for x in items if _is_hashable(x) and x == x})


def mappings(dicts: Strategy) -> Strategy:
    """What leads from keys to values: dicts, now and then ordered ones, and such as can't be changed."""
    ordered = dicts.map(lambda d: _library("collections.OrderedDict", form(d)))
    fixed = dicts.map(lambda d: _library("types.MappingProxyType", form(d)))
    return st.one_of(dicts, dicts, dicts, dicts, ordered, fixed)


def iterables(items: Strategy, kind: str = "") -> Strategy:
    """What can be gone through: lists, tuples, iterators, generators, other collections. kind: the hint of items."""
    return st.one_of(items, items.map(tuple), iterators(items), iterators(items), collections(items, kind))


CALLBACK_RESULTS = ("int", "bool", "str", "float", "None", "list[int]", "list[str]", "awaited int", "awaited str")
_ERRORS = ("ValueError", "KeyError", "OSError", "RuntimeError", "ZeroDivisionError", "IndexError", "TimeoutError",
           "KeyboardInterrupt")  # fmt: skip


def callbacks(*results: str) -> Strategy:
    """Functions whose results are of these sorts; some raise an error for the first calls, or always."""
    plain = [Made(["call", result]) for result in results]
    failing = [Made(["call", r, error, times]) for r in results[:1] for error in _ERRORS for times in (1, 2, 99)]
    return st.one_of(*[st.sampled_from(plain)] * 4, st.sampled_from(failing))


_MONTH_ENDS = [
    f"{y}-{m:02}-{d:02}"
    for y in (2023, 2024)
    for m in range(1, 13)
    for d in (1, 29, monthrange(y, m)[1])
    if d <= monthrange(y, m)[1]
]
_DATES = st.one_of(st.dates(), st.sampled_from([*_MONTH_ENDS]))
_ZONES = [UTC, timezone(timedelta(hours=2)), timezone(timedelta(hours=-5, minutes=-30))]
_HALVES = [f"{sign}{n}5" for sign in ("", "-") for n in ("0.", "1.", "2.", "0.1", "0.2", "1.00", "2.67", "10.12")]
_DECIMALS = st.one_of(*(st.decimals(-1000, 1000, places=n) for n in (2, 2, 1, 4)), st.sampled_from(_HALVES))
_NAIVE = st.datetimes()
_MOMENTS = st.one_of(_NAIVE, _NAIVE, _NAIVE, st.datetimes(timezones=st.sampled_from(_ZONES)))
ANYTHING = st.one_of(
    INTEGERS, INTEGERS, TEXTS, TEXTS, _INT_LISTS, _INT_LISTS, st.none(), st.booleans(), FLOATS,
    st.tuples(_SMALL) | st.tuples(TEXTS, _SMALL), st.dictionaries(TEXTS, _SMALL, max_size=2),
    st.sampled_from([b"", b"ab", {1, 2}, 1 + 2j]), st.sampled_from([None, 0, "", False, [], {}]),
)  # fmt: skip
_NESTED = st.lists(_SMALL | st.lists(_SMALL | st.lists(_SMALL, max_size=2), max_size=3), max_size=4)
_COUNTS = st.dictionaries(st.text("abcxyz", min_size=1, max_size=3), st.integers(0, 9), max_size=4)


class Guess(NamedTuple):
    """A type that a parameter may have: what draws its values, and the one value that a function is tried with."""

    strategy: Strategy
    example: Any


# In the order in which they are preferred.
GUESSES: dict[str, Guess] = {
    "int": Guess(INTEGERS, 3),
    "list[int]": Guess(_INT_LISTS, [3, 1, 2]),
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
    "list[list[str]]": Guess(st.lists(st.lists(TEXTS, max_size=3), max_size=3), [["a", "b"], ["c"]]),
    "dict[str, str]": Guess(st.dictionaries(TEXTS, TEXTS, max_size=4), {"a": "b"}),
    "Iterator[int]": Guess(iterators(_INT_LISTS), Made(["iter", "list", [3, 1, 2]])),
    "bytes": Guess(st.binary(max_size=6), b"ab"),
}
# What a hint of one name is drawn from; those with [...] are in `_subscripted`.
HINTS: dict[str, Strategy] = {
    "int": INTEGERS,
    "float": FLOATS,
    "str": TEXTS,
    "bool": st.booleans(),
    "bytes": st.binary(max_size=6),
    "complex": st.sampled_from([0j, 1j, 1 + 2j, -1.5 + 0.5j, complex(0.0, -0.0)]),
    "object": ANYTHING,
    "Any": ANYTHING,
    "Hashable": INTEGERS | TEXTS | st.none() | st.booleans() | st.tuples(_SMALL, TEXTS),
    "Number": INTEGERS | FLOATS,
    "Real": INTEGERS | FLOATS,
    "SupportsFloat": INTEGERS | FLOATS,
    "SupportsInt": INTEGERS | FLOATS,
    **dict.fromkeys(("list", "List", "MutableSequence"), _INT_LISTS | _NESTED),
    **dict.fromkeys(("Sequence", "Reversible"), sequences(_INT_LISTS | _NESTED)),
    "Iterable": iterables(_INT_LISTS, "int"),
    "Collection": collections(_INT_LISTS, "int"),
    **dict.fromkeys(("Iterator", "Generator"), iterators(_INT_LISTS)),
    **dict.fromkeys(("dict", "Dict", "MutableMapping"), GUESSES["dict[str, int]"].strategy),
    "Mapping": mappings(GUESSES["dict[str, int]"].strategy),
    **dict.fromkeys(("set", "Set", "AbstractSet", "MutableSet"), GUESSES["set[int]"].strategy),
    **dict.fromkeys(("frozenset", "FrozenSet"), st.frozensets(INTEGERS, max_size=5)),
    **dict.fromkeys(("tuple", "Tuple"), GUESSES["tuple[int, int]"].strategy | st.lists(INTEGERS).map(tuple)),
    "memoryview": st.binary(max_size=6).map(lambda b: _library("builtins.memoryview", b.hex())),
    **dict.fromkeys(("AsyncIterator", "AsyncIterable", "AsyncGenerator"), _INT_LISTS.map(lambda xs: asynchronous(xs))),
    **dict.fromkeys(("Awaitable", "Coroutine"), INTEGERS.map(lambda n: Made(["coroutine", n]))),
    **dict.fromkeys(
        ("timezone", "tzinfo"), st.sampled_from([0, 120, -330]).map(lambda m: _library("datetime.timezone", m))
    ),
    **dict.fromkeys(("BytesIO", "BinaryIO"), st.binary(max_size=9).map(lambda b: _library("io.BytesIO", b.hex()))),
    "LiteralString": TEXTS,
    "bytearray": st.binary(max_size=6).map(lambda b: _library("builtins.bytearray", b.hex())),
    "range": RANGES,
    "slice": st.sampled_from(SLICES).map(lambda s: _library("builtins.slice", ["t", *s])),
    "date": _DATES.map(lambda d: _library("datetime.date", str(d))),
    "datetime": _MOMENTS.map(lambda d: _library("datetime.datetime", [d.isoformat()])),
    "time": st.times().map(lambda t: _library("datetime.time", [t.isoformat()])),
    "timedelta": st.tuples(st.integers(-400, 400), st.integers(0, 86399), st.sampled_from([0, 1, 500000])).map(
        lambda t: _library("datetime.timedelta", list(t))
    ),
    "Decimal": _DECIMALS.map(lambda d: _library("decimal.Decimal", str(d)))
    | st.sampled_from(["NaN", "Infinity", "0", "-0", "1E+3", "0.1"]).map(lambda d: _library("decimal.Decimal", d)),
    "Fraction": st.tuples(st.integers(-9, 9), st.integers(1, 9)).map(
        lambda f: _library("fractions.Fraction", ["t", *f])
    ),
    "UUID": st.uuids().map(lambda u: _library("uuid.UUID", str(u))),
    **dict.fromkeys(
        ("Path", "PurePath", "PathLike"),
        st.sampled_from(["", ".", "a", "a/b.txt", "/a/b.tar.gz", "../x", "missing.py", ".env", "a.b/c", *FILES]).map(
            lambda p: _library("pathlib.PosixPath", p)
        ),
    ),
    "Counter": _COUNTS.map(lambda c: _library("collections.Counter", form(c))),
    "OrderedDict": _COUNTS.map(lambda c: _library("collections.OrderedDict", form(c))),
    **dict.fromkeys(
        ("defaultdict", "DefaultDict"), _COUNTS.map(lambda c: _library("collections.defaultdict", ["int", form(c)]))
    ),
    **dict.fromkeys(("deque", "Deque"), _INT_LISTS.map(lambda xs: _library("collections.deque", [None, *xs]))),
    **dict.fromkeys(("TextIO", "StringIO"), TEXTS.map(lambda t: _library("io.StringIO", t))),
    **dict.fromkeys(("Callable", "function"), callbacks("int", "same", "bool", "str")),
    "Pattern": st.sampled_from(["a", "[a-c]+", r"\d+", r"\s", "(a)(b)?"]).map(lambda p: _library("re.Pattern", p)),
}  # fmt: skip


def form(value: Any) -> Any:
    """The wire form of a drawn value; a dict keeps its order. Raises ValueError for what is none."""
    match value:
        case Made(wire):
            return wire
        case list():
            return ["l", *map(form, value)]
        case tuple():
            return ["t", *map(form, value)]
        case dict():
            return ["D", *[[form(k), form(x)] for k, x in value.items()]]
        case set() | frozenset():
            return ["s" if isinstance(value, set) else "z", *sorted(map(form, value), key=repr)]
        case bool() | None:
            return value
        case int():
            return value if value.bit_length() < 1000 else ["i", hex(value)]
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case float():
            return ["f", repr(value)]
        case bytes():
            return ["b", value.hex()]
        case complex():
            return ["c", repr(value.real), repr(value.imag)]
    raise ValueError(f"{value!r:.60} can't be an argument")


@lru_cache(maxsize=512)
def values(kind: str) -> list[Any]:
    """VALUES_PER_KIND draws, once in a process; calls are put together of them.

    kind: a key of GUESSES, or a type hint as it is written, which `hinted` knows.
    """
    strategy = GUESSES[kind].strategy if kind in GUESSES else hinted(syntax.expression(kind).body)
    assert strategy is not None
    return sample_values(strategy, VALUES_PER_KIND, 0)


@lru_cache(maxsize=2048)
def can_draw(kind: str) -> bool:
    """Whether a type hint as it is written says something that we can draw; building a strategy costs a while."""
    return hinted(syntax.expression(kind).body) is not None


@contextmanager
def _elsewhere() -> Iterator[None]:
    """Hypothesis keeps tables in a folder where the user stands; for the time of our draws, in one of the system's."""
    folder = Path(tempfile.gettempdir()) / f"semrep-hypothesis-{os.getuid()}"
    before = configuration.__dict__.get("__hypothesis_home_directory")
    configuration.set_hypothesis_home_dir(folder)
    try:
        yield
    finally:
        configuration.set_hypothesis_home_dir(before)


@contextmanager
def _without_constants_of_ours() -> Iterator[None]:
    """Hypothesis mixes constants of the local modules that happen to be loaded into its draws; ours are no such thing.

    A version that does it in another way is left as it is.
    """
    before = getattr(providers, "_get_local_constants", None)
    empty = getattr(providers, "Constants", None)
    if before is None or empty is None:
        yield
        return
    providers._get_local_constants = empty
    try:
        yield
    finally:
        providers._get_local_constants = before


def sample_values(strategy: Strategy, count: int, seed: int) -> list[Any]:
    """`count` draws of a strategy, the same for the same seed. Nothing is written to disk."""
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

    with syntax.alone(), warnings.catch_warnings(), _elsewhere(), _without_constants_of_ours():
        warnings.simplefilter("ignore")
        collect()
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
    match name:
        case "Literal":
            named = [Made(form(e.value)) for e in inner if isinstance(e, ast.Constant)]  # there is nothing near to them
            return st.sampled_from(named) if named else st.none()
        case "Annotated" | "Final" | "Required" | "NotRequired":
            return hinted(inner[0])
        case "Callable":
            return _callable(inner[-1])
        case "Counter":
            return HINTS[name]
    variadic = len(inner) == 2 and isinstance(inner[1], ast.Constant) and inner[1].value is Ellipsis
    parts = [hinted(i) for i in (inner[:1] if variadic else inner)]
    known = [p for p in parts if p is not None]
    if len(known) != len(parts):
        return None
    lists = st.lists(known[0], max_size=8)
    match name.lower():
        case "list" | "mutablesequence":
            return lists
        case "sequence" | "reversible":
            return sequences(lists, ast.unparse(inner[0]))
        case "iterable":
            return iterables(lists, ast.unparse(inner[0]))
        case "collection":
            return collections(lists, ast.unparse(inner[0]))
        case "iterator" | "generator":
            return iterators(lists)
        case "asynciterator" | "asynciterable" | "asyncgenerator":
            return lists.map(asynchronous)
        case "awaitable" | "coroutine":
            return known[-1].map(lambda x: Made(["coroutine", form(x)]))
        case "deque":
            return lists.map(lambda xs: _library("collections.deque", [None, *map(form, xs)]))
        case "set" | "abstractset" | "mutableset":
            return st.sets(_keys(known[0]), max_size=6)
        case "frozenset":
            return st.frozensets(_keys(known[0]), max_size=6)
        case "dict" | "mapping" | "mutablemapping":
            if len(known) != 2:
                return None
            dicts = st.dictionaries(_keys(known[0]), known[1], max_size=5)
            return mappings(dicts) if name == "Mapping" else dicts
        case "defaultdict" | "ordereddict":
            if len(known) != 2:
                return None
            made = name[0].lower() == "d"
            pairs = st.dictionaries(_keys(known[0]), known[1], max_size=5)
            if made:
                return pairs.map(lambda d: _library("collections.defaultdict", ["int", form(d)]))
            return pairs.map(lambda d: _library("collections.OrderedDict", form(d)))
        case "optional":
            return st.none() | known[0]
        case "union":
            return st.one_of(*known)
        case "tuple":
            return st.lists(known[0], max_size=6).map(tuple) if variadic else st.tuples(*known)
    return None


def _keys(strategy: Strategy) -> Strategy:
    """What a strategy gives that can be in a set; of `dict[Any, int]` not every Any."""
    return strategy.filter(_is_hashable)


def _is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _callable(result: ast.expr) -> Strategy:
    """Functions with a result of a hint, as far as we have one."""
    name = ast.unparse(result)
    if isinstance(result, ast.Subscript) and name.startswith(("Awaitable[", "Coroutine[")):
        inner = result.slice.elts[-1] if isinstance(result.slice, ast.Tuple) else result.slice
        name = "awaited " + ast.unparse(inner)
    return callbacks({"None": "none"}.get(name, name)) if name in CALLBACK_RESULTS else callbacks("same", "int")
