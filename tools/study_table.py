"""A study's results as Markdown: its verdict, what it compares, what it cost. Of several studies, a row each.

    python tools/study_table.py notebooks/results/replicate_nano.json            # seconds
    python tools/study_table.py runs/replicate_nano/results.json --figure arms.png
    python tools/study_table.py notebooks/results/replicate_*.json

Prints what stands in notebooks/results/README.md between two comments; a test compares the two. The figure has the
differences with their intervals: of the arms, or with --of settings what the study's own arm gains by each setting.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import checkout  # noqa: F401  (first: the package beside this file is the one that runs)
from markdown_table import table

from semrep_jax.core.results import Estimate
from semrep_jax.jobs.tables import ACCEPTED, of_acceptance
from semrep_jax.report import forest
from semrep_jax.report.labels import estimate, label

Results = dict[str, Any]  # a sweep's results.json


class StudyError(Exception):
    """A file that holds no study."""


def read(path: Path) -> Results:
    """The results of a study. Raises StudyError."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise StudyError(f"{path} can't be read ({error}); name the results.json of a job: sweep") from error
    missing = [
        key
        for key in ("verdict", "tables", "arms", "design", "seeds", "rows", "contrasts")
        if not isinstance(found, dict) or key not in found
    ]
    if missing:
        raise StudyError(f"{path} has no {', '.join(missing)}; it has to be of a job: sweep")
    return dict(found)


def markdown(study: Results) -> str:
    """All of it."""
    design = study["design"]
    compared = design.get("compared", design["tasks"])
    of_them = f" (the primary contrast: {compared} tasks)" if compared != design["tasks"] else ""
    told = [
        f"{len(study['seeds'])} seeds, B = {design['budget']}, {design['tasks']} tasks x {design['samples']} samples"
        f"{of_them}. "
        f"Written down before anything was run: the primary contrast, and that the design detects a difference of "
        f"{design['detectable']:.3f} with {design['power']:.0%} power.",
        f"**{study['verdict']}**",
    ]
    blocks = [
        *told,
        *unfinished(study),
        table(success(study)),
        f"*{ACCEPTED}*",
        table(accepted(study)),
        "<details><summary>All contrasts, and what it cost</summary>",
    ]
    for one in study["tables"]:
        if one["title"] == ACCEPTED:
            continue
        blocks += [f"*{one['title']}*", table([one["columns"], *one["rows"]])]
    return "\n\n".join([*blocks, "</details>"])


def overview(studies: Mapping[str, Results]) -> str:
    """A row for each study, by name: its primary pair, on every axis that any of them has, at the primary's turns."""
    names: dict[str, str] = {}
    for study in studies.values():
        titles = {row["metric"]: row["title"].rsplit(",", 1)[0] for row in study["rows"]}
        names |= {axis: titles.get(f"{axis}/T1", axis) for axis in study["design"]["axes"]}
    rows = [["study", "seeds x tasks", "B", "compared", *names.values(), "tokens"]]
    for name, study in studies.items():
        design, primary = study["design"], study["design"]["primary"]
        pair = (primary["ours"], primary["theirs"])
        turns = [primary["our_turns"], primary["their_turns"]]
        found = {
            one["axis"]: estimate(one, sign=True)
            for one in study["contrasts"]
            if (one["ours"], one["theirs"]) == pair and (one["turns"], one["setting"]) == (turns, primary["setting"])
        }
        compared = " − ".join(f"{label(arm)} T={t}" for arm, t in zip(pair, turns, strict=True))
        size = f"{len(study['seeds'])} x {design['tasks']}"
        rows.append([name, size, design["budget"], compared, *(found.get(axis, "") for axis in names), _times(study)])
    return table(rows)


def _times(study: Results) -> str:
    """Tokens that the primary pair's training took, ours over theirs."""
    primary, several = study["design"]["primary"], len(study["design"]["settings"]) > 1
    columns = [f"{arm}/{primary['setting']}" if several else arm for arm in (primary["ours"], primary["theirs"])]
    ours, theirs = (study["arms"][column]["train_tokens"]["value"] for column in columns)
    return f"{ours / theirs:.2f}"


def unfinished(study: Results) -> list[str]:
    """What is missing, in words."""
    return [str(line) for line in study.get("unfinished", [])]


def success(study: Results) -> list[list[str]]:
    """Rows of the share that is right, a column an arm, with 95 % intervals over seeds and tasks."""
    arms = study["arms"]
    rows = [["right", *(label(arm) for arm in arms)]]
    for one in study["rows"]:
        cells = [of_arm.get(one["metric"]) for of_arm in arms.values()]
        rows.append(
            [one["title"], *("" if c is None else f"{c['value']:.3f} [{c['low']:.3f}, {c['high']:.3f}]" for c in cells)]
        )
    return rows


def accepted(study: Results) -> list[list[str]]:
    """Rows of the share of rewrites that are accepted, a column an arm."""
    titles = {row["metric"].partition("/")[0]: row["title"].rsplit(",", 1)[0] for row in study["rows"]}
    columns = {arm: {key: Estimate(**one) for key, one in values.items()} for arm, values in study["arms"].items()}
    found = of_acceptance(titles, columns)
    return [list(found.columns), *map(list, found.rows)]


def figure(study: Results, of: str) -> bytes:
    """The differences as a PNG. of: arms or settings. Raises StudyError."""
    ours = label(study["design"]["primary"]["ours"])
    settings = [one for one in forest.of_settings(study) if one.title.startswith(f"{ours}: ")]
    found = forest.of_arms(study) if of == "arms" else settings
    if not found:
        raise StudyError(f"the study compares no {of} yet, so there is nothing to draw; leave out --figure")
    return forest.png(found)


def main() -> int:
    """Read the file and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="+", help="results.json of a study, or of several")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="write the differences there, as a PNG")
    parser.add_argument("--of", choices=("arms", "settings"), default="arms", help="what the figure compares")
    asked = parser.parse_args()
    if asked.figure and len(asked.results) > 1:
        parser.error("--figure is of one study; name one results.json")
    try:
        studies = {path.stem: read(path) for path in asked.results}
        study = next(iter(studies.values()))
        print(markdown(study) if len(studies) == 1 else overview(studies))
        if asked.figure:
            asked.figure.write_bytes(figure(study, asked.of))
    except OSError as error:
        print(f"error: --figure: {asked.figure} can't be written: {error.strerror}", file=sys.stderr)
        return 2
    except StudyError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
