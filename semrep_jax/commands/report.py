"""`python -m semrep_jax.main report RUN`: write a finished run's report.html again, and print its tables."""

from __future__ import annotations

import json
from pathlib import Path

from semrep_jax.commands import command
from semrep_jax.commands.command import Command


def main(arguments: list[str]) -> int:
    """Write the page of a finished run."""
    from rich.console import Console

    from semrep_jax.report import html, terminal

    options = command.parser(
        "report",
        "Write a finished run's report.html again from what its work directory holds, and print its tables.",
        "",
    )
    options.add_argument("run", type=Path, metavar="RUN", help="the work directory of a finished run")
    options.add_argument("--curves", type=Path, metavar="FILE.png", help="also write the training curves as a picture")
    chosen = options.parse_args(arguments)
    directory = chosen.run
    page = html.write(directory)
    if chosen.curves is not None:
        picture = html.curves_of(directory)
        if picture is None:
            raise html.ReportError(f"{directory} holds no training, so there are no curves to write")
        chosen.curves.write_bytes(picture)
    results = json.loads((directory / "results.json").read_text())
    console = Console()
    for table in terminal.tables(results):
        console.print(table, highlight=False)
    console.print(f"{results['verdict']}\nreport: {page}", highlight=False, soft_wrap=True)
    return 0


COMMAND = Command("report RUN", "write a finished run's report.html again and print its tables", main)
