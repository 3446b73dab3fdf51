"""Functions of installed packages with tests, verified rewrites and bugs, in shards with a manifest (`job: mine`).

    python -m semrep_jax.main --config configs/mine.yaml     # hours on 2 cores; stop it and go on at any time

    mined = mine(config.mine, suite_functions(seed=0, tasks=96), Path("runs/mine"), stop)
    mined.figures["pairs"]

One module of a package at a time in one of several processes; what is finished is a file under `parts/`, and is not
done again. The same packages and settings give the same bytes, however often the run was stopped and whichever process
did what.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from semrep_jax.core import progress
from semrep_jax.core.errors import SemRepError
from semrep_jax.core.stop import Stop, Stopped
from semrep_jax.core.workdir import read_kept, write_atomically
from semrep_jax.mining.assemble import Mined, assemble
from semrep_jax.mining.contamination import Function, Suites
from semrep_jax.mining.examine import examine
from semrep_jax.mining.part import Part, Unit
from semrep_jax.mining.settings import MineConfig
from semrep_jax.python.extract import Candidate, NotMinable, candidates
from semrep_jax.python.packages import Package, PackageError
from semrep_jax.sandbox import children
from semrep_jax.sandbox.pool import Sandbox


class WorkerKilled(SemRepError):
    """A process that examined modules has ended by itself or was killed."""

    exit_code = 1


def mine(setting: MineConfig, suites: Iterable[tuple[str, Function]], directory: Path, stop: Stop) -> Mined:
    """Examine what was not examined yet, and assemble everything.

    suites: functions of evaluation suites, which are dropped (`contamination.suite_functions`); read when all modules
    are done. directory: where parts, shards and manifest go. stop: looked at before each module. Raises Stopped,
    WorkerKilled, and PackageError where no package is installed or no module drawn.
    """
    packages, missing = _installed(setting.packages)
    units = drawn([Unit(package.name, module) for package in packages for module in package.modules], setting.share)
    modules, parts = {package.name: package.modules for package in packages}, directory / "parts"
    to_do = [u for u in units if not _examined(parts / u.file, modules[u.package][u.module].sha256)]
    _examine_all(units, to_do, setting, parts, stop)
    return assemble(units, packages, missing, Suites(suites), setting, directory)


def _installed(names: list[str]) -> tuple[list[Package], list[str]]:
    """The packages that are installed, and the names of those that are not. Raises PackageError where none is."""
    found, missing = [], []
    for name in dict.fromkeys(names):
        try:
            found.append(Package(name))
        except PackageError as error:
            missing.append(name)
            progress.console.print(str(error), highlight=False)
    if not found:
        raise PackageError("mine.packages: none of them is installed; pip install -e '.[mine]' brings the default list")
    return found, missing


def drawn(units: list[Unit], share: float) -> list[Unit]:
    """About this share of the units, those of a smaller share among them. Raises PackageError where none is drawn."""

    def place(unit: Unit) -> float:
        return int.from_bytes(hashlib.sha256(unit.file.encode()).digest()[:8]) / 2**64

    found = [unit for unit in units if place(unit) < share]
    if not found:
        raise PackageError(f"mine.share: {share} draws none of {len(units)} modules; choose a larger share")
    return found


def _examined(path: Path, sha256: str) -> bool:
    """Whether there is a part of a module's text as it is now. sha256: of that."""
    return path.exists() and read_kept(path).get("sha256") in (None, sha256)


def _examine_all(units: list[Unit], to_do: list[Unit], setting: MineConfig, parts: Path, stop: Stop) -> None:
    """Write the parts of the units that are to do. Raises Stopped, and WorkerKilled."""
    workers = setting.workers or os.cpu_count() or 1
    kept = 0
    with (
        _naming_a_killed_worker(),
        progress.bar("modules", len(units), len(units) - len(to_do)) as bar,
        ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), children.end_with, (os.getpid(),)) as pool,
    ):
        waiting = iter(to_do)
        running: set[Future[Part]] = set()
        while True:
            while len(running) < 2 * workers and not stop.wanted and (unit := next(waiting, None)) is not None:
                running.add(pool.submit(_examine_unit, unit, setting))
            if not running:
                break
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for part in (future.result() for future in done):
                path = parts / part.unit.file
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(path, json.dumps(part.to_json()))
                kept += len(part.functions)
                bar.advance(f"{kept} functions kept")
    if stop.wanted:
        raise Stopped("stopped; the modules that are done are kept, and the same command goes on with the others")


@contextmanager
def _naming_a_killed_worker() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool as error:
        raise WorkerKilled(
            "one of the processes was killed, by the kernel where memory ran out; the modules that are done are kept, "
            "and the same command goes on with the others (mine.workers=1 takes less memory)"
        ) from error


@cache
def _sandboxes() -> tuple[Sandbox, Sandbox]:
    """The two sandboxes of a worker process, whose sets are in different orders; they end with it."""
    return Sandbox(1), Sandbox(1, hash_seed=1)


_package = cache(Package)  # as a worker process has read it


def _examine_unit(unit: Unit, setting: MineConfig) -> Part:
    """Everything made of one module's functions."""
    began, package = time.perf_counter(), _package(unit.package)
    module = package.modules[unit.module]
    part = Part(unit, module.sha256)
    for candidate in candidates(package, module, part.dropped):
        part.candidates += 1
        _examine_into(part, candidate, setting)
    part.seconds = time.perf_counter() - began
    return part


def _examine_into(part: Part, candidate: Candidate, setting: MineConfig) -> None:
    """Add what a candidate gives to its module's part."""
    try:
        found = examine(candidate, *_sandboxes(), setting, part.rules)
    except NotMinable as reason:
        part.dropped[str(reason)] += 1
    except Exception as error:  # one function of thousands is not worth the run; the manifest names it
        part.dropped["an error of ours, see the manifest"] += 1
        part.errors.append({"function": candidate.id, "error": f"{type(error).__name__}: {error}"[:500]})
    else:
        part.functions.append(found.function)
        part.pairs += found.pairs
        part.fixes += found.fixes
