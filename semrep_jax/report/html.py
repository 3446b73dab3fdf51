"""The page of a job: curves, tables and the programs themselves, in one self-contained file.

`write` needs only what lies in a work directory (`results.json`, `arms/*/metrics.jsonl` or `metrics.jsonl`,
`evaluation/*.json`), so a page can be made again from an old run.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import jinja2

from semrep_jax.core.errors import SemRepError
from semrep_jax.core.workdir import write_atomically
from semrep_jax.report.labels import DIFFERENCE, label, sampled_tokens

SHOWN_A_FILE = 3
T2_AGAINST_T1 = "/T2 against T1"


class ReportError(SemRepError):
    """There is nothing to make a report of."""


def write(directory: Path) -> Path:
    """Write report.html from what a work directory holds; returns its path. Raises ReportError."""
    path = directory / "results.json"
    try:
        results = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise ReportError(f"{path} does not exist; finish the run first, its command goes on from there") from error
    except ValueError as error:
        raise ReportError(f"{path} is not JSON ({error}); run the job again") from error
    if "rows" not in results:
        raise ReportError(f"{path} is of another version; run the job again in a new work_dir")
    page = directory / "report.html"
    write_atomically(page, _template().render(_content(results, directory)))
    return page


def _template() -> jinja2.Template:
    folder = Path(__file__).parent / "templates"
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(folder), autoescape=True, trim_blocks=True)
    environment.globals.update(label=label, sampled_tokens=sampled_tokens, difference=DIFFERENCE)
    return environment.get_template("report.html.j2")


def _content(results: dict[str, Any], directory: Path) -> dict[str, Any]:
    picture = curves_of(directory)
    titles = {row["difference"]: row["title"].rsplit(",", 1)[0] for row in results["rows"] if row["difference"]}
    headline = {
        titles[f"{suite}/T1"]: gap
        for key, gap in results["differences"].items()
        if key.endswith(T2_AGAINST_T1) and f"{(suite := key.removesuffix(T2_AGAINST_T1))}/T1" in titles
    }
    return {
        "results": results,
        "curves": picture and "data:image/png;base64," + base64.b64encode(picture).decode(),
        "headline": headline,
        "examples": _examples(directory / "evaluation"),
    }


def curves_of(directory: Path) -> bytes | None:
    """The training curves of a work directory as a PNG; None where nothing was trained."""
    from semrep_jax.report.plots import curves_png

    curves = _curves(directory)
    return curves_png(curves) if curves else None


def _curves(directory: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of metrics.jsonl by arm."""
    found = {}
    arms = sorted(directory.glob("arms/*/metrics.jsonl"), reverse=True)
    for path in arms or [p for p in (directory / "metrics.jsonl",) if p.exists()]:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        if rows:
            found[path.parent.name if arms else "base"] = rows
    return found


def _examples(directory: Path) -> list[dict[str, Any]]:
    """A few worked examples of every arm, from the first suite's T=2 where it was measured."""
    shown = [*directory.glob("*-correctness-T2.json")] or [*directory.glob("*-T2.json")]
    found = []
    for path in sorted(shown, reverse=True):
        examples = json.loads(path.read_text())["examples"][:SHOWN_A_FILE]
        found += [example | {"arm": path.name.split("-")[0]} for example in examples]
    return found
