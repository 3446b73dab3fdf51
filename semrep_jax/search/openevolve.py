"""Evaluators for OpenEvolve that own the process: a candidate that hangs, forks, fills memory or lies costs itself.

OpenEvolve runs an evaluator in a thread, which it can't end: one candidate that never returns keeps that thread, and
every candidate after it times out too. Its limits on memory and processors are not built. Here each candidate runs
contained and is killed at its limit, whatever it does; `combined_score` is always there and finite; and what went
wrong goes back into the next prompt as artifacts. The file that OpenEvolve is given:

    # evaluator.py
    from semrep_jax.search.openevolve import Tested, examples
    evaluate = Tested(examples("area", [((2, 3), 6), ((0, 5), 0)]))

    openevolve-run seed.py evaluator.py --config config.yaml --iterations 20

Tested(task)        judged by tests; the candidate never sees what is expected. Standard library only.
Scored(entry, ...)  the candidate's functions are called, and a function of yours scores the plain values they gave.
Isolated(file)      someone's evaluator, as it is, in a process group of its own. **It shares a process with the
                    candidate, which can forge its score**; the limits and the kill hold all the same.

The prompts' artifacts: compile_error, first_failing_test, counterexample, timeout, evaluator_error.
"""

from __future__ import annotations

import json
import math
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semrep_jax.core import sources
from semrep_jax.core.errors import SemRepError
from semrep_jax.core.programs import Case, Outcome, Program, Status, Task, Tests, Verdict
from semrep_jax.languages import LANGUAGES, Answer, Resources, duplicate
from semrep_jax.python import PYTHON
from semrep_jax.sandbox import children, scratch
from semrep_jax.sandbox.pool import Limits, Observation, Sandbox, Unseen
from semrep_jax.sandbox.wire import decode, encode

if TYPE_CHECKING:
    from openevolve.evaluation_result import EvaluationResult

LIMITS = Limits(cpu_seconds=2.0, wall_seconds=5.0)
LONGEST_ARTIFACT = 4000  # characters
CHILD = Path(__file__).with_name("openevolve_child.py")


def examples(entry: str, pairs: Sequence[tuple[tuple[Any, ...], Any]], tolerance: float = 0.0) -> Task:
    """A task of calls with the value that each must give.

    entry: the function's name. pairs: positional arguments and the value. tolerance: for floats, relative and absolute.
    """
    cases = tuple(Case(encode(args), Outcome(encode(value))) for args, value in pairs)
    return Task(entry, Program(PYTHON, ""), Tests(entry), Tests(entry, cases, tolerance))


class Tested:
    """Judges by tests: `combined_score` is the share that passed.

    task: its U_sem and U_edit. limits: for all calls of one candidate. reference: a program that candidates must behave
    like; one that passes every test and differs from it elsewhere gets half, and the call on which it does as artifact.
    """

    def __init__(self, task: Task, limits: Limits = LIMITS, reference: str | None = None):
        self.task, self.limits, self.reference = task, limits, reference

    def __call__(self, program_path: str) -> EvaluationResult:
        """Metrics and artifacts of the program in a file."""
        program = _read(program_path)
        if isinstance(program, str):
            return _result({"combined_score": 0.0}, {"compile_error": program})
        verdict = self._verdict(program)
        passed = verdict.preserve.passed + verdict.edit.passed
        total = verdict.preserve.total + verdict.edit.total
        metrics = {
            "combined_score": passed / total if total and verdict.compiled else 0.0,
            "preserved": verdict.preserve.share,
            "edited": verdict.edit.share,
            "compiled": float(verdict.compiled),
        }
        artifacts = _artifacts(verdict)
        if verdict.correct and self.reference is not None and (call := self._told_apart(program)):
            metrics["combined_score"] *= 0.5
            artifacts["counterexample"] = call
        return _result(metrics, artifacts)

    def _verdict(self, program: Program) -> Verdict:
        from semrep_jax.python.verifier import PythonJudge, verdict_of

        judge = PythonJudge(_sandbox(self.limits))
        repeated = duplicate(self.task.source, program)
        verdict = judge.judge(self.task, program, repeated)
        if not verdict.judged:  # a fault of ours says nothing about the candidate: once more
            verdict = judge.judge(self.task, program, repeated)
        return verdict if verdict.judged else verdict_of(self.task, Observation(died="timeout"), repeated)

    def _told_apart(self, program: Program) -> str:
        """A call on which a program differs from the reference; "" where none was found."""
        assert self.reference is not None
        source = Program(PYTHON, self.reference)
        with closing(LANGUAGES[PYTHON].comparer(source, Resources(_sandbox(self.limits)), None)) as comparer:
            try:
                finding = comparer.compare(program.source)
            except Unseen:
                return ""
        return finding.counterexample if finding.answer is Answer.DIFFERENT else ""


class Scored:
    """Scores what the candidate's function gives.

    entry: the function's name. calls: positional arguments of each call. score: from the values of the calls, in order,
    to a number or to metrics; it runs in this process on plain values (numbers, texts, lists, ...), and may refuse them
    by raising ValueError. limits: for all calls of one candidate.
    """

    def __init__(
        self,
        entry: str,
        calls: Sequence[tuple[Any, ...]],
        score: Callable[[list[Any]], float | Mapping[str, float]],
        limits: Limits = LIMITS,
    ):
        self.entry, self.calls, self.score, self.limits = entry, calls, score, limits

    def __call__(self, program_path: str) -> EvaluationResult:
        """Metrics and artifacts of the program in a file."""
        program = _read(program_path)
        if isinstance(program, str):
            return _result({}, {"compile_error": program})
        try:
            seen = _sandbox(self.limits).observe(program.source, self.entry, list(map(encode, self.calls)), self.limits)
        except Unseen as fault:
            return _result({}, {"evaluator_error": str(fault)})
        wrong = _what_failed(self.entry, self.calls, seen)
        if wrong:
            return _result({}, wrong)
        try:
            return scored(self.score([decode(outcome.value) for outcome in seen.outcomes]))
        except ValueError as error:
            return _result({}, {"first_failing_test": str(error)})
        except Exception as error:
            return _result({}, {"evaluator_error": f"{type(error).__name__}: {error}"})


class Isolated:
    """Someone's evaluator file, run for each candidate in a process group of its own that is killed as a whole.

    evaluator: a file with `evaluate(program_path)`. seconds: wall time of one evaluation. memory_mb: address space of
    each of its processes (MiB). Without network, with the file system read-only but for its own temporary directory,
    where the kernel allows that.
    """

    def __init__(self, evaluator: str | Path, seconds: float = 60.0, memory_mb: int = 2048):
        self.evaluator, self.seconds, self.memory_mb = Path(evaluator).resolve(), seconds, memory_mb
        if not self.evaluator.is_file():
            raise SemRepError(f"{self.evaluator} does not exist; name a file with evaluate(program_path)")

    def __call__(self, program_path: str) -> EvaluationResult:
        """Metrics and artifacts that the evaluator gave, as far as they are numbers and texts."""
        own = tempfile.mkdtemp(prefix="semrep-evolve-")
        try:
            return self._in(own, Path(program_path).resolve())
        finally:
            with suppress(OSError):
                scratch.empty(own)
                os.rmdir(own)

    def _in(self, own: str, program: Path) -> EvaluationResult:
        told: dict[str, Any] = {
            "evaluator": str(self.evaluator),
            "program": program.read_text(errors="replace"),
            "scratch": own,
        }
        told |= {"suffix": program.suffix, "memory_mb": self.memory_mb, "seconds": math.ceil(self.seconds)}
        with tempfile.TemporaryFile() as asked:  # a program may be longer than an argument may
            asked.write(json.dumps(told).encode())
            asked.seek(0)
            process = children.start(
                [sys.executable, str(CHILD)],
                stdin=asked,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            said, ended = _read_all(process, self.seconds)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
        if not ended:
            return _result({}, {"timeout": f"killed after {self.seconds:g} s"})
        return _reported(said)


def _read_all(process: subprocess.Popen[bytes], seconds: float) -> tuple[str, bool]:
    """What a process printed (its last million bytes), and whether it ended in time."""
    assert process.stdout is not None
    deadline, data = time.monotonic() + seconds, b""
    while (left := deadline - time.monotonic()) > 0:
        if select.select([process.stdout], [], [], left)[0]:
            more = os.read(process.stdout.fileno(), 1 << 16)
            if not more:
                return data.decode(errors="replace"), True
            data = (data + more)[-1_000_000:]
    return data.decode(errors="replace"), False


def _reported(said: str) -> EvaluationResult:
    """The result in the last line of what a child printed; the lines before are the candidate's and the evaluator's."""
    *printed, last = said.rstrip("\n").split("\n")
    try:
        told = json.loads(last)
        metrics, artifacts, error = told["metrics"], told["artifacts"], told["error"]
    except (ValueError, KeyError, TypeError, RecursionError):
        tail = "\n".join([*printed, last][-20:]).strip()
        return _result({}, {"evaluator_error": tail or "the evaluator's process ended without a result"})
    kept = {str(name): str(text) for name, text in artifacts.items()} if isinstance(artifacts, dict) else {}
    if error:
        return _result({}, kept | {"evaluator_error": str(error)})
    result = scored(metrics)
    result.artifacts.update(_shortened(kept))
    return result


def scored(told: Any) -> EvaluationResult:
    """A score or metrics as a result whose `combined_score` is there and finite; what is no number is said and left
    out."""
    if isinstance(told, int | float):
        told = {"combined_score": told}
    if not isinstance(told, Mapping):
        return _result({}, {"evaluator_error": f"the evaluator gave {type(told).__name__}, not metrics"})
    good = {str(name): float(value) for name, value in told.items() if _is_finite(value)}
    bad = sorted(str(name) for name, value in told.items() if not _is_finite(value))
    artifacts = {"evaluator_error": f"no finite numbers: {', '.join(bad)}"} if bad else {}
    if "combined_score" not in good and "combined_score" not in bad and good:
        good["combined_score"] = sum(good.values()) / len(good)  # what OpenEvolve would take in its place
    return _result(good, artifacts)


def _is_finite(value: Any) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that is larger than any float
        return False


def _result(metrics: Mapping[str, float], artifacts: Mapping[str, str]) -> EvaluationResult:
    from openevolve.evaluation_result import EvaluationResult

    return EvaluationResult({"combined_score": 0.0, **metrics}, dict(_shortened(artifacts)))


def _shortened(artifacts: Mapping[str, str]) -> dict[str, str]:
    return {name: text[:LONGEST_ARTIFACT] for name, text in artifacts.items()}


def _read(path: str) -> Program | str:
    """The program in a file, or why it holds none."""
    try:
        return Program(PYTHON, sources.read(Path(path)))
    except ValueError as error:
        return f"the program is no UTF-8 text, nor in an encoding that it states: {error}"


def _artifacts(verdict: Verdict) -> dict[str, str]:
    """A verdict's feedback under the name of what it is."""
    names = {Status.OK: "", Status.COMPILE: "compile_error", Status.TIMEOUT: "timeout"}
    name = names.get(Status(verdict.status), "first_failing_test")
    return {name: verdict.feedback} if name else {}


def _what_failed(entry: str, calls: Sequence[tuple[Any, ...]], seen: Observation) -> dict[str, str]:
    """The artifact of a run that gave no value for every call; empty where it did."""
    if seen.load_error is not None:
        return {"compile_error": seen.load_error}
    if seen.fault is not None or seen.died == "timeout":
        return {"timeout": seen.fault or "killed at its limit of time"}
    if seen.died is not None:
        return {"first_failing_test": f"the process ended early: {seen.died}"}
    for args, outcome, message in zip(calls, seen.outcomes, seen.messages, strict=True):
        if outcome.error is not None:
            shown = ", ".join(map(repr, args))
            return {"first_failing_test": f"{entry}({shown}) raised {message or outcome.error}"}
    return {}


@cache
def _sandbox(limits: Limits) -> Sandbox:
    """This process's sandbox. OpenEvolve's workers are forks, and a zygote answers one process only."""
    return Sandbox(1, limits)


os.register_at_fork(after_in_child=_sandbox.cache_clear)
