"""`job: mine`: installed packages -> functions with tests, verified rewrites, bugs to be fixed, in shards with a manifest.

    python -m semrep_jax.main --config configs/mine.yaml        # about an hour on 2 cores; stop it and go on at any time

One module of a package at a time in one of several processes; what is finished is a file under `parts/`, and is not done again. The same
packages and settings give the same bytes, however often the run was stopped and whichever process did what.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from semrep_jax.core import progress
from semrep_jax.core.shards import Writer
from semrep_jax.core.stop import Stop, Stopped
from semrep_jax.core.workdir import WorkDir, write_atomically
from semrep_jax.jobs.config import Config
from semrep_jax.mining.contamination import Suites
from semrep_jax.mining.examine import Rules, examine
from semrep_jax.mining.settings import MineConfig
from semrep_jax.python.extract import NotMinable, candidates
from semrep_jax.python.packages import Package, PackageError
from semrep_jax.sandbox.pool import Sandbox

RECORD_KINDS = ("functions", "pairs", "fixes")
RECORDS_PER_SHARD = 4096


@dataclass(frozen=True)
class Unit:
    """One module of a package."""

    package: str
    module: str

    @property
    def file(self) -> str:
        """Where its part lies under `parts/`."""
        return f"{self.package}/{self.module}.json"


def run(config: Config, work: WorkDir, stop: Stop) -> list[Any]:
    """Mine, assemble, and say what was kept and what was dropped: tables to print. Raises Stopped."""
    packages, missing = _packages(config.mine)
    units = [Unit(p.name, m) for p in packages for m in p.modules]
    _mine(units, config, work.path / "parts", stop)
    return _assemble(units, packages, missing, config, work)


def _packages(setting: MineConfig) -> tuple[list[Package], list[str]]:
    """The packages that are installed, and the names of those that are not. Raises PackageError where none is."""
    found, missing = [], []
    for name in dict.fromkeys(setting.packages):
        try:
            found.append(Package(name))
        except PackageError as error:
            missing.append(name)
            progress.console.print(str(error), highlight=False)
    if not found:
        raise PackageError("mine.packages: none of them is installed; pip install -e '.[mine]' brings the default list")
    return found, missing


def _mine(units: list[Unit], config: Config, parts: Path, stop: Stop) -> None:
    left = [u for u in units if not (parts / u.file).exists()]
    workers = config.mine.workers or os.cpu_count() or 1
    context = multiprocessing.get_context("spawn")
    kept = 0
    with (
        progress.bar("modules", len(units), len(units) - len(left)) as bar,
        ProcessPoolExecutor(workers, context, _start, (config.mine,)) as pool,
    ):
        waiting = iter(left)
        running: set[Future[dict[str, Any]]] = set()
        while True:
            while len(running) < 2 * workers and not stop.wanted and (unit := next(waiting, None)) is not None:
                running.add(pool.submit(_part, unit))
            if not running:
                break
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                part = future.result()
                path = parts / Unit(**part["unit"]).file
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(path, json.dumps(part))
                kept += len(part["functions"])
                bar.advance(f"{kept} functions kept")
    if stop.wanted:
        raise Stopped("stopped; the modules that are done are kept, and the same command goes on with the others")


_tools: dict[str, Any] = {}


def _start(setting: MineConfig) -> None:
    """What each process has: two sandboxes, whose sets are in different orders, and the packages read so far."""
    _tools.update(setting=setting, sandbox=Sandbox(1), other=Sandbox(1, hash_seed=1), packages={})


def _part(unit: Unit) -> dict[str, Any]:
    """Everything made of one module's functions."""
    package = _tools["packages"].setdefault(unit.package, None) or Package(unit.package)
    _tools["packages"][unit.package] = package
    began, dropped, rules = time.perf_counter(), Counter[str](), Rules()
    part: dict[str, Any] = {
        "unit": asdict(unit),
        "candidates": 0,
        "functions": [],
        "pairs": [],
        "fixes": [],
        "errors": [],
    }
    for candidate in candidates(package, package.modules[unit.module], dropped):
        part["candidates"] += 1
        try:
            found = examine(candidate, _tools["sandbox"], _tools["other"], _tools["setting"], rules)
        except NotMinable as left:
            dropped[str(left)] += 1
            continue
        except Exception as error:  # one function of thousands is not worth the run; the manifest names it
            dropped["an error of ours, see the manifest"] += 1
            part["errors"].append({"function": candidate.id, "error": f"{type(error).__name__}: {error}"[:500]})
            continue
        part["functions"].append(found.function)
        part["pairs"] += found.pairs
        part["fixes"] += found.fixes
    outcomes = {name: dict(c) for name, c in rules.counts.items()}
    return part | {"dropped": dict(dropped), "rules": outcomes, "seconds": time.perf_counter() - began}


def _assemble(
    units: list[Unit], packages: list[Package], missing: list[str], config: Config, work: WorkDir
) -> list[Any]:
    """Drop what is there twice or is in an evaluation suite, write shards and manifest; tables to print."""
    suites = Suites(config.evaluate)
    dropped, rules, overlaps, errors = Counter[str](), Rules(), [], []
    seen: set[str] = set()
    seconds = 0.0
    totals = {p.name: Counter[str]() for p in packages}
    with progress.bar("shards", len(units)) as bar:
        writers = {kind: Writer(work.path / kind, f"mined {kind}", RECORDS_PER_SHARD) for kind in RECORD_KINDS}
        position = dict.fromkeys(RECORD_KINDS, 0)
        for part in _parts(units, work.path / "parts"):
            unit, kept = Unit(**part["unit"]), set()
            for name, counts in part["rules"].items():
                for outcome, count in counts.items():
                    rules.counts.setdefault(name, Counter())[outcome] += count
            dropped.update(part["dropped"])
            errors += part["errors"]
            seconds += part["seconds"]
            for function in part["functions"]:
                overlap = suites.overlap(function["source"], function["entry"])
                form = suites.form(function["source"], function["entry"])
                if overlap:
                    overlaps.append({"function": function["id"], "suite": overlap[0], "how": overlap[1]})
                    dropped["overlaps with an evaluation suite"] += 1
                elif form in seen:
                    dropped["the same as another function"] += 1
                else:
                    kept.add(function["id"])
                    seen.add(form)
            for kind in RECORD_KINDS:
                for record in part[kind]:
                    if record.get("origin", record["id"]) in kept:
                        position[kind] += 1
                        if position[kind] > writers[kind].done:
                            writers[kind].write(record)
                        totals[unit.package][kind] += 1
            totals[unit.package]["candidates"] += part["candidates"]
            bar.advance()
        listed = [
            {
                "name": p.name,
                "version": p.version,
                "licence": p.licence,
                "files": {n: m.sha256 for n, m in p.modules.items()},
            }
            | dict(totals[p.name])
            for p in packages
        ]
        about = {
            "packages": listed, "not_installed": missing, "overlaps": overlaps, "suites": suites.sizes, "errors": errors,
            "dropped": dict(dropped.most_common()), "rules": {name: dict(rules.counts[name]) for name in sorted(rules.counts)},
            "settings": config.mine.model_dump(mode="json"),
        }  # fmt: skip
        for kind in RECORD_KINDS:
            writers[kind].finish(
                {
                    "packages": [p.name for p in packages],
                    "settings": about["settings"],
                    "overlaps_dropped": len(overlaps),
                }
            )
    work.write("manifest.json", about)
    whole = sum((totals[p.name] for p in packages), Counter[str]())
    figures = {k: whole[k] for k in ("candidates", *RECORD_KINDS)} | {
        "not_installed": len(missing),
        "overlaps": len(overlaps),
    }
    arm = {name: {"value": float(v), "low": float(v), "high": float(v), "n": 1} for name, v in figures.items()}
    work.write(
        "results.json", {"job": "mine", "config_sha256": config.sha256, "seconds": seconds, "arms": {"mined": arm}}
    )
    return [*_tables(packages, dropped, totals, rules), f"shards and manifest.json: {work.path}"]


def _parts(units: list[Unit], parts: Path) -> Iterator[dict[str, Any]]:
    for unit in units:
        yield json.loads((parts / unit.file).read_text())


def _tables(
    packages: list[Package], dropped: Counter[str], totals: dict[str, Counter[str]], rules: Rules
) -> list[Table]:
    """By package, by reason, by rule."""
    first = Table(title="what was mined", title_justify="left")
    for column in ("package", "version", "licence", "candidates", "functions", "pairs", "bugs"):
        first.add_column(column, justify="left" if column in ("package", "version", "licence") else "right")
    for p in packages:
        first.add_row(
            p.name, p.version, p.licence[:40], *(str(totals[p.name][k]) for k in ("candidates", *RECORD_KINDS))
        )
    whole = sum(totals.values(), Counter[str]())
    first.add_row("all", "", "", *(str(whole[k]) for k in ("candidates", *RECORD_KINDS)))
    second = Table("left out because", "functions", title="what was left", title_justify="left")
    for reason, count in dropped.most_common():
        second.add_row(reason, str(count))
    outcomes = ("verified", "different", "no end", "copy", "repeated")
    third = Table("rule", "applied", *outcomes, title="rewrites, by each rule of their chains", title_justify="left")
    for name in sorted(rules.counts, key=lambda n: -rules.counts[n]["verified"]):
        third.add_row(name, str(rules.counts[name].total()), *(str(rules.counts[name][o]) for o in outcomes))
    return [first, second, third]
