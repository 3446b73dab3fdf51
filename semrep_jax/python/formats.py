"""Texts in the formats that a program reads: what its patterns match, dates, JSON, tables, addresses. Never run.

    examples(source)          # ["2024-02-29", ...] for a program with strptime(text, "%Y-%m-%d")

A random text is no date; where a program reads one, a call says more with one. To know another format, add it to KNOWN.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import warnings
from datetime import datetime
from random import Random
from typing import Any

from semrep_jax.core import syntax

MOST = 60  # examples
LONGEST_PATTERN = 200  # characters
OF_A_PATTERN = 6
BROKEN = "\n"
MOST_REPEATS = 3  # over the fewest that a pattern wants
_PATTERN_METHODS = {"compile", "match", "fullmatch", "search", "findall", "finditer", "sub", "subn", "split"}
_MOMENTS = [datetime(2024, 2, 29, 13, 5, 9), datetime(1999, 12, 31, 23, 59, 59), datetime(2023, 11, 5, 0, 30)]
_NUMERALS = ["7", "-12", "3.5", " 42 ", "1e3", "+0", "1_000", "0x1f", "007"]
# Some with a right check digit (Luhn's, of an ISBN or EAN), some with a wrong one; of even and odd lengths.
_CHECKED = ["18", "059", "091", "79927398713", "4539148803436467", "0306406152", "080442957X", "9780306406157",
            "4006381333931", "1234567890", "26", "0000"]  # fmt: skip
# What a program's text has, and texts that it then may read.
KNOWN: dict[str, list[str]] = {
    "fromisoformat": ["2024-02-29", "2024-02-29T13:05:09", "2024-02-29T13:05:09+02:00", "13:05", "1999-12-31",
                      "2024-02-29T13:05:09Z"],
    "json.load": ['{"a": 1}', "[1, 2]", '{"name": "b", "x": [1, {"c": null}]}', '"text"', "null", "3.5", "{}", "[]"],
    "csv.": ["name,value\na,1\nb,2.5\n", 'x,y\n"a,b",3\n', "a;b\n1;2\n"],
    "configparser": ["[a]\nx = 1\ny = two\n", "[DEFAULT]\nx = 0\n[b]\nz = yes\n"],
    "ElementTree": ["<a x='1'><b>t</b></a>", "<a/>", "<r><i n='2'>x</i><i>y</i></r>"],
    "url": ["http://a.b:80/p/q?x=1&y=2#f", "https://example.org", "/p?x=1&x=2", "a=1&b=two+words&c="],
    "base64": ["YWI=", "YWJj", "AAE="],
    "unicodedata": ["e\u0301", "\u00e9a", "\ufb01n", "A\u030a", "\u00b2", "\u1e9e"],
    "fromhex": ["6162", "00 ff", "7f"],
    "unhexlify": ["6162", "00ff"],
    "ipaddress": ["10.0.0.1", "::1", "10.0.0.0/8", "192.168.1.300"],
    "UUID(": ["12345678-1234-5678-1234-567812345678", "urn:uuid:12345678123456781234567812345678"],
    "int(": [*_NUMERALS, *_CHECKED],
    "isdigit": _CHECKED,
    "float(": [*_NUMERALS, "nan", "inf"],
    "Decimal(": [*_NUMERALS, "0.10", "NaN"],
    "Fraction(": ["1/3", "-2/4", "0.25"],
    "literal_eval": ["[1, 2]", "{'a': 1}", "(1,)", "'x'", "None", "-3"],
    "eval(": ["1 + 2", "[1, 2]", "3 * (2 - 1)"],
    "shlex": ["a 'b c' d", 'x "y z"'],
    "loads(": ["a = 1\n[t]\nb = 'x'\n"],
}  # fmt: skip


def examples(source: str) -> list[str]:
    """Texts in the formats that a program reads, at most MOST, in order. source: the program, which parses."""
    tree = syntax.module(source)
    texts = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    found = []
    if "strptime" in source:
        formats = [t for t in texts if re.search(r"%[YmdHMSyBbjp]", t) and len(t) <= 40]
        found += [moment.strftime(one) for one in formats for moment in _MOMENTS]
    for pattern, flags in _patterns(tree):
        found += matching(pattern, flags)
    found += [text for name, several in KNOWN.items() if name in source for text in several]
    if "json.load" in source:
        keys = list(dict.fromkeys(t for t in texts if 0 < len(t) <= 20))[:8]
        found += _documents(keys)
    return list(dict.fromkeys(found))[:MOST]


def _documents(keys: list[str]) -> list[str]:
    """JSON texts of objects with a program's own texts as keys: one, several, some without a key; lists of them."""
    found = [json.dumps({key: n}) for n, key in enumerate(keys)]
    if keys:
        numbers, words = {k: n + 1 for n, k in enumerate(keys)}, {k: f"{k} x" for k in keys}
        rows = [numbers, words, {k: x for k, x in words.items() if k != keys[0]}, {keys[0]: None}]
        found += [json.dumps(x) for x in (numbers, words, rows, [words, numbers], {keys[0]: rows[:2]})]
        found += [json.dumps({key: [words, numbers]}) for key in keys[1:4]]
    return found


def _patterns(tree: ast.Module) -> list[tuple[str, int]]:
    """The regular expressions in a program: texts that stand where one is asked for, by a name of the module's too,
    each with the flags by which it is to be read."""
    found = []
    named = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _PATTERN_METHODS:
            of_re = isinstance(node.func.value, ast.Name) and node.func.value.id in ("re", "regex")
            first = node.args[0] if of_re and node.args else None
            text = named.get(first.id) if isinstance(first, ast.Name) else getattr(first, "value", None)
            if isinstance(text, str):
                attributes = {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}
                found.append((text, int(re.VERBOSE) if attributes & {"VERBOSE", "X"} else 0))
    return found


def matching(pattern: str, flags: int = 0) -> list[str]:
    """Texts that a regular expression matches, as far as it is plain, and some beside it; [] where it is none.

    flags: by which it is read. Those beside it have lines around, or an end of a line where any character may stand.
    """
    if len(pattern) > LONGEST_PATTERN:
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed = importlib.import_module("re._parser").parse(pattern, flags)
    except (re.error, RecursionError, OverflowError):
        return []
    rng = Random(len(pattern))
    found = []
    for _ in range(OF_A_PATTERN):
        text = _text(parsed, rng, {})[:40]
        found += [text, rng.choice([text + "\n", f"x{text} y", text.swapcase(), f"{text} {text}"])]
    one, other = found[0], _text(parsed, rng, {}, BROKEN)[:40]
    lines = [f"x\n{one}", f"{one}\n{found[2]}", f"{one}\nx", other]
    return list(dict.fromkeys([*found[:4], *lines, *found[4:]]))


_CATEGORIES = {
    "CATEGORY_DIGIT": "0123456789٣",
    "CATEGORY_NOT_DIGIT": "aZ -",
    "CATEGORY_SPACE": " \t\n\xa0",
    "CATEGORY_NOT_SPACE": "aZ9-",
    "CATEGORY_WORD": "abZ_9é",
    "CATEGORY_NOT_WORD": " -.",
}


def _text(parsed: Any, rng: Random, groups: dict[int, str], anything: str = "ab1 .é") -> str:
    """A text that a parsed pattern matches. groups: what its groups have matched so far. anything: what stands where
    any character may, and where all but some may, if it is one."""
    parts = []
    for operation, argument in parsed:
        name = str(operation)
        if name == "LITERAL":
            parts.append(chr(argument))
        elif name == "NOT_LITERAL":
            free = [c for c in (anything if anything == BROKEN else "ab1 ") if ord(c) != argument]
            parts.append(rng.choice(free or ["a"]))
        elif name == "ANY":
            parts.append(rng.choice(anything))
        elif name == "IN":
            parts.append(_one_of(argument, rng, anything == BROKEN))
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            fewest, most, inner = argument
            fewest = min(fewest, 20)
            count = rng.randint(fewest, min(int(most), fewest + MOST_REPEATS))
            parts += [_text(inner, rng, groups, anything) for _ in range(count)]
        elif name == "SUBPATTERN":
            groups[argument[0]] = _text(argument[-1], rng, groups, anything)
            parts.append(groups[argument[0]])
        elif name == "BRANCH":
            parts.append(_text(rng.choice(argument[1]), rng, groups, anything))
        elif name == "ATOMIC_GROUP":
            parts.append(_text(argument, rng, groups, anything))
        elif name == "GROUPREF":
            parts.append(groups.get(argument, ""))
        elif name == "CATEGORY":
            parts.append(rng.choice(_CATEGORIES.get(str(argument), "a")))
    return "".join(parts)


def _one_of(choices: Any, rng: Random, broken: bool) -> str:
    """A character of a class in brackets. broken: the end of a line where it is one of all but some."""
    if str(choices[0][0]) == "NEGATE":
        if broken and not any(_holds(choice, BROKEN) for choice in choices[1:]):
            return BROKEN
        barred = {c for c in map(chr, range(32, 127)) if any(_holds(choice, c) for choice in choices[1:])}
        return rng.choice([c for c in "ab1 -.Z,;=x" if c not in barred] or ["é"])
    operation, argument = rng.choice(choices)
    if str(operation) == "RANGE":
        return chr(rng.randint(argument[0], min(argument[1], argument[0] + 100)))
    if str(operation) == "CATEGORY":
        return rng.choice(_CATEGORIES.get(str(argument), "a"))
    return chr(argument)


def _holds(choice: Any, character: str) -> bool:
    """Whether a choice in brackets is of a character, as far as we know."""
    operation, argument = choice
    if str(operation) == "RANGE":
        return bool(argument[0] <= ord(character) <= argument[1])
    if str(operation) == "CATEGORY":
        return character in _CATEGORIES.get(str(argument), "")
    return bool(argument == ord(character))
