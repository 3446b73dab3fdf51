"""The parts of all modules -> shards and a manifest.

    mined = assemble(units, packages, missing, suites, config.mine, directory)
    mined.figures         # {"candidates": 7863, "functions": 2199, "pairs": 27509, ...}

What is there twice or is in an evaluation suite is dropped, counted and, of a suite, listed. Splits are decided when
all functions are known (`splits`).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from semrep_jax.core import progress
from semrep_jax.core.results import Table
from semrep_jax.core.shards import Writer, sha256_of
from semrep_jax.core.workdir import read_kept, write_atomically
from semrep_jax.mining.contamination import Suites, own_canonical
from semrep_jax.mining.part import Part, RewriteOutcome, RuleCounts, Unit
from semrep_jax.mining.records import RECORD_KINDS
from semrep_jax.mining.settings import MineConfig
from semrep_jax.mining.splits import Splits
from semrep_jax.python.extract import Package

RECORDS_PER_SHARD = 4096
COUNTED = ("candidates", *RECORD_KINDS)


@dataclass(frozen=True)
class Mined:
    """What mining found: counts by name, the seconds of all modules added up, and tables."""

    figures: dict[str, int]
    seconds: float
    tables: tuple[Table, ...]


@dataclass
class Selection:
    """Which functions of a part are kept (their ids), and why the others are not."""

    kept: set[str] = field(default_factory=set)
    dropped: Counter[str] = field(default_factory=Counter)
    overlaps: list[dict[str, str]] = field(default_factory=list)


class Deduplicator:
    """Keeps of all functions the first of each canonical form, and none that an evaluation suite has."""

    def __init__(self, suites: Suites):
        self.suites = suites
        self.seen: set[str] = set()

    def select(self, part: Part) -> Selection:
        """Which functions of the next part are kept."""
        found = Selection()
        for function in part.functions:
            source, entry = function["source"], function["entry"]
            overlap, form = self.suites.overlap_within(source), own_canonical(source, entry)
            if overlap is not None:
                found.overlaps.append({"function": function["id"], "suite": overlap.suite, "how": overlap.how})
                found.dropped["overlaps with an evaluation suite"] += 1
            elif form in self.seen:
                found.dropped["the same as another function"] += 1
            else:
                found.kept.add(function["id"])
                self.seen.add(form)
        return found


@dataclass
class Totals:
    """What all parts add up to; `packages`: how many candidates each had, by its name, and how many records it gave."""

    packages: dict[str, Counter[str]]
    dropped: Counter[str] = field(default_factory=Counter)
    rules: RuleCounts = field(default_factory=RuleCounts)
    overlaps: list[dict[str, str]] = field(default_factory=list)
    errors: list[dict[str, str]] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, part: Part, selection: Selection, kept: Counter[str]) -> None:
        """Add a part, what was dropped of it, and how many of its records were kept by kind.

        part: of one module. selection: which of its functions are kept, and why the others are not. kept: counts by
        kind, from `KindWriters.write`.
        """
        self.rules.update(part.rules.counts)
        self.dropped.update(part.dropped)
        self.dropped.update(selection.dropped)
        self.overlaps += selection.overlaps
        self.errors += part.errors
        self.seconds += part.seconds
        package = self.packages[part.unit.package]
        package.update(kept)
        package["candidates"] += part.candidates

    @property
    def all_packages(self) -> Counter[str]:
        """The counts of all packages together."""
        return sum(self.packages.values(), Counter[str]())


class KindWriters:
    """A data set for each of RECORD_KINDS; what is in finished shards is not written again."""

    def __init__(self, directory: Path):
        self.writers = {kind: Writer(directory / kind, f"mined {kind}", RECORDS_PER_SHARD) for kind in RECORD_KINDS}
        self.passed = dict.fromkeys(RECORD_KINDS, 0)

    def write(self, part: Part, kept: set[str], splits: Mapping[str, str]) -> Counter[str]:
        """Write the records of the functions with these ids, each with its split; how many of each kind there are.

        part: the next one, in the same order in every run. kept: ids of functions of it. splits: names of splits by the
        ids of functions.
        """
        counts = Counter[str]()
        for kind, writer in self.writers.items():
            for record in part.records(kind):
                origin = record.get("origin", record["id"])
                if origin in kept:
                    self.passed[kind] += 1
                    if self.passed[kind] > writer.done:
                        writer.write(record | {"split": splits[origin]})
                    counts[kind] += 1
        return counts

    def finish(self, about: dict[str, Any]) -> None:
        """Write the manifests, with `about` in them."""
        for writer in self.writers.values():
            writer.finish(about)


def assemble(
    units: list[Unit], packages: list[Package], missing: list[str], suites: Suites, setting: MineConfig, directory: Path
) -> Mined:
    """Write shards and manifest.json.

    units: whose parts lie under directory/parts, in this order. packages: they are of. missing: names of packages that
    are not installed. suites: whose functions are dropped. setting: goes into the manifests. directory: where
    everything is written.
    """
    parts = [directory / "parts" / unit.file for unit in units]
    totals, splits = Totals({package.name: Counter() for package in packages}), Splits()
    with progress.bar("shards", 2 * len(units)) as bar:
        selections = []
        deduplicator = Deduplicator(suites)
        for path in parts:
            part = _read(path)
            selections.append(deduplicator.select(part))
            for function in part.functions:
                if function["id"] in selections[-1].kept:
                    splits.add(function["id"], function["source"])
            bar.advance()
        decided = splits.decide()
        _drop_others(directory, parts, selections, decided)
        writers = KindWriters(directory)
        for path, selection in zip(parts, selections, strict=True):
            part = _read(path)
            totals.add(part, selection, writers.write(part, selection.kept, decided))
            bar.advance()
        settings = setting.model_dump(mode="json")
        names = [package.name for package in packages]
        writers.finish({"packages": names, "settings": settings, "overlaps_dropped": len(totals.overlaps)})
    manifest = _manifest(packages, missing, units, totals, suites.sizes, settings) | {"splits": splits.figures(decided)}
    write_atomically(directory / "manifest.json", json.dumps(manifest, indent=1) + "\n")
    figures = {name: totals.all_packages[name] for name in COUNTED}
    figures |= {"not_installed": len(missing), "overlaps": len(totals.overlaps)}
    tables = (_package_table(packages, totals), _dropped_table(totals), _rule_table(totals.rules))
    return Mined(figures, totals.seconds, tables)


def _drop_others(directory: Path, parts: list[Path], selections: list[Selection], decided: Mapping[str, str]) -> None:
    """Remove the shards of an earlier assembly, finished or not, unless it was of the same records.

    parts, selections: in order, what is read and what is kept of it. decided: the splits.
    """
    digest = hashlib.sha256(json.dumps(decided, sort_keys=True).encode())
    for path, selection in zip(parts, selections, strict=True):
        digest.update(json.dumps([path.name, sha256_of(path), sorted(selection.kept)]).encode())
    told = {"sha256": digest.hexdigest()}
    kept = directory / "assembled.json"
    if not kept.exists() or read_kept(kept) != told:
        for kind in RECORD_KINDS:
            shutil.rmtree(directory / kind, ignore_errors=True)
        write_atomically(kept, json.dumps(told) + "\n")


def _read(path: Path) -> Part:
    return Part.from_json(read_kept(path))


def _manifest(
    packages: list[Package],
    missing: list[str],
    units: list[Unit],
    totals: Totals,
    suites: dict[str, int],
    settings: dict[str, Any],
) -> dict[str, Any]:
    """What was read and what became of it, as JSON."""
    read = {package.name: [unit.module for unit in units if unit.package == package.name] for package in packages}
    return {
        "packages": [_described(one, read[one.name]) | dict(totals.packages[one.name]) for one in packages],
        "not_installed": missing,
        "overlaps": totals.overlaps,
        "suites": suites,
        "errors": totals.errors,
        "dropped": dict(totals.dropped.most_common()),
        "rules": {name: dict(totals.rules.counts[name]) for name in sorted(totals.rules.counts)},
        "settings": settings,
    }


def _described(package: Package, modules: list[str]) -> dict[str, Any]:
    files = {name: package.modules[name].sha256 for name in modules}
    return {"name": package.name, "version": package.version, "licence": package.licence, "files": files}


def _package_table(packages: list[Package], totals: Totals) -> Table:
    rows = [(p.name, p.version, p.licence[:40], totals.packages[p.name]) for p in packages]
    cells = tuple(
        (name, version, licence, *(str(counts[column]) for column in COUNTED))
        for name, version, licence, counts in [*rows, ("all", "", "", totals.all_packages)]
    )
    columns = ("package", "version", "licence", "candidates", "functions", "pairs", "bugs")
    return Table("what was mined", columns, cells, left=(0, 1, 2))


def _dropped_table(totals: Totals) -> Table:
    rows = tuple((reason, str(count)) for reason, count in totals.dropped.most_common())
    return Table("what was left", ("left out because", "functions"), rows)


def _rule_table(rules: RuleCounts) -> Table:
    rows = tuple(
        (name, str(counts.total()), *(str(counts[outcome]) for outcome in RewriteOutcome))
        for name, counts in sorted(rules.counts.items(), key=lambda item: -item[1]["verified"])
    )
    return Table("rewrites, by each rule of their chains", ("rule", "applied", *RewriteOutcome), rows)
