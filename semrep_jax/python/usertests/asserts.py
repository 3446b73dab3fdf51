"""Asserts in one text as a file for pytest, in which each of them is a test.

    a_test_each("def check():\\n    x = made()\\n    assert f(x) == 1\\n    assert g(x) == 2", "program")

Suites of edits are written as one function `check` or as bare asserts, of which the first that fails hides the others.
Apart, those that C_src passes are U_sem, the others U_edit. They still run once, in their order and in one state; what
stands between them and raises fails all that come after it.
"""

from __future__ import annotations

import ast

from semrep_jax.core import syntax

CHECK = "check"
# Runs the asserts when the first test asks, and tells each test of its own.
ONCE = """
_outcomes, _ended = [], []

def _outcome(number):
    if not _ended:
        _ended.append(AssertionError("the asserts before it did not end"))
        try:
            _check()
        except (Exception, SystemExit) as error:
            _ended.append(error)
    error = _outcomes[number] if number < len(_outcomes) else _ended[-1]
    if error is not None:
        raise error
"""
APART = """
try:
    pass
except (Exception, SystemExit) as error:
    _outcomes.append(error)
else:
    _outcomes.append(None)
"""


def a_test_each(text: str, module: str) -> str:
    """The file.

    text: asserts, in a function `check` without parameters or bare; a text with tests for pytest is left as it is.
    module: of the program, all of whose names the asserts see. Raises what `syntax.module` does.
    """
    body = syntax.module(text).body
    if any(map(_is_for_pytest, body)):
        return text
    check = next((n for n in body if isinstance(n, ast.FunctionDef) and n.name == CHECK), None)
    outside = [n for n in body if n is not check] if check is not None else []
    statements = _flat(body if check is None else check.body)
    if statements and isinstance(statements[-1], ast.Return):
        statements.pop()
    if statements and not _asserts(statements[-1]):
        statements.append(_parsed("assert True"))  # that what stands behind the last assert runs
    inside = [_apart(statement) if _asserts(statement) else statement for statement in statements]
    tests = [_parsed(f"def test_{n + 1}():\n    _outcome({n})") for n in range(sum(map(_asserts, statements)))]
    private = sorted({n.id for n in ast.walk(ast.Module(body, [])) if isinstance(n, ast.Name) and n.id[0] == "_"})
    imports = [_parsed(f"from {module} import *")]
    imports += [_parsed(f"try:\n    from {module} import {name}\nexcept ImportError:\n    pass") for name in private]
    run = _parsed("def _check():\n    pass")
    assert isinstance(run, ast.FunctionDef)
    run.body = inside
    return ast.unparse(ast.Module([*imports, *outside, *syntax.module(ONCE).body, run, *tests], []))


def _parsed(text: str) -> ast.stmt:
    return syntax.module(text).body[0]


def _apart(statement: ast.stmt) -> ast.stmt:
    """A statement whose outcome is noted, and which ends nothing."""
    found = _parsed(APART)
    assert isinstance(found, ast.Try)
    found.body = [statement]
    return found


def _is_for_pytest(node: ast.stmt) -> bool:
    return (isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test")) or (
        isinstance(node, ast.ClassDef) and (node.name.startswith("Test") or "TestCase" in ast.unparse(node))
    )


def _flat(statements: list[ast.stmt]) -> list[ast.stmt]:
    """Statements, those of an `if` that always holds in its place."""
    found = []
    for node in statements:
        match node:
            case ast.If(test=ast.Constant(value=True)):
                found += _flat(node.body)
            case _:
                found.append(node)
    return found


def _asserts(statement: ast.stmt) -> bool:
    """Whether a statement can fail a test by itself."""
    defines = isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    return not defines and any(isinstance(n, ast.Assert | ast.Raise) for n in ast.walk(statement))
