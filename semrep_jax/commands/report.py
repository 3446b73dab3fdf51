"""`python -m semrep_jax.main report RUN...`: write a run's report.html again and print its tables; or compare runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from semrep_jax.commands import command
from semrep_jax.commands.command import Command

COMPARISON = "comparison.html"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = command.parser(
        "report",
        "One run: write its report.html again from what its work directory holds, also while it is running, and print "
        "its tables. Several: write one page that compares them; those that differ in the seed alone are one group.",
        "Exit code 0: written; 2: a directory holds no run, a broken one, or runs that can't be compared.",
    )
    options.add_argument("runs", type=Path, metavar="RUN", nargs="+", help="the work directory of a run")
    options.add_argument(
        "--curves", type=Path, metavar="FILE.png", help="also write a run's training curves as a picture"
    )
    options.add_argument(
        "--output",
        type=Path,
        metavar="FILE.html",
        help=f"of several runs: the page (default: {COMPARISON} beside the first)",
    )
    return options


def run(options: argparse.Namespace) -> int:
    """Write the page."""
    from semrep_jax.report import comparison
    from semrep_jax.report.reading import ReportError

    if len(options.runs) == 1:
        if options.output is not None:
            raise ReportError("--output is for several runs; one run's page is report.html in its work directory")
        return _one(options.runs[0], options.curves)
    if options.curves is not None:
        raise ReportError("--curves is for one run; the page of several holds their curves")
    beside: Path = options.runs[0].resolve().parent / COMPARISON
    print(f"report: {comparison.write(options.runs, options.output or beside)}")
    return 0


def _one(directory: Path, picture: Path | None) -> int:
    from semrep_jax.report import html, terminal
    from semrep_jax.report.reading import ReportError, read

    if picture is not None and (picture.suffix != ".png" or not picture.absolute().parent.is_dir()):
        raise ReportError(f"--curves {picture}: name a .png file in a directory that is there")
    page = html.write(directory)
    if picture is not None:
        drawn = html.curves_of(directory)
        if drawn is None:
            raise ReportError(f"{directory} holds no training, so there are no curves to write")
        picture.write_bytes(drawn)
    found = read(directory)
    console = terminal.console()
    if found.results is not None:
        for table in terminal.tables(found.results):
            console.print(table, highlight=False)
    said = (*found.results["notes"], found.results["verdict"]) if found.results else (html.state(found),)
    for line in (*said, f"report: {page}"):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return 0


COMMAND = Command("report RUN...", "write a run's report.html again and print its tables, or compare runs", parser, run)
