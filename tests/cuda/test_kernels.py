"""Kernel candidates: what is refused, compiled, found by the emulator, and that no task accepts a wrong answer."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from semrep_jax import main
from semrep_jax.cuda.candidate import source
from semrep_jax.cuda.candidate.candidate import from_file, parse
from semrep_jax.cuda.candidate.expressions import ExpressionError, evaluate
from semrep_jax.cuda.candidate.source import InvalidCandidate
from semrep_jax.cuda.gate import RIGHT, undetected
from semrep_jax.cuda.spec import Values, sample_inputs
from semrep_jax.tasks.kernels import catalogue
from semrep_jax.tasks.kernels.builtin import TASKS
from semrep_jax.tasks.kernels.chains import split_of
from semrep_jax.tasks.kernels.draws import free

HERE = Path(__file__).parent
FILES = sorted([*(HERE / "exploits").glob("*.cu"), *(HERE / "conformance").glob("*.cu")])


@pytest.fixture(scope="module")
def judge() -> Iterator:
    from semrep_jax.cuda.gpu.nvrtc import CompilerError
    from semrep_jax.cuda.judge import Judge

    try:
        one = Judge()
    except CompilerError as error:
        pytest.skip(str(error))
    with one:
        yield one


def candidate(path: Path) -> tuple[str, str, str]:
    """Task, verdict and completion of a fixture."""
    text = path.read_text()
    task, verdict = (re.search(rf"^// {k}: (.*)$", text, re.MULTILINE)[1] for k in ("task", "verdict"))
    return task, verdict, from_file(text)


@pytest.mark.parametrize("path", sorted((HERE / "exploits").glob("*.cu")), ids=lambda p: p.stem)
def test_each_exploit_says_what_it_models_and_where_that_is_known_from(path):
    head = [line for line in path.read_text().splitlines()[:5] if line.startswith("// ")]
    assert [line[3:].split(": ")[0] for line in head] == ["task", "scenario", "source", "verdict", "launch"]
    assert all(line.partition(": ")[2].strip() for line in head)


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_each_fixture_gets_its_verdict(path, judge):
    task, wanted, text = candidate(path)
    verdict = judge.judge(TASKS[task], text)
    assert verdict.status == wanted, verdict.feedback
    assert (verdict.status == "ok") == (not verdict.feedback) and (verdict.status != "ok" or verdict.preserve.all)


def test_every_c_src_is_right_under_every_schedule(judge):
    verdicts = judge.judge_all([(task, task.source) for task in TASKS.values()])
    assert {n: v.feedback for n, v in zip(TASKS, verdicts, strict=True) if v.status != "ok"} == {}


def test_there_are_more_than_sixty_tasks_over_the_classes_of_levels_one_and_two():
    assert len(TASKS) >= 60
    families = {
        "activation",
        "elementwise",
        "reduction",
        "loss",
        "softmax",
        "norm",
        "scan",
        "move",
        "pooling",
        "convolution",
        "product",
        "attention",
    }
    assert {t.family for t in TASKS.values()} == families
    assert len({t.sha256 for t in TASKS.values()}) == len(TASKS)


@pytest.mark.parametrize("name", TASKS)
def test_the_discrimination_gate_rejects_every_wrong_answer_and_never_the_right_one(name):
    assert undetected(TASKS[name]) == {RIGHT}


def test_the_gate_names_what_a_weak_task_lets_pass():
    weak = replace(TASKS["relu"], inputs=(replace(TASKS["relu"].inputs[0], values=Values.POSITIVE),))
    assert undetected(weak) == {RIGHT, "a copy of x"}


def test_chains_are_different_sound_repeatable_and_in_one_split(judge):
    train, test = (list(islice(free(split), 12)) for split in ("train", "test"))
    names = [t.name for t in train + test]
    assert len(set(names)) == 24 and [t.sha256 for t in train] == [t.sha256 for t in islice(free("train"), 12)]
    assert {split_of(t.name) for t in test} == {"test"}
    assert all(undetected(t) == {RIGHT} for t in train)
    assert [v.feedback for v in judge.judge_all([(t, t.source) for t in train + test])] == [""] * 24


def test_the_reference_is_the_oracle_on_jax_too():
    import jax.numpy as jnp

    for task in TASKS.values():
        axes = task.small[0]
        inputs = sample_inputs(task, axes, 0)
        with np.errstate(all="ignore"):
            got = np.asarray(task.reference(jnp, **{n: jnp.asarray(x) for n, x in inputs.items()}))
        np.testing.assert_allclose(got, task.oracle(inputs)[0], rtol=2e-3, atol=2e-4, err_msg=task.name)


GOOD = '{"launch": [{"kernel": "k", "grid": [1], "block": [32], "args": ["x", "y", "i32:N"]}]}'
CODE = "__global__ void k(const float* x, float* y, int n) { }"


@pytest.mark.parametrize(
    ("code", "launch", "says"),
    [
        (CODE, "nothing", "is not JSON"),
        (CODE, '{"launch": []}', "at least one launch"),
        (CODE, '{"launch": [{"kernel": "other", "grid": [1], "block": [1], "args": []}]}', "the CUDA block has k"),
        (CODE, GOOD.replace('"i32:N"', '"z"'), "buffers are x, y"),
        (CODE, GOOD.replace('"i32:N"', '"i32:Q"'), "'Q' is not known here"),
        (CODE, GOOD.replace('"i32:N"', '"f32:N"'), 'write "i32:N"'),
        (CODE, GOOD.replace(', "i32:N"', ""), "2 arguments and k (line 1) takes 3"),
        (CODE, GOOD.replace("[32]", "[1, 2, 3, 4]"), "one to three expressions"),
        (CODE.replace("const ", ""), GOOD, "declare it const float*"),
        (CODE.replace("float*", "int*"), GOOD, "points at int and the buffer holds f32"),
        (f"template <int T> {CODE}", GOOD, "write its arguments"),
        (CODE, GOOD.replace('{"launch"', '{"scratch": {"x": "f32[N]"}, "launch"'), "a name of its own"),
        ("int f();", GOOD, "no __global__ function"),
        ('\n\n#include "kernels.h"\n' + CODE, GOOD, 'line 3: #include "kernels.h" is not available'),
    ],
)
def test_a_malformed_candidate_is_told_what_to_write(code, launch, says):
    with pytest.raises(InvalidCandidate, match=re.escape(says)):
        parse(f"```cuda\n{code}\n```\n```json\n{launch}\n```", TASKS["relu"])


def test_a_compilers_complaint_carries_the_writers_line(judge):
    verdict = judge.judge(
        TASKS["relu"],
        f"```cuda\n// a comment\n\n{CODE.replace('{ }', '{ y[0] = missing; }')}\n```\n```json\n{GOOD}\n```",
    )
    assert verdict.status == "compile" and verdict.feedback == 'line 3: identifier "missing" is undefined'


@pytest.mark.parametrize(
    "text",
    ["__import__('os')", "N.real", "[1]", "9**9**9", "1 << 99", "'a'", "lambda: 1", "M", "1/0", "N if", "x" * 999],
)
def test_an_expression_is_arithmetic_and_nothing_else(text):
    with pytest.raises(ExpressionError):
        evaluate(text, {"N": 5})


def test_expressions_have_the_values_of_arithmetic():
    names = {"N": 1000, "M": 3}
    wanted = {
        "ceil_div(N, 256) * M": 12,
        "next_pow2(N)": 1024,
        "min(N, 64) if M > 2 else 0": 64,
        "-N // 7": -143,
        "N / 8": 125.0,
    }
    assert {text: evaluate(text, names) for text in wanted} == wanted


def test_the_rooms_of_kernels_do_not_import_jax():
    code = "import sys, semrep_jax.cuda.judge, semrep_jax.tasks.kernels.builtin; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_command_judges_a_persons_file(judge, tmp_path, capsys):
    task, _, _ = candidate(HERE / "conformance" / "votes.cu")
    assert main.main(["judge", str(HERE / "conformance" / "votes.cu"), "--task", task]) == 0
    assert "row_argmax: ok" in capsys.readouterr().out
    assert main.main(["judge", str(HERE / "exploits" / "guard_write.cu"), "--task", "relu"]) == 1
    assert "memory" in capsys.readouterr().out
    (tmp_path / "k.cu").write_text(CODE)
    for arguments, says in (
        (["judge", str(tmp_path / "k.cu"), "--task", "relu"], "no launch list"),
        (["judge", str(tmp_path / "k.cu"), "--task", "relv"], "did you mean relu"),
        (["judge", str(tmp_path / "none.cu"), "--task", "relu"], "none.cu"),
    ):
        assert main.main(arguments) == 2 and says in capsys.readouterr().err


def test_answers_in_the_style_of_load_inline_are_converted_and_what_is_not_read_is_named(judge):
    python, cpp = (HERE / "conformance" / n for n in ("load_inline_relu.py.txt", "load_inline_matmul.cpp"))
    relu, matmul = python.read_text(), f"```cpp\n{cpp.read_text()}```"
    pairs = [(TASKS["relu"], relu), (TASKS["matmul"], matmul)]
    assert [(v.status, v.feedback) for v in judge.judge_all(pairs)] == [("ok", "")] * 2
    for old, new, says in (
        (
            "const int block_size = 256;",
            "int block_size = pick();",
            "line 13: this host code can't be converted: 'pick()'",
        ),
        ("block_size>>>", "block_size, 0, stream>>>", "'stream'"),
        ("return out;", "return x;", "the one output tensor that it made"),
        ("(torch::Tensor x) {", "(torch::Tensor x, int n) {", "the task's inputs as tensors: x"),
    ):
        assert old in relu
        with pytest.raises(InvalidCandidate, match=re.escape(says)):
            parse(relu.replace(old, new), TASKS["relu"])


def test_a_converted_answer_that_stops_zeroing_its_output_is_wrong(judge):
    text = (HERE / "conformance" / "load_inline_matmul.cpp").read_text()
    adds = text.replace("C[row * N + col] = s;", "C[row * N + col] += s;")
    assert judge.judge(TASKS["matmul"], f"```cpp\n{adds}```").status == "ok"
    assert judge.judge(TASKS["matmul"], f"```cpp\n{adds.replace('zeros', 'empty')}```").status == "numeric"


def test_a_wall_of_backslashes_costs_the_judge_no_time():
    began = time.perf_counter()
    with pytest.raises(InvalidCandidate):
        source.clean("\\" * 59_000)
    assert time.perf_counter() - began < 2


def test_a_number_of_any_length_in_a_launch_list_is_a_verdict(judge):
    text = catalogue.find("relu").source.replace('"grid": [', '"grid": [' + "9" * 401 + ", ", 1)
    assert judge.judge(catalogue.find("relu"), text).status in ("launch", "format")
