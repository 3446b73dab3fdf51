"""OpenEvolve, unmodified: its runner against a live server, and evaluators that a candidate can't hang or break."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from zlib import crc32

import pytest
import yaml

openevolve = pytest.importorskip("openevolve", reason="pip install -e '.[search]'")
from semrep_jax.sandbox.pool import Limits  # noqa: E402
from semrep_jax.search.openevolve import Isolated, Scored, Tested, examples, scored  # noqa: E402

ROOT = Path(__file__).parent.parent.parent
QUICK = Limits(cpu_seconds=0.5, wall_seconds=1.0)
SEED = """# EVOLVE-BLOCK-START
def f(n):
    s = 0
    for x in range(n):
        if x % 2 == 0:
            s += x
    return s
# EVOLVE-BLOCK-END
"""
TESTED = """
from semrep_jax.sandbox.pool import Limits
from semrep_jax.search.openevolve import Tested, examples
evaluate = Tested(examples("f", [((n,), sum(range(0, n, 3))) for n in range(12)]), Limits(0.5, 1.0))
"""
PLAIN = """
def evaluate(path):
    space = {}
    exec(open(path).read(), space)
    return {"combined_score": sum(space["f"](n) == sum(range(0, n, 3)) for n in range(12)) / 12}
"""
GOOD = "def f(n):\n    return sum(range(0, n, 3))"
HANGS = "while True: pass"
# Evaluates candidates one after the other as OpenEvolve does, by one evaluator and then by the next, and ends without
# waiting for threads that never end.
ONE_AFTER_THE_OTHER = """
import asyncio, json, os, sys
from openevolve.config import EvaluatorConfig
from openevolve.evaluator import Evaluator
programs, found = json.loads(sys.argv[1]), []
for path, timeout in json.loads(sys.argv[2]):
    config = EvaluatorConfig(timeout=timeout, cascade_evaluation=False, max_retries=0, parallel_evaluations=1)
    evaluator, scores = Evaluator(config, path), []
    for number, program in enumerate(programs):
        metrics = asyncio.run(evaluator.evaluate_program(program, str(number)))
        scores.append([metrics, evaluator.get_pending_artifacts(str(number))])
    found.append(scores)
print(json.dumps(found), flush=True)
os._exit(0)
"""


def one_after_the_other(programs, tmp_path, *evaluators):
    """What each evaluator, given with its time-out, says of each program."""
    asked = []
    for number, (evaluator, timeout) in enumerate(evaluators):
        path = tmp_path / f"evaluator{number}.py"
        path.write_text(evaluator)
        asked.append((str(path), timeout))
    command = [sys.executable, "-c", ONE_AFTER_THE_OTHER, json.dumps(programs), json.dumps(asked)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=90)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_hanging_candidate_costs_itself_and_in_plain_openevolve_all_after_it(tmp_path):
    ours, plain = one_after_the_other([GOOD, HANGS, GOOD, GOOD], tmp_path, (TESTED, 30), (PLAIN, 1))
    assert [metrics["combined_score"] for metrics, _ in ours] == [1.0, 0.0, 1.0, 1.0]
    assert "timeout" in ours[1][1]
    assert [metrics.get("timeout", False) for metrics, _ in plain] == [False, True, True, True]


def test_eight_iterations_of_unmodified_openevolve_run_against_the_server(server, tmp_path):
    (tmp_path / "seed.py").write_text(SEED)
    (tmp_path / "evaluator.py").write_text(TESTED)
    config = {
        "max_iterations": 8,
        "diff_based_evolution": False,
        "llm": {
            "api_base": f"{server.url}/v1",
            "api_key": "none",
            "models": [{"name": "direct", "weight": 0.8}, {"name": "semrep", "weight": 0.2}],
            "evaluator_models": [{"name": "direct", "weight": 1.0}],
            "temperature": 1.0,
            "retries": 0,
            "timeout": 250,
        },
        "prompt": {"system_message": "Instruction: change the condition to: divisible by 3"},
        "database": {"num_islands": 2, "population_size": 40},
        "evaluator": {"timeout": 30, "cascade_evaluation": False, "parallel_evaluations": 2},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "openevolve.cli", "seed.py", "evaluator.py", "--config", "config.yaml"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    before = server.batcher.load.tokens
    done = subprocess.run(
        [*command, "--output", "out"], cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=300
    )
    log = done.stdout + done.stderr
    assert done.returncode == 0 and "Maximum iterations reached" in log, log
    assert "Total LLM Token Usage (8 calls)" in log and "LLM generation failed" not in log
    assert server.batcher.load.tokens - before > 8 * 20
    best = json.loads((tmp_path / "out/best/best_program_info.json").read_text())
    assert best["metrics"]["combined_score"] > 3 / 12  # of the seed
    assert "EVOLVE-BLOCK-START" in (tmp_path / "out/best/best_program.py").read_text()


def evaluated(evaluate, program, tmp_path):
    path = tmp_path / "candidate.py"
    path.write_bytes(program if isinstance(program, bytes) else program.encode())
    result = evaluate(str(path))
    assert isinstance(result.metrics["combined_score"], float)
    return result.metrics["combined_score"], result.artifacts


@pytest.mark.parametrize(
    ("program", "score", "artifact", "said"),
    [
        (GOOD, 1.0, None, ""),
        (b"\xef\xbb\xbf" + GOOD.encode(), 1.0, None, ""),
        (SEED, 3 / 12, "first_failing_test", "f(3) is 0, got 2"),
        ("def f(n) return n", 0.0, "compile_error", "SyntaxError"),
        ("import numpy\n" + GOOD, 0.0, "compile_error", "numpy"),
        (HANGS, 0.0, "timeout", "timeout"),
        ("import os\nos._exit(0)", 0.0, "first_failing_test", "ended early"),
        ("def f(n):\n    return [0] * 10**10", 0.0, "first_failing_test", "MemoryError"),
        ("class A:\n    def __eq__(s, o): return True\ndef f(n): return A()", 0.0, "first_failing_test", ""),
        (b"\xff\xfe", 0.0, "compile_error", "UTF-8"),
        ("", 0.0, "compile_error", "f"),
    ],
)
def test_every_candidate_gets_a_score_and_what_went_wrong_with_it(tmp_path, program, score, artifact, said):
    evaluate = Tested(examples("f", [((n,), sum(range(0, n, 3))) for n in range(12)]), QUICK)
    found, artifacts = evaluated(evaluate, program, tmp_path)
    assert found == pytest.approx(score)
    assert (artifact is None and not artifacts) or said in artifacts[artifact]


def test_passing_the_tests_without_doing_what_the_reference_does_gives_half_and_the_call(tmp_path):
    evaluate = Tested(examples("f", [((4,), 8), ((2,), 4)]), QUICK, reference="def f(n):\n    return n + n")
    assert evaluated(evaluate, "def f(n):\n    return 2 * n", tmp_path) == (1.0, {})
    score, artifacts = evaluated(evaluate, "def f(n):\n    return 8 if n == 4 else 4", tmp_path)
    assert score == 0.5 and "f(" in artifacts["counterexample"]


def test_a_score_is_computed_on_plain_values_outside_of_the_candidate(tmp_path):
    def score(values):
        if values[0] > 100:
            raise ValueError("f(1) is too large")
        return values[0] / values[1]

    evaluate = Scored("f", [(1,), (2,)], score, QUICK)
    assert evaluated(evaluate, "def f(n): return n", tmp_path) == (0.5, {})
    assert evaluated(evaluate, "def f(n): return 999", tmp_path)[1] == {"first_failing_test": "f(1) is too large"}
    assert "ZeroDivisionError" in evaluated(evaluate, "def f(n): return 0", tmp_path)[1]["evaluator_error"]
    assert "no finite numbers" in evaluated(evaluate, "def f(n): return -1e308 * 10", tmp_path)[1]["evaluator_error"]
    assert "f(1) raised" in evaluated(evaluate, "def f(n): return 1 / 0", tmp_path)[1]["first_failing_test"]
    assert "timeout" in evaluated(evaluate, HANGS, tmp_path)[1]


@pytest.mark.parametrize(
    ("told", "score"),
    [(0.5, 0.5), ({"combined_score": 2, "x": 1}, 2.0), ({"a": 1, "b": 3}, 2.0), ({"combined_score": float("nan")}, 0.0),
     ({"combined_score": True}, 0.0), ("text", 0.0), (None, 0.0), ({}, 0.0), ({"combined_score": [1]}, 0.0)],
)  # fmt: skip
def test_combined_score_is_always_there_and_finite(told, score):
    result = scored(told)
    assert result.metrics["combined_score"] == score
    assert all(type(value) is float for value in result.metrics.values())
    assert score or result.artifacts or told == {}


THEIRS = """
class Result:
    pass
def evaluate(path):
    space, result = {"__name__": "candidate"}, Result()
    exec(open(path).read(), space)
    result.metrics, result.artifacts = {"combined_score": space["f"](3), "aside": 1}, {"note": "fine"}
    return result
"""


@pytest.mark.parametrize(
    ("program", "score", "said"),
    [
        ("def f(n): return n / 4", 0.75, "fine"),
        ("print('loud')\ndef f(n): raise KeyError(n)", 0.0, "KeyError: 3"),
        ("import subprocess as s\ns.Popen(['sleep', '{nap}'])\ndef f(n):\n    while True: pass", 0.0, "killed after"),
        ("import os\nos._exit(3)", 0.0, "without a result"),
        ("import socket\nsocket.create_connection(('127.0.0.1', {port}), 2)", 0.0, "Error"),
        ("open('{inside}', 'w')\ndef f(n): return 1", 0.0, "Error"),
        ("def f(n): return len(bytes(10**10))", 0.0, "MemoryError"),
        ("def f(n): return 'high'", 0.0, "no finite numbers"),
        ("def f(n): return 10**400", 0.0, "no finite numbers"),
        ("import os\nprint('[' * 99_999, flush=True)\nos._exit(0)", 0.0, "[[["),
        ("def f(n): return 1 # " + "long " * 40_000, 1.0, "fine"),
        ("import sys\ndef f(n): return len(sys.stdin.read()) + 1", 1.0, "fine"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_someones_evaluator_is_contained_and_killed_with_all_that_it_started(tmp_path, program, score, said):
    (tmp_path / "theirs.py").write_text(THEIRS)
    evaluate = Isolated(tmp_path / "theirs.py", seconds=3.0 if "killed" in said else 30.0)
    nap = str(10**6 + crc32(bytes(tmp_path)))  # seconds that no other process sleeps
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        text = program.replace("{port}", str(port)).replace("{inside}", str(tmp_path / "written"))
        text = text.replace("{nap}", nap)
        found, artifacts = evaluated(evaluate, text, tmp_path)
    assert found == score and any(said in text for text in artifacts.values()), artifacts
    assert not (tmp_path / "written").exists()
    left = subprocess.run(["pgrep", "-f", f"sleep {nap}"], capture_output=True, text=True)
    assert not left.stdout
