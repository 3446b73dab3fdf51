"""The rooms: who may import whom, which of them run without JAX, and what a file may not hold."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "semrep_jax"
# From the ground to the roof; a room imports only from floors below its own, and from itself. README prints this order.
FLOORS = (
    ("core",),
    ("sandbox", "report", "model"),
    ("languages",),
    ("rewards", "python", "cuda"),
    ("verify", "perturb"),
    ("prompts", "tasks"),
    ("mining", "data", "rollout"),
    ("inference",),
    ("train", "evaluate"),
    ("search",),
    ("serve",),
    ("jobs",),
    ("commands",),
    ("main",),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
WITHOUT_JAX = (
    "core",
    "sandbox",
    "report",
    "languages",
    "rewards",
    "python",
    "cuda",
    "verify",
    "perturb",
    "tasks",
    "mining",
)
FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports_of(path: Path) -> list[tuple[int, str, bool]]:
    """(line, module, whether only for type checking) of every import."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name, id(node) in typing_only) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "semrep_jax":
            found += [(node.lineno, f"semrep_jax.{alias.name}", id(node) in typing_only) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append((node.lineno, node.module, id(node) in typing_only))
    return found


def test_every_room_has_a_floor():
    rooms = {room_of(path) for path in FILES} - {"__init__"}
    assert rooms == set(FLOOR)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_only_from_rooms_below_its_own(path):
    room, upward = room_of(path), []
    for line, module, _ in imports_of(path):
        if module.startswith("semrep_jax."):
            other = module.split(".")[1]
            if other != room and FLOOR[other] >= FLOOR.get(room, len(FLOORS)):  # the package itself stands on all
                upward.append(f"{path.name}:{line} imports {module}")
    assert not upward


@pytest.mark.parametrize("path", [p for p in FILES if room_of(p) in WITHOUT_JAX], ids=lambda path: path.stem)
def test_rooms_that_run_without_jax_do_not_import_it(path):
    # fragments compute with the array module they are given; peers asks JAX for the processes of a run, once
    # there are some
    named = [m for _, m, _ in imports_of(path) if m.split(".")[0] in ("jax", "flax", "optax")]
    assert not named or path.name in ("fragments.py", "peers.py")


def test_python_is_parsed_by_one_thread_at_a_time_in_one_place():
    alone = {PACKAGE / "core/syntax.py", PACKAGE / "python/usertests/suite.py"}  # the latter runs in a child
    parsing = {p for p in FILES if re.search(r"\bast\.(parse|literal_eval)\(", p.read_text())}
    assert parsing == alone


READMES = sorted(PACKAGE.rglob("README.md"))


@pytest.mark.parametrize("readme", READMES, ids=lambda path: str(path.parent.relative_to(PACKAGE)))
def test_a_rooms_readme_names_every_file_of_it(readme):
    told = set(re.findall(r"`([\w/]+(?:\.py|/))`", readme.read_text()))
    elsewhere = {other.parent for other in READMES} - {readme.parent}
    names = [p.relative_to(readme.parent) for p in readme.parent.rglob("*.py") if not elsewhere & set(p.parents)]
    untold = [
        str(name)
        for name in names
        if name.name not in ("__init__.py", "settings.py")  # a section of a config, of which `--list-settings` tells
        and not told & {str(name), name.name, *(f"{folder}/" for folder in name.parents)}
    ]
    assert not untold


HEAVY = ("jax", "flax", "numpy", "scipy", "matplotlib", "hypothesis", "libcst", "torch")
LOADED = "import sys; from semrep_jax.jobs import checks, config; from semrep_jax.jobs.job import JOBS; "
LOADED += "configs = [config.build({'job': name}) for name in JOBS]; "
CHECKED = "[(checks.services(one), JOBS[one.job].check(one)) for one in configs]; "


@pytest.mark.parametrize("then", ["", CHECKED], ids=["loaded", "checked"])
def test_settings_and_jobs_are_loaded_and_checked_without_jax_and_other_slow_imports(then):
    code = f"{LOADED}{then}print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_nothing_below_the_jobs_is_given_the_whole_config():
    below = [path for path in FILES if FLOOR.get(room_of(path), 99) < FLOOR["jobs"]]
    assert not [path for path in below if re.search(r"(?<!uvicorn\.)\bConfig\b", path.read_text())]


def test_the_order_in_the_readme_is_the_true_one():
    text = (ROOT / "README.md").read_text()
    order = " ".join(text[text.index("core < ") :].partition("\n\n")[0].split())
    assert [part.split(", ") for part in order.split(" < ")] == [list(rooms) for rooms in FLOORS]
