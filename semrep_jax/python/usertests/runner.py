"""The parent's side of a person's tests: starts the two contained processes, and makes results of what they report."""

from __future__ import annotations

import ast
import importlib.util
import json
import secrets
import signal
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from threading import Lock
from typing import Any

from semrep_jax.core import sources, syntax
from semrep_jax.core.errors import TaskError
from semrep_jax.sandbox.pool import Limits, Pool

TEST_SECONDS = 10.0
SUITE_SECONDS = 120.0  # for all tests, and for one try when one of them ended the process
MEMORY_MB = 1024
SCRATCH_MB = 64
MOST_ENDINGS = 50  # processes that tests may end before the rest are given up
PACKAGES = ("pytest", "pluggy", "iniconfig", "packaging", "pygments")


class Outcome(StrEnum):
    """What became of a test."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class TestResult:
    """One test of the file: its name, what became of it, and why where it did not pass."""

    name: str
    outcome: Outcome
    message: str = ""

    @property
    def passed(self) -> bool:
        """Whether it passed."""
        return self.outcome is Outcome.PASSED


@dataclass(frozen=True)
class Report:
    """What became of a file of tests on one program.

    results: of each test, in order. problem: why they could not all run, one line. programs_fault: whether the problem
    is the program's (it does not load, or lacks a name that the tests import).
    """

    results: tuple[TestResult, ...]
    problem: str | None = None
    programs_fault: bool = False

    @property
    def all_passed(self) -> bool:
        """Whether tests ran and none failed."""
        ran = [r for r in self.results if r.outcome is not Outcome.SKIPPED]
        return self.problem is None and bool(ran) and all(r.passed for r in ran)


class Bench:
    """Where tests run: contained processes in pairs.

    workers: programs tested side by side. seconds: a test may take (s). settings: as `sandbox.pool.Pool` has.
    """

    def __init__(self, workers: int = 1, seconds: float = TEST_SECONDS, **settings: Any):
        self.workers, self.seconds, self.settings = workers, seconds, settings
        self.pools: dict[bool, Pool] = {}
        self._starting = Lock()

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes."""
        for pool in self.pools.values():
            pool.close()

    def pool(self, numpy: bool) -> Pool:
        """The zygotes, with NumPy loaded or without."""
        with self._starting:
            if numpy not in self.pools:
                modules = ["numpy"] if numpy else []
                script = Path(__file__).with_name("contained.py")
                given = {"scratch_mb": SCRATCH_MB, "packages": _folders(*PACKAGES, *modules), "modules": modules}
                self.pools[numpy] = Pool(self.workers, script, **(given | self.settings))
            return self.pools[numpy]


def _folders(*packages: str) -> list[str]:
    """The folders that packages are installed in."""
    specs = [importlib.util.find_spec(name) for name in packages]
    return sorted({str(Path(spec.origin).parent.parent) for spec in specs if spec is not None and spec.origin})


def read_tests(path: Path) -> str:
    """The text of a test file. Raises TaskError."""
    try:
        text = sources.read(path)
    except (OSError, ValueError) as error:
        raise TaskError(f"tests {path} can't be read: {getattr(error, 'strerror', None) or error}") from error
    try:
        syntax.module(text)
    except SyntaxError as error:
        where = "" if error.lineno is None else f"line {error.lineno}: "
        raise TaskError(f"tests {path} is not Python: {where}{error.msg}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise TaskError(f"tests {path} is not Python: {error or 'it nests too deeply'}") from error
    return text


def run_tests(program: str, module: str, tests: str, bench: Bench, name: str = "tests") -> Report:
    """Run every test of a file on a program.

    program: its source. module: the name by which the tests import it. tests: the text of the test file. bench: where
    both run. name: of the tests' own module.
    """
    pool = bench.pool(numpy=bool({"numpy"} & (_imported(program) | _imported(tests))))
    name = name if name.isidentifier() and name != module else "tests_of_" + module
    results: list[TestResult] = []
    raw = tests.encode()
    for _ in range(MOST_ENDINGS):
        request = {
            "module": module,
            "source": program,
            "tests_module": name,
            "text_size": len(raw),
            "seconds": bench.seconds,
            "decided": [r.name for r in results],
            "token": secrets.token_hex(8),
            "limits": asdict(Limits(SUITE_SECONDS, SUITE_SECONDS, MEMORY_MB)),
        }
        answer = pool.ask(request, raw)
        if answer is None:
            return Report(tuple(results), "the tests' process did not answer", programs_fault=False)
        facts, events = answer[0], list(_events(answer[1]))
        results += _results(events)
        problem = next((e for e in events if e["event"] == "problem"), None)
        if problem is not None:
            return Report(tuple(results), problem["message"], problem["program"])
        end = next((e for e in events if e["event"] == "end"), None)
        if end is not None and end["broken"] is None:
            return _whole(results)
        if end is None:
            running = _running(events)
            if running is None:
                return Report(tuple(results), f"the tests' process {_ending(facts['tests'], facts['timeout'])}")
            results.append(TestResult(running, Outcome.FAILED, f"the test {_ending(facts['tests'], facts['timeout'])}"))
            if facts["timeout"]:
                return Report(tuple(results), f"the tests took more than {SUITE_SECONDS:g} s")
        elif not any(e["event"] == "result" for e in events):
            return _whole(results)
        else:
            results[-1] = _with_ending(results[-1], facts["program"])
    return Report(tuple(results), f"{MOST_ENDINGS} tests ended their process; the rest were not run")


def told_apart(a: str, b: str, module: str, tests: str) -> str | None:
    """A test that the first program passes and the second does not, with the reason; None where there is none.

    a, b: sources. module, tests: as in `run_tests`. Raises TaskError for tests that do not run on the first program.
    """
    with Bench() as bench:
        first, second = (run_tests(program, module, tests, bench) for program in (a, b))
    if first.problem is not None:
        raise TaskError(f"the tests do not run: {first.problem}")
    passed = {r.name for r in first.results if r.passed}
    if passed and second.problem is not None:
        return f"the tests do not run on the second program: {second.problem}"
    return next((f"{r.name}: {r.message}" for r in second.results if r.name in passed and not r.passed), None)


def _whole(results: list[TestResult]) -> Report:
    if not results:
        return Report(
            (), "the test file holds no test: no function whose name starts with 'test', no TestCase, no assert"
        )
    return Report(tuple(results))


def _imported(text: str) -> set[str]:
    """The packages that a text imports; none where it is no Python."""
    try:
        tree = syntax.module(text)
    except SyntaxError:
        return set()
    found = set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def _events(raw: bytes) -> Iterator[dict[str, Any]]:
    """The events of the tests' process; a line cut off by its end is left out."""
    for line in raw.split(b"\n"):
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "event" in event:
            yield event


def _results(events: list[dict[str, Any]]) -> list[TestResult]:
    texts = [e for e in events if e["event"] == "result"]
    return [TestResult(_printable(e["name"]), Outcome(e["outcome"]), _printable(e["message"])) for e in texts]


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _running(events: list[dict[str, Any]]) -> str | None:
    """The test that had begun and not ended."""
    last = [e for e in events if e["event"] in ("start", "result")]
    return _printable(last[-1]["name"]) if last and last[-1]["event"] == "start" else None


def _ending(code: int, timeout: bool = False) -> str:
    """How a process ended, by its wait status."""
    number = code & 0x7F
    if timeout or number in (signal.SIGPROF, signal.SIGXCPU):
        return "ran out of time"
    if number:
        return f"was ended by {signal.Signals(number).name}"
    return f"ended itself with exit code {code >> 8}"


def _with_ending(result: TestResult, code: int) -> TestResult:
    """The result of the test in which the program's process ended, with how."""
    if "ended" not in result.message:
        return result
    return TestResult(result.name, result.outcome, f"the program {_ending(code)} during this test")
