"""What was never run is not known to be the same: statements that differ have to run before two programs are called
equivalent."""

from __future__ import annotations

import pytest

from semrep_jax.languages import Answer
from semrep_jax.python.equivalence import Reference
from semrep_jax.python.reach import Walk, statements

RARE = "def f(s: str):\n    if hash(s) == 77777:\n        return {}\n    return len(s)\n"
NUMBERED = (
    "def f(n: int):\n    match n * n:\n        case 4:\n            return 1\n        case {}:\n            return 2\n"
)
LIMIT = "def f(n: int):\n    limit = {}\n    if n > limit:\n        return 'old'\n    return 'new'\n"
LIMITED = (
    "class C:\n    {1}def __init__(self):\n        self._most = {0}\n    def fits(self, n: int) -> bool:\n"
    "        if n > self._most:\n            return False\n        return True\n"
)
# Pairs that nothing tells apart, and the statement that no call has run or seen both ways of.
UNTRIED = {
    "a line behind a rare condition": (RARE.format("len(s) + 1"), RARE.format("len(s) + 2"), "return len(s) + 1"),
    "a condition that was never false": (
        "def f(n: int):\n    if n * n + 1 > 0:\n        return 1\n    return 2\n",
        "def f(n: int):\n    if n * n + n * n + 1 > 0:\n        return 1\n    return 2\n",
        "if n * n + 1 > 0:",
    ),
    "a call that ends in TypeError each time": (
        "def f(s: str):\n    try:\n        return s + 1\n    except TypeError:\n        return 'no'\n",
        "def f(s: str):\n    try:\n        return s + 2\n    except TypeError:\n        return 'no'\n",
        "return s + 1",
    ),
    "a loop that is never entered": (
        "def f(n: int):\n    for i in range(0):\n        n += 1\n    return n\n",
        "def f(n: int):\n    for i in range(0):\n        n += 2\n    return n\n",
        "n += 1",
    ),
    "an arm that is never taken": (
        "def f(n: int):\n    return 0 if n * n == 12345 * 7 else n % 9\n",
        "def f(n: int):\n    return n % 9\n",
        "n * n == 12345 * 7",
    ),
    "an operand that is never false": (
        "def f(s: str):\n    return len(s) > 2 and hash(s) != 77777\n",
        "def f(s: str):\n    return len(s) > 2\n",
        "hash(s) != 77777",
    ),
    "`and` in the place of `or`": (
        "def f(n: int):\n    return n * n != 12345 * 7 and n * n != 54321 * 11\n",
        "def f(n: int):\n    return n * n != 12345 * 7 or n * n != 54321 * 11\n",
        "n * n != 12345 * 7",
    ),
    "arms exchanged": (
        "def f(n: int):\n    return 1 if n * n == 12345 * 7 else 2 if n * n == 54321 * 11 else 3\n",
        "def f(n: int):\n    return 2 if n * n == 12345 * 7 else 1 if n * n == 54321 * 11 else 3\n",
        "n * n == 12345 * 7",
    ),
    "blocks exchanged": (
        "def f(n: int):\n    if n * n == 99 * 977:\n        return 1\n    if n * n == 54321 * 11:\n        return 2\n",
        "def f(n: int):\n    if n * n == 99 * 977:\n        return 2\n    if n * n == 54321 * 11:\n        return 1\n",
        "if n * n == 54321 * 11:",
    ),
    "a filter that lets everything through": (
        "def f(words: list[str]):\n    return [w for w in words if hash(w) != 77777]\n",
        "def f(words: list[str]):\n    return [w for w in words]\n",
        "hash(w) != 77777",
    ),
    "a function in a table that is never called": (
        "_of = {'a': lambda n: n, 'b' * 9: lambda n: n + 1}\ndef f(s: str, n: int):\n    return _of.get(s, abs)(n)\n",
        "_of = {'a': lambda n: n, 'b' * 9: lambda n: n + 2}\ndef f(s: str, n: int):\n    return _of.get(s, abs)(n)\n",
        "n + 1",
    ),
    "the condition beside a pattern": (
        "def f(n: int):\n    match n:\n        case int() if n * n != 12345 * 7:\n            return 1\n    return 2\n",
        "def f(n: int):\n    match n:\n        case int() if True:\n            return 1\n    return 2\n",
        "n * n != 12345 * 7",
    ),
    "a condition in a formatted text": (
        "def f(n: int):\n    return f\"{'no' if n * n == -4321 * 3 else n} items\"\n",
        "def f(n: int):\n    return f'{n} items'\n",
        "n * n == -4321 * 3",
    ),
    "a comparison that is handed on": (
        "def f(n: int):\n    return bool(n == len('abc') * 98765)\n",
        "def f(n: int):\n    return False\n",
        "n == len('abc') * 98765",
    ),
    "a comparison that is kept": (
        "def f(n: int):\n    found = n == len('abc') * 98765\n    return found\n",
        "def f(n: int):\n    found = False\n    return found\n",
        "n == len('abc') * 98765",
    ),
    "a comparison that is a place in a list": (
        "def f(n: int):\n    return [0, 1][n * n < -1]\n",
        "def f(n: int):\n    return [0, 2][n * n < -1]\n",
        "n * n < -1",
    ),
    "a comparison for each item": (
        "def f(xs: list[int]):\n    return [x * x < -1 for x in xs]\n",
        "def f(xs: list[int]):\n    return [False for x in xs]\n",
        "x * x < -1",
    ),
    "a limit that is another one": (LIMIT.format("int('8' * 40)"), LIMIT.format("int('9' * 40)"), "if n > limit:"),
    "a limit in a part": (
        "def f(n: int):\n    most = int('8' * 40)\n    return 'a' if n > most else 'b'\n",
        "def f(n: int):\n    most = int('9' * 40)\n    return 'a' if n > most else 'b'\n",
        "n > most",
    ),
    "a limit that a private function gives": (
        "def _end(xs):\n    return int('8' * 7)\ndef f(xs: list[int]):\n"
        "    i = 0\n    while i < len(xs) and i < _end(xs):\n"
        "        i += 1\n    return i\n",
        "def _end(xs):\n    return int('9' * 7)\ndef f(xs: list[int]):\n"
        "    i = 0\n    while i < len(xs) and i < _end(xs):\n"
        "        i += 1\n    return i\n",
        "i < _end(xs)",
    ),
    "a limit that instances keep": (
        LIMITED.format("int('8' * 40)", ""),
        LIMITED.format("int('9' * 40)", ""),
        "if n > self._most:",
    ),
    "a limit that a class keeps": (
        LIMITED.format("0", "_most = int('8' * 40)\n    ").replace(
            "def __init__(self):\n        self._most = 0\n    ", ""
        ),
        LIMITED.format("0", "_most = int('9' * 40)\n    ").replace(
            "def __init__(self):\n        self._most = 0\n    ", ""
        ),
        "if n > self._most:",
    ),
    "what is given where a condition is never met": (
        "def f(n: int):\n    given = 14\n    if n * n == 10 ** 30 + 7:\n        return given\n    return n\n",
        "def f(n: int):\n    given = 15\n    if n * n == 10 ** 30 + 7:\n        return given\n    return n\n",
        "return given",
    ),
    "a handler that does nothing": (
        "def f(n: int):\n    try:\n        return n\n    except ValueError:\n        pass\n",
        "def f(n: int):\n    return n\n",
        "except ValueError:",
    ),
    "a case that is never met, with what stands in both under it": (
        NUMBERED.format(1234507),
        NUMBERED.format(5432101),
        "case 1234507:",
    ),
}
# Pairs that differ in text, and have run whole.
TRIED = {
    "the rare line stands in both": (RARE.format("0"), RARE.format("0").replace("len(s)\n", "len(s[:])\n")),
    "the rare line stands in both under other names": (
        "def f(s: str):\n    size = len(s)\n    if hash(s) == 77777:\n        return size + 1\n    return size\n",
        "def f(s: str):\n    n = len(s)\n    if hash(s) == 77777:\n        return n + 1\n    return n\n",
    ),
    "what differs can't be reached at all": (
        "def f(n: int):\n    return n + 1\n",
        "def f(n: int):\n    if False:\n        n = 3\n    return 1 + n\n    return 0\n",
    ),
    "an error that the program raises itself": (
        "def f(n: int):\n    if n < 0:\n        raise TypeError('negative')\n    return n\n",
        "def f(n: int):\n    if 0 > n:\n        raise TypeError('negative number')\n    return n\n",
    ),
    "conditions in formatted texts": (
        "def f(n: int):\n    return f'''a\n{{}}{n if n > 3 else 'x'!r:>{8 if n > 5 else 9}}\"\n' '''\n",
        "def f(n: int):\n    if n > 3:\n        return 'a\\n{}' + repr(n).rjust(8 if n > 5 else 9) + '\"\\n\\' '\n"
        "    return 'a\\n{}' + \"'x'\".rjust(9) + '\"\\n\\' '\n",
    ),
    "comparisons outside of conditions": (
        "def f(xs: list[int]):\n    few = (n := len(xs)) < 3\n    return few, n, sum(x > 3 for x in xs)\n",
        "def f(xs: list[int]):\n    return len(xs) < 3, len(xs), len([x for x in xs if x > 3])\n",
    ),
    "a limit written otherwise": (LIMIT.format("10 ** 30"), LIMIT.format("1000 * 10 ** 27")),
    "a limit that is kept under another name": (
        LIMIT.format("_most").replace("def", "_most = 3 ** 60 // 7\ndef", 1),
        LIMIT.format("_end").replace("def", "_end = 3 ** 60 // 7\ndef", 1),
    ),
    "a private variable made otherwise, read where no call comes": (
        "_known = {}\ndef f(n: int):\n    if n == 10 ** 40:\n        _known[n] = 1\n    return n\n",
        "_known = dict()\ndef f(n: int):\n    if n == 10 ** 40:\n        _known[n] = 1\n    return n\n",
    ),
    "a module more, and another one where no call comes": (
        "import math\ndef f(n: int):\n    if n == 10 ** 40:\n        return math.pi\n    return n\n",
        "import math, re\ndef f(n: int):\n    if n == 10 ** 40:\n        return math.pi\n    return n\n",
    ),
    "a number that changes from one loading to the next": (
        "import time\n_began = time.time()\ndef f(n: int):\n    return n + 1\n",
        "import time\n_began = time.time() + 0\ndef f(n: int):\n    return 1 + n\n",
    ),
    "clauses that are entered": (
        "def f(s: str):\n    try:\n        n = int(s)\n    except Exception:\n        n = 5\n    match n:\n"
        "        case 5 | 7:\n            pass\n        case _:\n            return 2\n",
        "def f(s: str):\n    try:\n        n = int(s)\n    except ValueError:\n        n = 5\n    match n:\n"
        "        case 7 | 5:\n            pass\n        case _:\n            return 2\n",
    ),
    "several statements on a line": (
        "def f(n: int):\n    if n < 0: n = -n; n += 1\n    return n\n",
        "def f(n: int):\n    if 0 > n: n = 0 - n; n = n + 1\n    return n\n",
    ),
    "conditions in expressions, filters, lambdas, arms that yield": (
        "def f(xs: list[int]):\n    key = lambda x: -x if x > 2 else x\n    got = (yield len(xs)) or 3\n"
        "    yield [x for x in sorted(xs, key=key) if x > got and not x == 5]\n",
        "def f(xs: list[int]):\n    got = (yield len(xs)) or 3\n"
        "    for rest in [sorted(xs, key=lambda y: y if y <= 2 else -y)]:\n"
        "        yield [y for y in rest if not (y <= got or 5 == y)]\n",
    ),
    "an expression of several lines in a text": (
        "def f(n: int):\n    return f'{n if n > 0 else -n}' + ('a\\nb' if n else '')\n",
        "def f(n: int):\n    return str(abs(n)) + ('a\\nb' if n != 0 else '')\n",
    ),
    "a generator, a comprehension, a nested function": (
        "def f(xs: list[int]):\n    def double(x):\n        return x * 2\n    yield from [double(x) for x in xs]\n",
        "def f(xs: list[int]):\n    def double(x):\n        return x + x\n    for x in xs:\n        yield double(x)\n",
    ),
}


@pytest.mark.parametrize("name", UNTRIED)
def test_what_never_ran_is_not_called_equivalent(name, sandbox):
    a, b, statement = UNTRIED[name]
    finding = Reference(a, sandbox).compare(b)
    assert finding.answer is Answer.UNKNOWN
    assert f"in the first program, {statement!r}" in finding.reason


@pytest.mark.parametrize("name", TRIED)
def test_what_ran_whole_is_called_equivalent(name, sandbox):
    a, b = TRIED[name]
    finding = Reference(a, sandbox).compare(b)
    assert (finding.answer, finding.reason) == (Answer.EQUIVALENT, "")


def test_a_difference_that_is_met_needs_nothing_else(sandbox):
    a, b, _ = UNTRIED["a line behind a rare condition"]
    assert Reference(a, sandbox).compare(b.replace("len(s)\n", "len(s) + 1\n")).answer is Answer.DIFFERENT


def test_a_generator_that_only_refuses_its_arguments_says_nothing(sandbox):
    lines = "def f(a, b):\n    a[0][0].no_such_method(b)\n    yield {}\n"
    finding = Reference(lines.format(1), sandbox).compare(lines.format(2))
    assert finding.answer is Answer.UNKNOWN and "TypeError or AttributeError" in finding.reason


def test_a_few_answers_among_many_refusals_say_nothing(sandbox):
    program = "def f(a, b):\n    return True if a is b else a[0][0].no_such_method({})\n"
    finding = Reference(program.format("b"), sandbox).compare(program.format("a"))
    assert finding.answer is Answer.UNKNOWN


def test_a_statement_that_finds_no_key_each_time_has_not_run(sandbox):
    program = """def f(table: dict[str, int]):
    if len(table) < 2:
        return 0
    return table["-" * 41 + str(len(table))] + {}
"""
    finding = Reference(program.format(1), sandbox).compare(program.format(2))
    assert finding.answer is Answer.UNKNOWN and "never runs to its end" in finding.reason


def test_control_is_followed_only_as_far_as_someone_asks(sandbox):
    source = "def f(n: int):\n    if n > 2:\n        return 1\n    return 0\n"
    sequences = [[["call", "f", ["t", n]]] for n in range(-100, 100)]
    walk = Walk(source, sandbox, sequences)
    assert walk.untried(statements(source)) == [] and not walk.moves
    assert walk.untried([]) == [] and walk.moves


def test_an_answer_says_how_many_statements_differ_and_ran(sandbox):
    a, b = TRIED["several statements on a line"]
    assert Reference(a, sandbox).compare(b).differing == {"first": 3, "second": 3}


def test_programs_that_nest_too_deeply_to_be_followed_are_unknown(sandbox):
    deep = "def f(n: int):\n    return n" + " + 1" * 900
    finding = Reference(f"{deep}\n", sandbox).compare(f"{deep} + 0\n")
    assert finding.answer is Answer.UNKNOWN and "nests too deeply" in finding.reason
