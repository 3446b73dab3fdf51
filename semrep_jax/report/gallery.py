"""Worked examples as cards, one a task: the source once, beside it what each arm made of it, line against line.

A card has views: the edit written directly (T=1), the rewrite, and the edit after it (T=2). While nothing is measured
yet, the cards show rollouts of the newest step instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from semrep_jax.core.programs import Status
from semrep_jax.report import code
from semrep_jax.report.code import Cell
from semrep_jax.report.labels import in_order
from semrep_jax.report.reading import Row, Run

DIRECT, REWRITE, AFTER, ROLLOUT = "direct", "rewrite", "after", "rollout"
TITLES = {
    DIRECT: "edit, directly (T=1)",
    REWRITE: "rewrite (T=2)",
    AFTER: "edit after it (T=2)",
    ROLLOUT: "what was sampled",
}
ACCEPTED, NO_REWRITE = "accepted", "none"
STOOD_IN = "(no rewrite was accepted: C_src stood in)"
MOST_ROLLOUTS = 4  # tasks of the newest step
_FENCED = re.compile(r"```\w*\n(.*?)\n?```", re.S)


@dataclass(frozen=True)
class Version:
    """What one arm made of a task. status: of its verdict, or whether a rewrite was accepted. feedback: the judge's
    line. text: the program."""

    arm: str
    status: str
    feedback: str
    text: str

    @property
    def good(self) -> bool:
        """Whether it was right."""
        return self.status in (Status.OK, ACCEPTED)


@dataclass(frozen=True)
class View:
    """What a card can show: a version of each arm, aligned with the source."""

    key: str
    source: str
    language: str
    versions: tuple[Version, ...]

    @property
    def title(self) -> str:
        """What its button says."""
        return TITLES[self.key]

    def rows(self) -> list[list[Cell]]:
        """Side by side: the source, then each version."""
        return list(code.aligned(self.source, [version.text for version in self.versions], self.language))

    def alike(self) -> list[list[Version]]:
        """The versions, those that are the same in everything but the arm together."""
        found: dict[tuple[str, str, str], list[Version]] = {}
        for version in self.versions:
            found.setdefault((version.text, version.status, version.feedback), []).append(version)
        return list(found.values())

    def unified(self, version: Version) -> list[Cell]:
        """A version as one column, for a phone."""
        return code.unified(self.source, version.text, self.language)


@dataclass
class Card:
    """A task and its views. about: what kind of task it is. suite: its name; title: how a person calls it."""

    suite: str
    title: str
    task: str
    about: str
    instruction: str
    views: list[View] = field(default_factory=list)

    @property
    def first(self) -> str:
        """The view that is open at first: the last of the chain."""
        return self.views[-1].key


def cards(run: Run, titles: dict[str, str]) -> list[Card]:
    """The cards of a run, in the order of its suites; `titles` of suites by name."""
    return _measured(run, titles) or _sampled(run)


def verdicts(found: Iterable[Card]) -> list[str]:
    """The statuses that a filter can choose from."""
    views = [view for card in found for view in card.views if view.key != REWRITE]
    return sorted({version.status for view in views for version in view.versions}, key=lambda s: (s != Status.OK, s))


def _measured(run: Run, titles: dict[str, str]) -> list[Card]:
    found: dict[tuple[str, str], Card] = {}
    examples: dict[tuple[str, str], dict[tuple[int, str], Row]] = {}
    for one in run.measurements:
        for example in one.content["examples"]:
            examples.setdefault((one.suite, example["task"]), {})[one.turns, one.arm] = example
    for (suite, task), by in examples.items():
        example = next(iter(by.values()))
        card = Card(suite, titles.get(suite, suite), task, _about(example), example["instruction"])
        direct = {arm: e for (turns, arm), e in by.items() if turns == 1}
        after = {arm: e for (turns, arm), e in by.items() if turns > 1}
        card.views += _views(example, direct, DIRECT) + _views(example, after, REWRITE) + _views(example, after, AFTER)
        found[suite, task] = card
    order = list(titles)
    return sorted(found.values(), key=lambda card: order.index(card.suite) if card.suite in order else len(order))


def _views(first: Row, by_arm: dict[str, Row], key: str) -> list[View]:
    versions = [_rewrite(arm, by_arm[arm]) if key == REWRITE else _edit(arm, by_arm[arm]) for arm in in_order(by_arm)]
    return [View(key, first["source"], _language(first), tuple(versions))] if versions else []


def _edit(arm: str, example: Row) -> Version:
    return Version(arm, example["status"], example["feedback"], example["edit"])


def _rewrite(arm: str, example: Row) -> Version:
    if example["rewrite"] is None:
        return Version(arm, NO_REWRITE, STOOD_IN, example["source"])
    return Version(arm, ACCEPTED, "", example["rewrite"])


def _about(example: Row) -> str:
    return " · ".join(str(example[key]).replace("_", " ") for key in ("family", "kind") if example.get(key))


def _language(example: Row) -> str:
    """Older runs do not say it."""
    return str(example.get("language") or ("cuda" if "__global__" in example["source"] else "python"))


def _sampled(run: Run) -> list[Card]:
    found = []
    for arm in run.metrics:
        newest = _newest(run.samples(arm))
        for sample in newest[:MOST_ROLLOUTS]:
            title = f"training, step {sample['step'] + 1}"
            card = Card("training", title, sample["task"], _about(sample), sample["instruction"])
            language = _language(sample)
            if sample["c_rep"] is not None:
                rewritten = sample["c_rep"] != sample["source"]
                given = Version(arm, *((ACCEPTED, "") if rewritten else (NO_REWRITE, STOOD_IN)), sample["c_rep"])
                card.views.append(View(REWRITE, sample["source"], language, (given,)))
            version = Version(arm, sample["status"], sample["feedback"], _program(sample["completion"]))
            card.views.append(View(ROLLOUT, sample["source"], language, (version,)))
            found.append(card)
    return found


def _newest(samples: Iterable[Row]) -> Sequence[dict[str, Any]]:
    """The first rollout of each group of the newest step."""
    step = -1
    groups: dict[int, Row] = {}
    for sample in samples:
        if sample["step"] != step:
            step, groups = sample["step"], {}
        groups.setdefault(sample["group"], sample)
    return list(groups.values())


def _program(completion: str) -> str:
    found = _FENCED.search(completion)
    return found[1] if found else completion
