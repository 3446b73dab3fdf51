"""No training program holds a function that is measured on, and hidden tests decide about nothing else."""

import itertools
import json
import types

import pytest

from semrep_jax.core.programs import Case, Outcome, Program, Status, Task, Tests
from semrep_jax.core.shards import Shards
from semrep_jax.mining import assemble
from semrep_jax.mining.assemble import Deduplicator
from semrep_jax.mining.contamination import Function, Suites
from semrep_jax.mining.part import Part, Unit
from semrep_jax.mining.settings import MineConfig
from semrep_jax.mining.splits import Splits
from semrep_jax.python import PYTHON
from semrep_jax.python.verifier import PythonJudge
from semrep_jax.sandbox.pool import Limits, Sandbox
from semrep_jax.sandbox.wire import encode

HELPER = "def clip(x):\n    return max(0, min(x, 9))\n"
RENAMED = "def bound(value):\n    # the same\n    return max(0, min(value, 9))\n"
CLASS = "class {}:\n    def half(self, x):\n        return x // 2\n"


def identity(name, number):
    return f"p.m:{name}@{number:08x}"


def decided(*programs):
    splits = Splits()
    for (name, number), source in programs:
        splits.add(identity(name, number), source)
    return splits, splits.decide()


@pytest.mark.parametrize(
    "shared",
    [
        (HELPER, HELPER),
        (HELPER, RENAMED),
        (CLASS.format("A"), CLASS.format("B")),
    ],
)
@pytest.mark.parametrize("numbers", itertools.permutations([3, 10, 21], 2))
def test_programs_that_share_a_definition_are_of_one_split(shared, numbers):
    first = (("f", numbers[0]), shared[0] + "\ndef f(a):\n    return a + 1\n")
    second = (("g", numbers[1]), shared[1] + "\ndef g(a):\n    return a * 7\n")
    splits, found = decided(first, second, (("alone", 20), "def alone(a):\n    return -a\n"))
    assert len({found[identity(*first[0])], found[identity(*second[0])]}) == 1
    assert found[identity("alone", 20)] == "test"
    assert splits.overlaps(found) == 0
    assert found[identity(*first[0])] == ("test" if min(numbers) == 10 else "train")


def test_a_function_that_is_the_helper_of_another_is_of_its_split_through_any_chain():
    top = "def top(a):\n    return middle(a) + 1\n"
    middle = "def middle(a):\n    return clip(a) * 3\n"
    programs = [
        (("clip", 30), HELPER),
        (("middle", 7), HELPER + middle),
        (("top", 9), HELPER + middle + top),
        (("user", 11), "def user(a):\n    return top(a) ** 2\n" + top.replace("middle(a)", "a")),
        (("last", 13), top.replace("middle(a)", "a") + "def last(a):\n    return top(a) - 5\n"),
    ]
    for order in itertools.permutations(programs):
        splits, found = decided(*order)
        assert {found[identity(*name)] for name, _ in programs[:3]} == {"train"}
        assert found[identity("user", 11)] == found[identity("last", 13)]
        assert splits.overlaps(found) == 0
        assert splits.figures(found)["test_functions_in_training_programs_by_own_text"] == 1


def test_shards_have_the_split_of_the_component_and_the_manifest_both_overlaps(tmp_path):
    def function(name, number, source):
        return {"kind": "function", "id": identity(name, number), "entry": name, "source": source, "tests": []}

    user = HELPER + "\ndef f(a):\n    return clip(a) - 2\n"
    functions = [function("clip", 40, HELPER), function("f", 7, user)]
    fix = {"kind": "fix", "id": "x", "origin": identity("clip", 40), "entry": "clip", "source": RENAMED}
    fix |= {"instruction": "", "target": HELPER, "preserve": [], "edit": []}
    unit = Unit("p", "p.m")
    path = tmp_path / "parts" / unit.file
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(Part(unit, functions=functions, fixes=[fix]).to_json()))
    assemble.assemble([unit], [_Package()], [], Suites([]), MineConfig(), tmp_path)
    assert [record["split"] for record in Shards(tmp_path / "functions")] == ["train", "train"]
    assert [record["split"] for record in Shards(tmp_path / "fixes")] == ["train"]
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["packages"][0]["files"] == {"p.m": "digest of p.m"}, "a file that nobody read is not listed"
    figures = manifest["splits"]
    assert figures["test_functions_in_training_programs"] == 0
    assert figures["test_functions_in_training_programs_by_own_text"] == 1


class _Package:
    name, version, licence = "p", "1", "MIT"
    modules = types.MappingProxyType(
        {name: types.SimpleNamespace(sha256=f"digest of {name}") for name in ("p.m", "p.not_drawn")}
    )


def test_a_program_whose_helper_is_in_an_evaluation_suite_is_dropped():
    source = RENAMED + "\ndef entry(a):\n    return bound(a) + 4\n"
    suites = Suites([("exam", Function(HELPER, "clip"))])
    records = [{"id": identity("entry", 3), "source": source, "entry": "entry"}]
    found = Deduplicator(suites).select(Part(Unit("p", "p.m"), functions=records))
    assert not found.kept and found.overlaps[0]["suite"] == "exam"


def case(argument, value):
    return Case(encode((argument,)), Outcome(value=encode(value)))


@pytest.mark.parametrize(
    "harm",
    [
        "import os\n        os._exit(1)",
        "while True: pass",
        "import time\n        time.sleep(60)",
        "raise MemoryError",
        "clip.calls = None",
    ],
)
def test_hidden_tests_decide_nothing_about_the_visible_ones(harm):
    source = f"def clip(x):\n    if x == 77:\n        {harm}\n    return max(0, min(x, 9))\n"
    visible = Tests("clip", (case(4, 4), case(40, 9)))
    task = Task("t", Program(PYTHON, HELPER), visible, Tests("clip"), hidden=Tests("clip", (case(77, 9), case(2, 2))))
    with Sandbox(1, Limits(cpu_seconds=0.3, wall_seconds=3.0)) as sandbox:
        judge = PythonJudge(sandbox)
        verdict = judge.judge(task, Program(PYTHON, source), None)
        assert verdict.status is Status.OK and verdict.correct and verdict.preserve.all
        assert verdict.hidden.total == 2 and (verdict.hidden.all or harm != "clip.calls = None")
        right = judge.judge(task, Program(PYTHON, HELPER), None)
        assert right.hidden.all and right.hidden.passed == 2


def test_hidden_tests_see_nothing_of_the_visible_calls():
    source = "calls = []\ndef f(x):\n    calls.append(x)\n    return len(calls)\n"
    once = Tests("f", (case(1, 1),))
    task = Task("t", Program(PYTHON, source), once, Tests("f"), hidden=Tests("f", (case(2, 1),)))
    with Sandbox(1) as sandbox:
        verdict = PythonJudge(sandbox).judge(task, Program(PYTHON, source), None)
    assert verdict.correct and verdict.hidden.all
