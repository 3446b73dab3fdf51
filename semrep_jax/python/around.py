"""What a program reads of its surroundings: environment variables and the words of its command line. Read, never run.

around = read(a, b)
around.names, around.options          # ["APP_DEBUG"], ["--count", "--verbose"]
around.steps(Random(0))               # [["env", "APP_DEBUG", ["t", "1"]], ["argv", "", ["t", "--count", "3"]]]
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from semrep_jax.core import syntax
from semrep_jax.python.trace import Step

VALUES = ("1", "0", "true", "", "yes", "7", "a,b", "False", "/a/b")  # of variables, beside the programs' own texts
WORDS = ("3", "a", "0", "-1", "notes.txt", "2.5")  # on a command line, beside the programs' own
MOST_OPTIONS = 3
_ENVIRONMENT = ("environ", "getenv")
_COMMAND_LINE = ("argv", "argparse", "optparse", "getopt")


@dataclass(frozen=True)
class Around:
    """What programs read: names of environment variables, options and words of a command line; their other texts."""

    names: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    command_line: bool = False

    def __bool__(self) -> bool:
        return bool(self.names) or self.command_line

    def words(self, rng: Random) -> list[str]:
        """A command line: options, some with a value, and words."""
        line: list[str] = []
        for _ in range(rng.randint(0, MOST_OPTIONS)):
            if self.options and rng.random() < 0.75:
                line.append(rng.choice(self.options))
            if rng.random() < 0.6:
                line.append(rng.choice([*WORDS, *self.texts[:8]]))
        return line

    def steps(self, rng: Random) -> list[Step]:
        """Steps that set variables and the command line, for the beginning of a sequence."""
        values = [*VALUES, *self.texts]
        found: list[Step] = [["env", n, ["t", rng.choice(values)]] for n in self.names if rng.random() < 0.8]
        return [*found, ["argv", "", ["t", *self.words(rng)]]] if self.command_line else found


def read(*sources: str) -> Around:
    """What some programs read of their surroundings; false where it is nothing. They parse."""
    names: list[str] = []
    options: list[str] = []
    texts: list[str] = []
    for source in sources:
        found = _texts(source)
        if any(word in source for word in _ENVIRONMENT):
            names += [t for t in found if re.fullmatch(r"[A-Z][A-Z0-9_]*", t)] + _asked_for(source)
        if any(word in source for word in _COMMAND_LINE):
            options += [t for t in found if re.fullmatch(r"--?[A-Za-z][\w-]*", t)]
        texts += [t for t in found if 0 < len(t) <= 20 and t not in options and t not in names]
    line = any(word in source for source in sources for word in _COMMAND_LINE)
    return Around(_once(names), _once(options), _once(texts), line)


def _once(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def _texts(source: str) -> list[str]:
    tree = syntax.module(source)
    documentation = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    every = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and id(n) not in documentation]
    return [n.value for n in every if isinstance(n.value, str)]


def _asked_for(source: str) -> list[str]:
    """Names of variables in whatever letters, where they are asked for by name."""
    found = []
    for node in ast.walk(syntax.module(source)):
        match node:
            case ast.Call(func=ast.Attribute(attr="getenv"), args=[ast.Constant(value=str(name)), *_]):
                found.append(name)
            case ast.Call(func=ast.Attribute(value=place), args=[ast.Constant(value=str(name)), *_]):
                found += [name] if _is_environ(place) else []
            case ast.Subscript(value=place, slice=ast.Constant(value=str(name))):
                found += [name] if _is_environ(place) else []
    return found


def _is_environ(node: ast.expr) -> bool:
    return ast.unparse(node).endswith("environ")
