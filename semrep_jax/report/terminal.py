"""The tables that a job prints when it is done, from its results as they are in results.json."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from semrep_jax.report.labels import difference, estimate, label, over, sampled_tokens

WIDTH = 160  # columns, where nobody's terminal says how many


def console() -> Console:
    """Where a command prints tables."""
    return Console(width=None if sys.stdout.isatty() else WIDTH)


def tables(results: dict[str, Any]) -> list[Table]:
    """Metrics, costs and whatever tables the job brought."""
    found = []
    if results["rows"]:
        found.append(_metrics(results))
    if results["costs"]:
        found.append(_costs(results))
    return found + [_plain(table) for table in results["tables"]]


def _metrics(results: dict[str, Any]) -> Table:
    arms, differences = results["arms"], results["differences"]
    judged = bool(results["costs"])
    title = f"share of samples correct, mean [95 % interval over {over(results)}]" if judged else None
    table = Table(title=title)
    table.add_column("metric")
    for arm in arms:
        table.add_column(label(arm), justify="right")
    if differences:
        table.add_column(difference(results), justify="right")
    for row in results["rows"]:
        cells = [estimate(values.get(row["metric"])) for values in arms.values()]
        gap = [estimate(differences.get(row["difference"]), sign=True)] if differences else []
        table.add_row(row["title"], *cells, *gap)
    return table


def _costs(results: dict[str, Any]) -> Table:
    table = Table(title="cost of training and of sampling")
    table.add_column("arm")
    for _, title in results["costs"]:
        table.add_column(title, justify="right")
    for turns in (1, 2):
        table.add_column(f"evaluation tokens, T={turns}", justify="right")
    for arm, values in results["arms"].items():
        numbers = [values[key]["value"] for key, _ in results["costs"]]
        numbers += [sampled_tokens(values, turns) for turns in (1, 2)]
        table.add_row(label(arm), *[f"{n:,.0f}" for n in numbers])
    return table


def _plain(content: dict[str, Any]) -> Table:
    table = Table(title=content["title"], title_justify="left")
    for index, column in enumerate(content["columns"]):
        table.add_column(column, justify="left" if index in content["left"] else "right")
    for row in content["rows"]:
        table.add_row(*map(escape, row))
    return table
