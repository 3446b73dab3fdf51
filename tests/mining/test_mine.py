"""Mining: what is cut out of a package, what is left and why, and that a run that was killed ends in the same bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from processes import kill_when

from semrep_jax import main
from semrep_jax.core.programs import Program, Task, Tests
from semrep_jax.core.shards import Shards, cases_of
from semrep_jax.mining import assemble as assembling
from semrep_jax.mining import pipeline
from semrep_jax.mining.assemble import Deduplicator
from semrep_jax.mining.contamination import Function, Suites, suite_functions
from semrep_jax.mining.examine import examine
from semrep_jax.mining.part import Part, RewriteOutcome, RuleCounts, Unit
from semrep_jax.mining.settings import MineConfig
from semrep_jax.python import PYTHON
from semrep_jax.python.extract import Candidate, NotMinable, candidates
from semrep_jax.python.packages import Package, PackageError
from semrep_jax.sandbox.pool import Sandbox
from semrep_jax.verify import Verifier

PURE = '''"""Pure things."""
import math
from .other import helper
from .other import _SHARED as shared
from pouch.errors import *

LIMIT = 7


def area(r: float) -> float:
    """Area of a circle.

    Long words about it.
    """
    if r < 0:
        raise Wrong("negative")
    return math.pi * r * r


def clipped(xs, most=LIMIT):
    # no more than so many
    out = []
    for x in xs:
        if len(out) < most and x > 2:
            out.append(helper(x) + shared)
    return out


def squares(n: int):
    """
    >>> list(squares(3))
    [0, 1, 4]
    """
    for i in range(n):
        if i % 2 == 0 or i > 3:
            yield i * i


def digits(text: str) -> int:
    """The sum of the digits.

    >>> digits("a1b22")
    5
    """
    total = 0
    for c in text:
        if c.isdigit():
            total += int(c)
    return total
'''
ODD = """import os, random, socket, functools, datetime


def listed(path):
    return [p for p in os.listdir(path) if p > "a"]


def draw(n: int):
    return [random.random() < 0.5 for _ in range(n)]


@functools.lru_cache
def cached(n: int):
    return n * n + 1


def shuffled(words: list[str]):
    return list({w + "x" for w in words if w > ""} | {"first", "second", "third"})


def says(x: int):
    if x > 1:
        print("no")
    return x + 1


async def later(n):
    return n + 1 + n


def age(born: int):
    return datetime.date.today().year - born if born > 0 else 0


def keyed(*, a):
    return a + a + 1


def constant(n: int):
    return len([n + 1]) + 3 - 4


def objects(n: int):
    return (lambda: n + 1 + n)


def stuck(n: int):
    while n * 0 == 0:
        n += 1
    return n
"""


@pytest.fixture(scope="module")
def pouch(tmp_path_factory):
    """A package with all that one meets: good functions, odd ones, a file that does not parse."""
    root = tmp_path_factory.mktemp("site")
    package = root / "pouch"
    package.mkdir()
    for name, text in {
        "__init__": "",
        "pure": PURE,
        "odd": ODD,
        "broken": "def f(:\n",
        "errors": "class Wrong(ValueError):\n    pass\n",
        "other": "_SHARED = 1\n\n\ndef helper(x):\n    return x * 2 if x < 10 else x\n",
    }.items():
        (package / f"{name}.py").write_text(text)
    sys.path.insert(0, str(root))
    os.environ["PYTHONPATH"] = f"{root}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    yield root
    sys.path.remove(str(root))


def cut(name):
    package, dropped = Package("pouch"), Counter()
    found = {c.entry: c for c in candidates(package, package.modules[f"pouch.{name}"], dropped)}
    return found, dropped


def test_a_function_is_cut_out_with_what_it_needs_and_runs_alone(pouch, sandbox):
    found, _ = cut("pure")
    assert set(found) == {"area", "clipped", "squares_list", "digits"}
    area = found["area"].source
    assert (
        "import math" in area
        and "class Wrong(ValueError)" in area
        and '"""Area of a circle."""' in area
        and "Long words" not in area
    )
    clipped = found["clipped"].source
    assert (
        "# no more than so many" in clipped
        and "def helper" in clipped
        and "shared = _SHARED" in clipped
        and "LIMIT = 7" in clipped
    )
    seen = sandbox.run(clipped, "clipped", [["t", ["l", 1, 5, 50]]])
    assert seen.outcomes[0].value == ["l", 11, 51]
    assert found["digits"].calls == (("a1b22",),)


def test_a_generator_is_given_an_entry_that_lists_it(pouch, sandbox):
    squares = cut("pure")[0]["squares_list"]
    assert sandbox.run(squares.source, "squares_list", [["t", 6]]).outcomes[0].value == ["l", 0, 4, 16, 25]


def test_what_cannot_be_cut_out_is_counted_by_reason(pouch):
    found, dropped = cut("odd")
    assert set(found) == {"shuffled", "constant", "objects", "stuck"}
    for reason in (
        "needs module os",
        "needs module random",
        "is decorated",
        "uses print",
        "reads the clock",
        "is a coroutine",
        "takes no positional argument",
    ):
        assert dropped[reason] == 1, dropped
    assert any("does not parse" in reason for reason in cut("broken")[1])


def test_a_package_that_is_not_there_is_named(pouch):
    with pytest.raises(PackageError, match="'no_such_thing' is not installed"):
        Package("no_such_thing")


def test_a_share_of_the_modules_holds_those_of_a_smaller_share():
    units = [Unit("p", f"p.m{n}") for n in range(1000)]
    tenth, half = (pipeline.drawn(units, share) for share in (0.1, 0.5))
    assert set(tenth) < set(half) and 60 < len(tenth) < 140 and 420 < len(half) < 580
    assert pipeline.drawn(units, 1.0) == units


def test_a_share_that_draws_no_module_is_refused():
    with pytest.raises(PackageError, match=r"mine\.share: 0\.001 draws none of 2 modules"):
        pipeline.drawn([Unit("p", "p.a"), Unit("p", "p.b")], 0.001)


@pytest.fixture(scope="module")
def tools():
    with Sandbox(1) as one, Sandbox(1, hash_seed=1) as other:
        yield one, other


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("shuffled", "order of a set"),
        ("constant", "nearly always the same"),
        ("objects", "answers"),
        ("stuck", "no steady answer"),
    ],
)
def test_a_function_that_makes_no_task_is_left_with_the_reason(pouch, tools, name, reason):
    with pytest.raises(NotMinable, match=reason):
        examine(cut("odd")[0][name], *tools, MineConfig(), RuleCounts())


def test_tests_bugs_and_rewrites_of_a_function_hold(pouch, tools):
    rules = RuleCounts()
    found = examine(cut("pure")[0]["clipped"], *tools, MineConfig(pairs=6), rules)
    function = found.function
    tests, hidden = cases_of(function["tests"]), cases_of(function["hidden"])
    assert (
        len(tests) >= 8
        and len(hidden) >= 8
        and not {json.dumps(c.args) for c in tests} & {json.dumps(c.args) for c in hidden}
    )
    assert function["killed"] >= 0.6 * function["mutants"] and 4 <= len(found.pairs) <= 6 and found.fixes
    verifier = Verifier(tools[0])
    source = Program(PYTHON, function["source"])
    whole = Task("t", source, Tests("clipped", tests + hidden), Tests("clipped"))
    for pair in found.pairs:
        (verdict,) = verifier.verify(whole, [Program(PYTHON, pair["rewrite"])])
        assert verdict.equivalent and verdict.duplicate == "none" and pair["rules"]
    for fix in found.fixes:
        bug = Program(PYTHON, fix["source"])
        task = Task(
            "t",
            bug,
            Tests("clipped", cases_of(fix["preserve"])),
            Tests("clipped", cases_of(fix["edit"])),
            fix["instruction"],
        )
        broken, mended = verifier.verify(task, [bug, Program(PYTHON, fix["target"])])
        assert broken.equivalent and broken.edit.passed == 0 and len(task.edit) and len(task.preserve)
        assert mended.correct and fix["instruction"].startswith(("fix", "add"))
    assert sum(c["verified"] for c in rules.counts.values()) >= len(found.pairs)


def test_weak_tests_are_a_reason(pouch, tools):
    # x != x + 0 is never false: a mutant that no test can tell
    source = "def f(x: int):\n    y = x * 3 + 1\n    if y == y + 1:\n        y = y * 7 - 5 + x * 9 - 4\n    return y\n"
    with pytest.raises(NotMinable, match="kill less than 90%"):
        examine(Candidate("p", "p.m", "f", source, ""), *tools, MineConfig(kill=0.9), RuleCounts())


def test_what_an_evaluation_suite_holds_is_found_under_another_name():
    suites = Suites(suite_functions(seed=0, tasks=8))
    gcd = 'def hcf(x: int, y: int):\n    """Mine."""\n    while y:\n        x, y = y, x % y\n    return x\n'
    assert suites.overlap(gcd, "hcf") == ("humaneval", "canonical")
    assert suites.overlap("def mine(a):\n    return a * 17 - 4\n", "mine") is None


def test_of_functions_with_one_canonical_form_the_first_is_kept_and_none_that_a_suite_has():
    doubled = "def double(a):\n    return a * 2\n"
    deduplicator = Deduplicator(Suites([("exam", Function("def g(b):\n    return b - 1\n", "g"))]))

    def select(**functions):
        records = [{"id": name, "source": source, "entry": entry} for name, (source, entry) in functions.items()]
        return deduplicator.select(Part(Unit("p", "p.m"), functions=records))

    first = select(a=(doubled, "double"), b=("def less(n):\n    return n - 1\n", "less"))
    assert first.kept == {"a"} and first.overlaps == [{"function": "b", "suite": "exam", "how": "canonical"}]
    second = select(c=("def twice(n: int):\n    return n * 2\n", "twice"), d=("def f(n):\n    return n\n", "f"))
    assert second.kept == {"d"} and second.dropped == {"the same as another function": 1}


def test_a_part_survives_its_file():
    part = Part(Unit("p", "p.m"), candidates=3, functions=[{"id": "a"}], seconds=1.5)
    part.dropped["uses print"] += 2
    part.rules.add(("quotes", "for_to_while", "quotes"), RewriteOutcome.NO_END)
    again = Part.from_json(json.loads(json.dumps(part.to_json())))
    assert again == part and again.rules.counts == {"quotes": {"no end": 1}, "for_to_while": {"no end": 1}}


def test_shards_of_other_records_are_not_gone_on_with(tmp_path, monkeypatch):
    """A package that was not installed at first comes before one whose shards are there."""
    monkeypatch.setattr(assembling, "RECORDS_PER_SHARD", 4)

    def part(package: str, functions: int, number: int) -> Unit:
        unit = Unit(package, f"{package}.m")
        made = Part(unit)
        for i in range(functions):
            source = f"def f(a):\n    return a + {number + i} * a{'*a' * i}"
            told = {"package": package, "module": f"{package}.m", "sha256": "", "mutants": 1, "killed": 1}
            told |= {"entry": "f", "source": source, "split": "train", "tests": [], "hidden": []}
            made.functions.append({"kind": "function", "id": f"{package}.m:f{i}@{number + i:08x}", **told})
        path = tmp_path / "parts" / unit.file
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(made.to_json()))
        return unit

    def assembled(*units: Unit) -> list[str]:
        packages = [
            SimpleNamespace(name=u.package, version="1", licence="MIT", modules={u.module: SimpleNamespace(sha256="x")})
            for u in units
        ]
        found = assembling.assemble(list(units), packages, [], Suites([]), MineConfig(), tmp_path)
        shards = Shards(tmp_path / "functions", verify=True)
        assert len(shards) == found.figures["functions"]
        return [shards[i]["id"] for i in range(len(shards))]

    b = part("b", 10, 100)
    assert len(set(assembled(b))) == 10
    first = (tmp_path / "functions" / "part-00000.array_record").stat()
    assert len(assembled(b)) == 10  # the same again: its shards are left as they are
    assert (tmp_path / "functions" / "part-00000.array_record").stat().st_ino == first.st_ino
    both = assembled(part("a", 6, 300), b)
    assert len(both) == len(set(both)) == 16 and both[0].startswith("a.")


def test_a_part_of_a_text_that_has_changed_is_made_anew(tmp_path):
    path = tmp_path / "p.json"
    assert not pipeline._examined(path, "now")
    for sha256, examined in (("now", True), ("before", False), (None, True)):
        path.write_text(json.dumps(Part(Unit("p", "p.m"), sha256).to_json()))
        assert pipeline._examined(path, "now") is examined


def mine(work: Path, *more: str) -> list[str]:
    config = work.parent / "mine.yaml"
    config.write_text("job: mine\nmine: {packages: [pouch, no_such_thing], pairs: 4, workers: 2}\n")
    return ["--config", str(config), "--set", f"work_dir={work}", *more]


def dies(unit: Unit, setting: MineConfig) -> None:
    """In the place of what a worker does."""
    os._exit(1)


def test_a_worker_that_is_killed_ends_the_run_in_a_line_that_says_how_to_go_on(pouch, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pipeline, "_examine_unit", dies)
    assert main.main(mine(tmp_path / "w")) == 1
    said = capsys.readouterr().err
    assert "was killed" in said and "the same command goes on" in said and "Traceback" not in said


@pytest.fixture(scope="module")
def run(pouch, tmp_path_factory) -> tuple[Path, str, str]:
    """A whole run's directory, and what it printed on either stream."""
    work = tmp_path_factory.mktemp("mined") / "run"
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        assert main.main(mine(work)) == 0
    return work, out.getvalue(), err.getvalue()


@pytest.fixture
def mined(run) -> Path:
    return run[0]


def test_a_run_names_what_is_not_installed_and_why_candidates_were_dropped(run):
    work, out, err = run
    assert "no_such_thing" in err and "needs module os" in out and "for_to_while" not in err
    manifest = json.loads((work / "manifest.json").read_text())
    assert manifest["not_installed"] == ["no_such_thing"] and manifest["rules"]
    assert manifest["packages"][0]["files"]["pouch.pure"]
    pairs = Shards(work / "pairs", verify=True)
    assert {"source", "rewrite", "rules", "origin", "split"} <= set(pairs[0])


def test_a_killed_run_goes_on_and_ends_in_the_same_bytes(mined, tmp_path):
    killed = subprocess.Popen(
        [sys.executable, "-m", "semrep_jax.main", *mine(tmp_path / "killed")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert kill_when(killed, lambda: bool(list((tmp_path / "killed").glob("parts/pouch/*.json")))) == []
    assert main.main(mine(tmp_path / "killed")) == 0
    names = [
        "manifest.json",
        *(
            f"{kind}/{f}"
            for kind in ("functions", "pairs", "fixes")
            for f in ("manifest.json", "part-00000.array_record")
        ),
    ]
    for name in names:
        assert (mined / name).read_bytes() == (tmp_path / "killed" / name).read_bytes(), name


def test_hidden_tests_are_in_no_training_task_and_evaluation_counts_them_apart(mined, sandbox):
    from semrep_jax.tasks.mined import fixing, rewriting

    records = [Shards(mined / "fixes")[i] for i in range(len(Shards(mined / "fixes")))]
    split = records[0]["split"]
    task = fixing(str(mined), split)[0]
    other = "test" if split == "train" else "train"
    assert (task.hidden is not None) == (split == "test") and len(task.preserve) and len(task.edit)
    whole = replace(task, hidden=Tests(task.preserve.entry, cases_of(records[0]["hidden"])), split=other)
    verifier = Verifier(sandbox)
    (right,) = verifier.verify(whole, [task.solution])
    assert right.correct and right.hidden.all and right.hidden.total == len(whole.hidden)
    table = {json.dumps(c.args): c.expected for c in task.preserve.cases + task.edit.cases}
    (cheat,) = verifier.verify(whole, [Program(PYTHON, _answers_from(table, task.preserve.entry))])
    assert cheat.correct and not cheat.hidden.all  # the visible tests by heart
    assert rewriting(str(mined), rewriting_split(mined))[0].preserve.cases


def rewriting_split(work):
    return Shards(work / "functions")[0]["split"]


def _answers_from(table, entry):
    from semrep_jax.sandbox.wire import decode

    rows = {repr(decode(json.loads(k))): (decode(o.value), o.error) for k, o in table.items()}
    return f"""TABLE = {rows!r}
def {entry}(*args):
    value, error = TABLE.get(repr(args), (None, None))
    if error:
        names = __builtins__ if isinstance(__builtins__, dict) else vars(__builtins__)
        raise names.get(error, ValueError)
    return value
"""


def test_both_stages_train_on_mined_tasks(mined, tiny_directory, tmp_path, capfd):
    config = tmp_path / "train.yaml"
    config.write_text(
        f"job: train\nmodel: {{source: {tiny_directory}}}\n"
        f"tasks: {{source: mined, mined: {{directory: {mined}}}, train_size: 4}}\n"
        "rollout: {prompts: 2, group: 2, max_prompt: 512, max_new: 8}\n"
        "train: {budget: 2, alpha: 0.5, checkpoint_every: 2}\n"
        f"evaluate: {{suites: [correctness], tasks: 2, samples: 1, resamples: 100}}\nwork_dir: {tmp_path / 'run'}\n"
    )
    assert main.main(["--config", str(config)]) == 0
    assert (tmp_path / "run" / "report.html").exists()
    other = ["--set", "tasks.mined.directory=null", "--set", f"work_dir={tmp_path / 'other'}"]
    assert main.main(["--config", str(config), *other]) == 2
    assert "tasks.mined.directory: null" in capfd.readouterr().err


def test_no_package_at_all_is_an_error(tmp_path, capsys):
    assert main.main(mine(tmp_path / "w", "--set", "mine.packages=[no_such_thing]")) == 2
    assert "none of them is installed" in capsys.readouterr().err
