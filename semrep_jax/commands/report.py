"""`python -m semrep_jax.main report RUN`: write a finished run's report.html again, and print its tables."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from semrep_jax.commands import command
from semrep_jax.commands.command import Command


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = command.parser(
        "report",
        "Write a finished run's report.html again from what its work directory holds, and print its tables.",
        "Exit code 0: written; 2: the directory holds no finished run.",
    )
    options.add_argument("run", type=Path, metavar="RUN", help="the work directory of a finished run")
    options.add_argument("--curves", type=Path, metavar="FILE.png", help="also write the training curves as a picture")
    return options


def run(options: argparse.Namespace) -> int:
    """Write the page of a finished run."""
    from rich.console import Console

    from semrep_jax.report import html, terminal

    directory = options.run
    page = html.write(directory)
    if options.curves is not None:
        picture = html.curves_of(directory)
        if picture is None:
            raise html.ReportError(f"{directory} holds no training, so there are no curves to write")
        options.curves.write_bytes(picture)
    results = json.loads((directory / "results.json").read_text())
    console = Console()
    for table in terminal.tables(results):
        console.print(table, highlight=False)
    console.print(f"{results['verdict']}\nreport: {page}", highlight=False, soft_wrap=True)
    return 0


COMMAND = Command("report RUN", "write a finished run's report.html again and print its tables", parser, run)
