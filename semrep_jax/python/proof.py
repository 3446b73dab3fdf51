"""Do two programs behave the same on every path? CrossHair follows them symbolically, contained.

    finding = prove(reference, other, reference.compare(other))      # needs the extra `prove`
    finding.proved, finding.reason

A difference that it meets counts only if running the two shows it.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import secrets
import signal
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from semrep_jax.core import syntax
from semrep_jax.core.errors import SemRepError
from semrep_jax.languages import Answer, Finding
from semrep_jax.python import inputs
from semrep_jax.python.equivalence import Behaviour, Reference
from semrep_jax.sandbox.pool import Limits, Pool
from semrep_jax.sandbox.wire import encode

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
    with Pool(1, Path(__file__).with_name("crosshair_zygote.py"), readable=[_crosshair_folder()]) as prover:
        for behaviour in reference.behaviours.values():
            parameters = _parameters(behaviour)
            without_hint = [p.arg for p in parameters if p.annotation is None]
            if without_hint:
                name = f"{behaviour.entry}'s parameter {without_hint[0]}"
                return replace(finding, reason=f"not proved: {name} has no type hint to prove it for")
            report = _follow(prover, behaviour, other, seconds)
            if difference := report.get("difference"):
                found = _confirmed(behaviour, other, difference, [p.arg for p in parameters])
                suspected = f"CrossHair suspects {behaviour.entry}({difference}), running it shows none"
                return found or replace(finding, reason=f"not proved: {suspected}")
            if report.get("exhausted") is not True:
                return replace(finding, reason=f"not proved: {_obstacle(report, behaviour.entry, seconds)}")
    return replace(finding, proved=True) if finding.answer is Answer.EQUIVALENT else finding


def _crosshair_folder() -> str:
    """The folder that CrossHair is installed in. Raises ProverError."""
    spec = importlib.util.find_spec("crosshair")
    if spec is None or not spec.submodule_search_locations:
        raise ProverError("--prove needs CrossHair: pip install 'semrep_jax[prove]'")
    return str(Path(spec.submodule_search_locations[0]).parent)


def _parameters(behaviour: Behaviour) -> list[ast.arg]:
    arguments = inputs.functions(behaviour.source)[behaviour.entry].args
    return [*arguments.posonlyargs, *arguments.args]


def _follow(prover: Pool, behaviour: Behaviour, other: str, seconds: float) -> dict[str, Any]:
    """The prover's report on one function, with "stopped" where time ran out; empty where its process crashed.

    prover: a pool of CrossHair's zygotes. behaviour: of the first program's function. other: the second program.
    seconds: for its paths (s).
    """
    limits = Limits(seconds + MORE_CPU_SECONDS, seconds + MORE_WALL_SECONDS, MEMORY_MB)
    token = secrets.token_hex(16)
    request = {"a": behaviour.source, "b": other, "entry": behaviour.entry, "seconds": seconds, "token": token}
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


def _confirmed(behaviour: Behaviour, other: str, difference: Mapping[str, str], names: list[str]) -> Finding | None:
    """A difference, where plain values make a call on which the two differ when run.

    behaviour: of the first program's function. other: the second program. difference: each parameter with the text of
    its value. names: the parameters in order.
    """
    try:
        call = encode(tuple(ast.literal_eval(syntax.expression(difference[name])) for name in names))
    except Exception:  # a stranger's text in place of a value
        return None
    found = Behaviour(behaviour.source, behaviour.entry, [call], behaviour.sandbox).compare(other)
    return found if found.answer is Answer.DIFFERENT else None
