"""What the READMEs say can be typed in: every command parses, every config they name loads, every link leads
somewhere."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from semrep_jax import main
from semrep_jax.commands.command import COMMANDS
from semrep_jax.jobs import config
from semrep_jax.jobs.job import JOBS

ROOT = Path(__file__).parent.parent
ROOMS = ("semrep_jax", "tools", "tests", "notebooks", "configs")  # beside them may lie environments and runs
PAGES = sorted([ROOT / "README.md", *(p for room in ROOMS for p in (ROOT / room).rglob("README.md"))])
RESULTS = ROOT / "notebooks/results"
CALL = "python -m semrep_jax.main"


def commands_of(page: Path) -> list[str]:
    """What follows the call, of every command in code blocks and in backticks; lines that go on are joined."""
    text = re.sub(r"\\\n\s+", " ", page.read_text())
    shown = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    shown += re.findall(r"`([^`\n]+)`", text)
    found = []
    for code in shown:
        for part in re.split(r"&&|; |\|", code):
            if CALL in part:
                found.append(part.split(CALL, 1)[1].split("  #")[0].split("   ")[0].split(" > ")[0].strip())
    return [command for command in found if command]


CASES = [(page, command) for page in PAGES for command in commands_of(page)]


def test_there_are_commands_to_try():
    assert len(CASES) >= 12


@pytest.mark.parametrize(("page", "command"), CASES, ids=[f"{p.parent.name}: {c[:60]}" for p, c in CASES])
def test_a_command_of_a_readme_parses(page, command):
    words = shlex.split(re.sub(r"\[[^]]*\]", "", command) if not command.startswith("--config") else command)
    if words == ["--help"]:
        return
    if words[0] in COMMANDS:
        assert vars(COMMANDS[words[0]].parser().parse_args(words[1:]))
        return
    options = main.parser().parse_args(words)
    if options.config and options.config not in ("FILE", "C") and "NAME" not in options.config:
        loaded = config.load(ROOT / options.config, [s.replace("$s", "1") for s in options.set])
        assert loaded.job in JOBS


@pytest.mark.parametrize("page", PAGES, ids=[str(p.relative_to(ROOT)) for p in PAGES])
def test_links_and_files_named_in_a_readme_are_there(page):
    text = page.read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if not link.startswith("http")]
    named = re.findall(r"`((?:configs|tests|tools|semrep_jax)/[\w./-]+\.\w+)`", text)
    gone = [link for link in links if not (page.parent / link).exists()]
    assert not gone + [name for name in named if not (ROOT / name).exists()]


def test_the_readme_is_short_enough_to_be_read():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 100 and len(text.split()) <= 1000


@pytest.mark.parametrize(
    ("name", "seeds"),
    [
        ("replicate_nano_three_arms", 3),
        ("replicate_nano_leads", 5),
        ("replicate_nano_budget", 3),
        ("replicate_nano_variants", 3),
        ("replicate_nano", 5),
        ("replicate_nano_ablation", 3),
        ("replicate_nano_forms", 4),
    ],
)
def test_the_studies_tables_are_what_their_tool_makes_of_the_results_that_are_kept(study_table, name, seeds):
    results = study_table.read(RESULTS / f"{name}.json")
    assert shown_of(f"{name}.json") == study_table.markdown(results)
    assert results["seeds"] == list(range(seeds)) and not results["unfinished"]


def test_the_overview_that_the_command_prints_has_every_study_that_is_kept():
    command = [sys.executable, ROOT / "tools/study_table.py", *sorted(RESULTS.glob("replicate_*.json"))]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown_of("replicate_*.json") == printed.strip()


@pytest.fixture(scope="module")
def study_table() -> Iterator[ModuleType]:
    """The tool, imported; what its first import does to this process is undone."""
    with pytest.MonkeyPatch.context() as undone:
        undone.syspath_prepend(ROOT / "tools")
        undone.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
        undone.setattr(sys, "excepthook", sys.excepthook)
        yield importlib.import_module("study_table")


def shown_of(what: str) -> str:
    """The table that the page of the studies has of some results."""
    page = (RESULTS / "README.md").read_text()
    return page.split(f"<!-- tools/study_table.py {what} -->\n")[1].split("\n<!-- end -->")[0].strip()
