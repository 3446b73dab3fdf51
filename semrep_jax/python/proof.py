"""Do two programs behave the same on every path? CrossHair follows them symbolically, contained.

    finding = prove(reference, other, reference.compare(other))      # needs the extra `prove`
    finding.proved, finding.certificate, finding.reason

A certificate is given for functions of integers, truth values, texts, bytes and lists, tuples, dicts and sets of them,
without state, output or floats, and says what it covers: arguments given and left out, of which types. A difference
that CrossHair names is run: where that shows it the programs are different, where it does not nothing is known.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import secrets
import signal
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from semrep_jax.core.errors import SemRepError
from semrep_jax.languages import Answer, Finding
from semrep_jax.python import surface
from semrep_jax.python.behaviour import Behaviour
from semrep_jax.python.constants import told_apart
from semrep_jax.python.equivalence import Reference
from semrep_jax.python.surface import Function, Kind
from semrep_jax.sandbox.pool import Limits, Pool

SECONDS = 10.0  # a function
MORE_CPU_SECONDS = 5.0  # for loading CrossHair and ending
MORE_WALL_SECONDS = 10.0
MEMORY_MB = 4096


class ProverError(SemRepError):
    """A proof was asked for, and CrossHair is not here."""


def prove(reference: Reference, other: str, finding: Finding, seconds: float = SECONDS) -> Finding:
    """The finding, as far as CrossHair bears it out: proved, or different, or as it was with why nothing is proved.

    reference: the first program. other: the second. finding: what running both on generated inputs found. seconds: to
    follow every path of one function of both (s). Raises ProverError where CrossHair is not installed.
    """
    folder = _crosshair_folder()
    theirs = surface.read(other)
    certificate = []
    obstacle = _unprovable_programs(reference, other)
    with Pool(1, Path(__file__).with_name("crosshair_zygote.py"), readable=[folder]) as prover:
        for behaviour in reference.behaviours.values():
            function = reference.drawing.surface.functions[behaviour.entry]
            reason = obstacle or _unprovable(function, theirs.functions.get(function.name))
            if reason and not _followable(function):
                return replace(finding, reason=_joined(finding, reason))
            shapes = list(_shapes(function))
            for given in shapes:
                report = _follow(prover, behaviour, other, given, seconds / len(shapes))
                if difference := report.get("difference"):
                    return _run_difference(behaviour, other, function, difference, finding)
                if report.get("exhausted") is not True:
                    reason = reason or _obstacle(report, behaviour.entry, seconds)
                    break
            if reason:
                return replace(finding, reason=_joined(finding, reason))
            certificate.append(_covered(function))
    if finding.answer is not Answer.EQUIVALENT:
        return finding
    return replace(finding, proved=True, certificate="; ".join(certificate) + _NOT_COVERED)


def _joined(finding: Finding, reason: str) -> str:
    """The finding's reason, and why nothing is proved."""
    return "; ".join(filter(None, [finding.reason, f"not proved: {reason}"]))


def _unprovable_programs(reference: Reference, other: str) -> str:
    """What in either program CrossHair would not see; empty where nothing is."""
    if reference.classes or reference.missing:
        return "classes are compared by running alone"
    return next(filter(None, map(_reaching, (reference.source, other))), "")


# Modules whose functions give the same for the same arguments, and have no state.
_PURE = {"__future__", "abc", "bisect", "collections", "copy", "dataclasses", "enum", "fractions", "functools",
         "heapq", "itertools", "math", "numbers", "operator", "re", "statistics", "string", "textwrap", "typing",
         "unicodedata"}  # fmt: skip


def _reaching(source: str) -> str:
    """What in a program reaches beyond one call: state, other modules, output; empty where nothing does."""
    tree = surface.parsed(source)
    if "bool" in told_apart(tree):
        return "truth values are told from integers, and both can stand for an integer"
    for node in _run_at_load(tree):
        if kept := _kept(node):
            return f"{kept} may be a state that outlives a call"
    for node in ast.walk(tree):
        if isinstance(node, ast.Global | ast.Nonlocal):
            return "a state that outlives a call is not followed"
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            return f"the attribute {node.attr} may be a state that outlives a call"
        if isinstance(node, ast.Attribute) and node.attr.startswith("__") and node.attr not in _HARMLESS:
            return f"the attribute {node.attr} may be a state that outlives a call"
        if isinstance(node, ast.Name) and node.id in _OUTWARD:
            return f"{node.id} reaches out of the program, which is not followed"
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
            for module in modules:
                if module.partition(".")[0] not in _PURE:
                    return f"the module {module} may reach out of the program, which is not followed"
    return ""


_FIXED = (ast.Constant, ast.Tuple, ast.UnaryOp, ast.BinOp, ast.operator, ast.unaryop, ast.expr_context)
_HARMLESS = {"__init__", "__name__", "__class__"}  # special attributes that no state hides in
_OUTWARD = {"print", "open", "input", "id", "hash", "globals", "vars", "locals", "setattr", "delattr", "eval", "exec",
            "compile", "__import__", "__builtins__"}  # fmt: skip
# Decorators of what stands outside of all functions that keep nothing from one call to the next.
_STATELESS = {"staticmethod", "classmethod", "property", "dataclass", "total_ordering", "abstractmethod", "overload",
              "final", "unique"}  # fmt: skip


def _run_at_load(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a program that are run as it is loaded: all but the bodies of functions."""
    yield node
    inside = {*map(id, node.body)} if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else set()
    if isinstance(node, ast.Lambda):
        inside = {id(node.body)}
    for child in ast.iter_child_nodes(node):
        if id(child) not in inside:
            yield from _run_at_load(child)


def _kept(node: ast.AST) -> str:
    """What a node that is run as the program is loaded may leave for all calls to change; empty where it is nothing."""
    match node:
        case ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value):
            if not _is_fixed(value) and not _is_field(value):
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                return f"the variable {ast.unparse(target)}"
        case (
            ast.AugAssign() | ast.NamedExpr() | ast.For() | ast.AsyncFor() | ast.With() | ast.AsyncWith() | ast.Match()
        ):
            return f"what {ast.unparse(node).splitlines()[0]!r} binds as the program is loaded"
        case ast.arguments(defaults=defaults, kw_defaults=more):
            for default in [*defaults, *more]:
                if default is not None and not _is_fixed(default):
                    return f"the default {ast.unparse(default)}"
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            for decorator in node.decorator_list:
                name = decorator.func if isinstance(decorator, ast.Call) else decorator
                if ast.unparse(name).rpartition(".")[2] not in _STATELESS:
                    return f"what the decorator {ast.unparse(decorator)} remembers"
    return ""


def _is_fixed(value: ast.expr) -> bool:
    """Whether an expression is of constants alone, which nobody can change."""
    return all(isinstance(n, _FIXED) for n in ast.walk(value))


def _is_field(value: ast.expr) -> bool:
    """Whether an expression is a dataclass's field or an Enum's `auto()`, of which each instance has its own."""
    if not isinstance(value, ast.Call) or value.args:
        return False
    name = ast.unparse(value.func).rpartition(".")[2]
    fresh = all(k.arg == "default_factory" or _is_fixed(k.value) for k in value.keywords)
    return name == "auto" or (name == "field" and fresh)


def _unprovable(function: Function, other: Function | None) -> str:
    """Why no certificate can be given for a function; empty where one can."""
    if other is None:
        return f"{function.name} is no function of the second program"
    if isinstance(function.node, ast.AsyncFunctionDef) or isinstance(other.node, ast.AsyncFunctionDef):
        return f"{function.name} is asynchronous"
    if [(p.name, p.kind, p.optional) for p in function.parameters] != [
        (p.name, p.kind, p.optional) for p in other.parameters
    ]:
        return f"{function.name} has other parameters in the second program"
    for p in function.parameters:
        if p.annotation is None:
            return f"{function.name}'s parameter {p.name} has no type hint to prove it for"
        if not _is_exact(p.annotation):
            return f"{function.name}'s parameter {p.name} is of a type for which == says too little"
        if p.kind in (Kind.STAR, Kind.STARS):
            return f"{function.name} takes any number of arguments"
    return ""


def _followable(function: Function) -> bool:
    """Whether CrossHair can look for a difference at least."""
    return bool(function.parameters) and all(
        p.annotation is not None and p.kind not in (Kind.STAR, Kind.STARS) for p in function.parameters
    )


_EXACT = {"int", "bool", "str", "bytes", "list", "tuple", "dict", "set", "frozenset", "List", "Tuple", "Dict", "Set",
          "FrozenSet", "Optional", "Union", "typing"}  # fmt: skip
_NOT_COVERED = "; not covered: limits of time, memory and recursion, arguments of other types, shared references"


def _is_exact(annotation: ast.expr) -> bool:
    """Whether all of a hint is of types for whose values the comparison is exact."""
    names = {n.id for n in ast.walk(annotation) if isinstance(n, ast.Name)}
    attributes = {n.attr for n in ast.walk(annotation) if isinstance(n, ast.Attribute)}
    texts = [n for n in ast.walk(annotation) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return names | attributes <= _EXACT and not texts


def _shapes(function: Function) -> Iterator[list[str]]:
    """The names of the parameters that are given: all, and fewer and fewer of the optional ones."""
    placed = [p for p in function.parameters if p.kind in (Kind.POSITION, Kind.EITHER)]
    named = [p for p in function.parameters if p.kind is Kind.KEYWORD]
    required = [p.name for p in named if not p.optional]
    fewest = sum(not p.optional for p in placed)
    for count in range(len(placed), fewest - 1, -1):
        yield [p.name for p in placed[:count]] + [p.name for p in named]
        if len(required) < len(named):
            yield [p.name for p in placed[:count]] + required


def _covered(function: Function) -> str:
    """What a certificate covers of a function."""
    given = ", ".join(
        f"{p.name}: {ast.unparse(p.annotation) if p.annotation else 'any'}{' (given and left out)' * p.optional}"
        for p in function.parameters
    )
    return f"every path of {function.name}({given})"


def _run_difference(
    behaviour: Behaviour, other: str, function: Function, difference: Mapping[str, str], finding: Finding
) -> Finding:
    """What a difference that CrossHair names comes to when it is run: different, or nothing is known."""
    found = _confirmed(behaviour, other, function, difference)
    if found is not None:
        return found
    call = ", ".join(f"{name}={text}" for name, text in difference.items())[:300]
    reason = f"CrossHair names {function.name}({call}) as a difference, and running both does not show it"
    return replace(finding, answer=Answer.UNKNOWN, reason=reason)


def _crosshair_folder() -> str:
    """The folder that CrossHair is installed in. Raises ProverError."""
    spec = importlib.util.find_spec("crosshair")
    if spec is None or not spec.submodule_search_locations:
        raise ProverError("--prove needs CrossHair: pip install 'semrep_jax[prove]'")
    return str(Path(spec.submodule_search_locations[0]).parent)


def _follow(prover: Pool, behaviour: Behaviour, other: str, given: list[str], seconds: float) -> dict[str, Any]:
    """The prover's report on one function, with "stopped" where time ran out; empty where its process crashed.

    prover: a pool of CrossHair's zygotes. behaviour: of the first program's function. other: the second program.
    given: the names of the parameters that are not left out. seconds: for its paths (s).
    """
    limits = Limits(seconds + MORE_CPU_SECONDS, seconds + MORE_WALL_SECONDS, MEMORY_MB)
    token = secrets.token_hex(16)
    request = {
        "a": behaviour.source,
        "b": other,
        "entry": behaviour.entry,
        "given": given,
        "seconds": seconds,
        "token": token,
    }
    answer = prover.ask(request | {"limits": asdict(limits)})
    if answer is None:
        return {"stopped": True}
    facts, raw = answer
    stopped = facts["timeout"] or facts["signal"] in (signal.SIGPROF, signal.SIGXCPU)
    return _report(raw, token) | ({"stopped": True} if stopped else {})


def _report(raw: bytes, token: str) -> dict[str, Any]:
    """What the prover's child has written; empty where it is no report of this run."""
    try:
        report = json.loads(raw)
    except ValueError:
        return {}
    return report if isinstance(report, dict) and report.get("token") == token else {}


def _obstacle(report: Mapping[str, Any], entry: str, seconds: float) -> str:
    """Why not all paths of a function were followed."""
    if "exhausted" in report or "stopped" in report:
        return f"CrossHair did not follow all paths of {entry} to their end in {seconds:g} s"
    trouble = str(report.get("trouble") or "its process crashed").encode("utf-8", "backslashreplace").decode()
    return f"CrossHair failed on {entry}: {trouble}"


def _confirmed(behaviour: Behaviour, other: str, function: Function, difference: Mapping[str, str]) -> Finding | None:
    """A difference, where the two differ when it is run. Only the sandbox evaluates the values' texts.

    behaviour: of the first program's function. other: the second program. function: its surface. difference: each
    parameter with the text of its value; those left out are not there.
    """
    placed = [p.name for p in function.parameters if p.kind is Kind.POSITION and p.name in difference]
    args = [["expr", str(difference[name])] for name in placed]
    kwargs = [[name, ["expr", str(text)]] for name, text in difference.items() if name not in placed]
    call = ["call*", args, kwargs]
    found = Behaviour(behaviour.source, behaviour.entry, [call], behaviour.sandbox).compare(other)
    return found if found.answer is Answer.DIFFERENT else None
