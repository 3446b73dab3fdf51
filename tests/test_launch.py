"""Launching: what would be run, printed exactly; what does not fit, refused; a TPU that is taken away, made again."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from semrep_jax.model.ahead import CHIPS, GIB

ROOT = Path(__file__).parent.parent
LAUNCH = ROOT / "tools" / "launch"
RUN = ("--config", "configs/quickstart.yaml", "--dry-run")
LARGE = ("--set", "model.source=Qwen/Qwen2.5-Coder-7B-Instruct", "--set", "mesh.data=-1")


@pytest.fixture(scope="module")
def launch() -> ModuleType:
    """launch.py, imported: a process for each command line would take seconds."""
    before = sys.excepthook, list(sys.path), os.environ.get("PYTHONPATH")
    spec = importlib.util.spec_from_file_location("launch", LAUNCH / "launch.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.excepthook, sys.path[:] = before[0], before[1]
    if before[2] is None:
        os.environ.pop("PYTHONPATH")
    else:
        os.environ["PYTHONPATH"] = before[2]
    return module


@pytest.fixture
def launched(launch, monkeypatch, capfd):
    """(exit code, standard output, standard error) of a command line."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["launch.py", *arguments])
        monkeypatch.chdir(ROOT)
        try:
            code = launch.main()
        except SystemExit as end:
            code = end.code
        said = capfd.readouterr()
        return code, said.out, said.err

    return call


def test_a_dry_run_of_a_tpu_prints_every_command_and_runs_none(launched, tmp_path, monkeypatch):
    (tmp_path / "gcloud").write_text('#!/bin/sh\ntouch "$(dirname "$0")/called"\n')
    (tmp_path / "gcloud").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    wanted = ("tpu-vm", "one", "--machine", "v6e-16", "--zone", "us-east5-b", "--work-dir", "gs://b/one", *RUN)
    code, out, _ = launched(*wanted, "--set", "seed=3")
    lines = out.splitlines()
    assert code == 0 and not (tmp_path / "called").exists()
    assert lines[0].startswith("git archive --format=tar.gz")
    verbs = [line.split()[:5] for line in lines[1:]]
    assert all(verb[:4] == ["gcloud", "compute", "tpus", "tpu-vm"] for verb in verbs)
    assert [verb[4] for verb in verbs] == ["create", "scp", "ssh", "ssh", "delete"]
    assert "--accelerator-type v6e-16 --version v2-alpha-tpuv6e --spot" in lines[1]
    said = lines[4].replace("\\", "")
    assert "SEMREP_EXIT_WHEN_STOPPED=75" in said and "--set work_dir=gs://b/one --set seed=3" in said
    assert "distributed.coordinator=auto" in said and "--worker=all" in said


def test_a_queued_resource_is_waited_for_and_one_host_needs_no_coordinator(launched):
    wanted = ("tpu-vm", "one", "--machine", "v5litepod-8", "--zone", "z", "--queued", "--on-demand", "--project", "p")
    code, out, _ = launched(*wanted, "--work-dir", "gs://b/one", *RUN)
    assert code == 0 and "queued-resources create one --node-id one" in out and "state.state" in out
    assert "--spot" not in out and "coordinator" not in out and out.count("--project p") == out.count("gcloud ")
    assert "queued-resources delete one" in out.splitlines()[-1]


def test_skypilot_and_slurm_are_given_the_machine_and_the_command(launched):
    code, out, _ = launched("skypilot", "a", "--machine", "h100:8", "--nodes", "2", "--work-dir", "gs://b/a", *RUN)
    assert code == 0 and "--gpus H100:8 --num-nodes 2 --use-spot" in out and out.endswith("skypilot_gpu.yaml\n")
    code, out, _ = launched("skypilot", "a", "--machine", "v6e-8", "--work-dir", "gs://b/a", *RUN)
    assert code == 0 and "--gpus tpu-v6e-8 --use-spot" in out and out.endswith("skypilot_tpu.yaml\n")
    code, out, _ = launched("slurm", "a", "--machine", "h100:4", "--nodes", "2", "--work-dir", "/all/a", *RUN)
    assert code == 0 and out.startswith("sbatch --job-name a --nodes 2 --time 24:00:00 --gpus-per-node 4 tools/launch/")
    assert out.endswith("--set work_dir=/all/a --set distributed.coordinator=auto\n")


GKE = ("gke", "one", "--image", "registry/semrep-jax:1", "--work-dir", "gs://b/one", *RUN)


@pytest.mark.parametrize(
    ("more", "hosts", "limits", "selector"),
    [
        (("--machine", "v6e-16"), 4, {"google.com/tpu": 4}, ("cloud.google.com/gke-tpu-topology", "4x4")),
        (
            ("--machine", "h100:8", "--nodes", "2"),
            2,
            {"nvidia.com/gpu": 8},
            ("cloud.google.com/gke-accelerator", "nvidia-h100-80gb"),
        ),
    ],
)
def test_the_manifest_of_gke_is_a_job_of_as_many_pods_as_hosts_that_kubernetes_accepts(
    launched, more, hosts, limits, selector
):
    validate = pytest.importorskip("kubernetes_validate", reason="pip install -e '.[dev]'").validate
    code, out, _ = launched(*GKE, *more)
    assert code == 0
    jobset = yaml.safe_load(out)
    assert (jobset["apiVersion"], jobset["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    (replicated,) = jobset["spec"]["replicatedJobs"]
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "one"}, **replicated["template"]}
    validate(job, "1.34", strict=True)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert job["spec"]["completions"] == job["spec"]["parallelism"] == hosts
    assert container["resources"]["limits"] == limits and pod["nodeSelector"][selector[0]] == selector[1]
    assert {"name": "SEMREP_EXIT_WHEN_STOPPED", "value": "75"} in container["env"]
    processes = "distributed.coordinator=auto" if "v6e-16" in more else "distributed.process=$(JOB_COMPLETION_INDEX)"
    assert processes in container["command"]


TPU = ("tpu-vm", "one", "--zone", "z", *RUN)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((*TPU, "--machine", "v6e-1", "--work-dir", "gs://b/r", *LARGE), r"has 31.2 GiB a chip and the plan .* needs"),
        ((*TPU, "--machine", "v6e-7", "--work-dir", "gs://b/r"), "there are v6e-1, v6e-4, v6e-8"),
        ((*TPU, "--machine", "h100:8", "--work-dir", "gs://b/r"), "is no TPU; use skypilot"),
        ((*TPU, "--machine", "v6e-8", "--work-dir", "runs/r"), "does not outlive the machine; use gs://BUCKET/RUN"),
        ((*TPU, "--machine", "v6e-16", "--work-dir", "s3://b/r"), "4 hosts can't save into s3://"),
        (
            (*TPU, "--machine", "v6e-8", "--work-dir", "gs://b/r", "--set", "mesh.fsdp=16"),
            "does not lie on the 8 chips",
        ),
        ((*TPU, "--machine", "v6e-8", "--work-dir", "gs://b/r", "--set", "train.bugdet=3"), "unknown key"),
        ((*TPU, "--machine", "v6e-8", "--work-dir", "gs://b/r", "--set", "work_dir=r"), "what --work-dir says"),
        ((*TPU, "--machine", "v6e-8", "--work-dir", "gs://b/r", "--plan", "/no/plan"), "no finished job: plan"),
        (("tpu-vm", "One", "--zone", "z", "--machine", "v6e-8", "--work-dir", "gs://b/r", *RUN), "lower case letters"),
        (("slurm", "a", "--machine", "h100:8", "--nodes", "0", "--work-dir", "/r", *RUN), "--nodes 0: at least 1"),
        (("slurm", "a", "--machine", "h100:8", "--work-dir", "r", *RUN), "an absolute path that all nodes share"),
        (("gke", "a", "--machine", "h100:3", "--image", "i", "--work-dir", "gs://b/r", *RUN), "1, 2, 4 or 8 of l4"),
        (("skypilot", "a", "--machine", "h100:8", "--work-dir", "gs://b/r", *RUN, "--set", "x=[1]"), "unknown key 'x'"),
        (("gke", "a"), "required"),
        (("anywhere",), "invalid choice"),
    ],
)
def test_what_does_not_fit_is_one_line_and_nothing_is_started(launched, arguments, why):
    code, out, err = launched(*arguments)
    (line,) = err.splitlines()
    assert code == 2 and not out and line.startswith("error: ") and re.search(why, line), line


def test_a_plan_needs_more_of_each_chip_where_there_are_fewer(launch):
    plan = launch.machines.Plan("p", "v5e:8x8", 64, 7e9, 6.0, (), "")
    assert (plan.needed_on(64), plan.needed_on(128), plan.needed_on(16)) == (6.0, 6.0, 24.0)
    launch.machines.require_fit(plan, launch.machines.machine("v5litepod-32"))
    with pytest.raises(launch.MachineError, match=r"15\.8 GiB a chip .* 24\.0 at 16 chips \(6\.0 GiB at 64\)"):
        launch.machines.require_fit(plan, launch.machines.machine("v5litepod-16"))


def test_a_finished_plan_is_read_with_its_hungriest_program(launch, tmp_path):
    figures = {"update": 14.1, "rollout": 15.2}
    arms = {
        n: {"needed_gib": {"value": g}, "chips": {"value": 4}, "parameters": {"value": 1e9}} for n, g in figures.items()
    }
    (tmp_path / "results.json").write_text(json.dumps({"arms": arms}))
    (tmp_path / "config.yaml").write_text("plan:\n  topology: v6e:2x2\n")
    plan = launch.machines.read_plan(tmp_path)
    assert (plan.needed_gib, plan.chips, plan.topology) == (15.2, 4, "v6e:2x2")


def test_machines_have_the_memory_that_plans_count_with_and_hosts_of_four_chips(launch):
    of = {"v5litepod": "v5e"}
    assert {of.get(k, k): tpu.gib * GIB for k, tpu in launch.machines.TPUS.items()} == {
        k: c.memory for k, c in CHIPS.items()
    }
    sizes = {n: launch.machines.machine(n) for n in ("v6e-8", "v6e-16", "v5p-8", "v5p-256", "v5litepod-256")}
    assert [(m.chips, m.hosts) for m in sizes.values()] == [(8, 1), (16, 4), (4, 1), (128, 32), (256, 64)]


def test_the_table_in_the_readme_is_the_one_that_its_command_prints(launch):
    assert launch.machines.table() in (LAUNCH / "README.md").read_text()


FAKE = r"""#!/usr/bin/env bash
# A cloud in a directory: `state` is the TPU's; the first run is taken away, or ends with the codes in `codes`.
cd "$(dirname "$0")"
echo "$*" >> calls
case "$*" in
    *" create "*) echo READY > state ;;
    *" delete "*) rm -f state ;;
    *" describe "*) if [ -f state ]; then cat state; else echo "NOT_FOUND: no such TPU" >&2; exit 1; fi ;;
    *on_host.sh*)
        read -r code after < codes; sed -i 1d codes
        [ -z "$after" ] || echo "$after" > state
        exit "$code" ;;
esac
"""


def rented(launched, tmp_path, monkeypatch, *codes: str) -> tuple[int, list[str]]:
    (tmp_path / "gcloud").write_text(FAKE)
    (tmp_path / "sleep").write_text("#!/bin/sh\n")
    for name in ("gcloud", "sleep"):
        (tmp_path / name).chmod(0o755)
    (tmp_path / "codes").write_text("".join(code + "\n" for code in codes))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    arguments = [a for a in TPU if a != "--dry-run"]
    code, _, _ = launched(*arguments, "--machine", "v6e-8", "--work-dir", "gs://b/r", "--restarts", "2")
    words = ("create", "on_host.sh", "delete")
    calls = (tmp_path / "calls").read_text().splitlines()
    return code, [word for call in calls for word in words if f" {word} " in call or f"/{word} " in call]


RAN, AGAIN = ["create", "on_host.sh"], ["create", "on_host.sh", "delete"]


def test_a_tpu_that_is_taken_away_is_made_again_and_deleted_at_the_end(launched, tmp_path, monkeypatch):
    assert rented(launched, tmp_path, monkeypatch, "255 PREEMPTED", "0") == (0, [*AGAIN, *AGAIN])


def test_a_run_that_was_stopped_goes_on_and_a_mistake_ends_it(launched, tmp_path, monkeypatch):
    assert rented(launched, tmp_path, monkeypatch, "75", "2") == (2, [*RAN, "on_host.sh", "delete"])


def test_it_is_not_made_again_for_ever(launched, tmp_path, monkeypatch):
    code, words = rented(launched, tmp_path, monkeypatch, *["255 PREEMPTED"] * 3)
    assert code == 1 and words.count("create") == 3 and words[-1] == "delete"


def test_on_its_host_a_run_is_streamed_joined_again_and_told_to_stop(tmp_path):
    environment = os.environ | {"SEMREP_ON_HOST": str(tmp_path / "state")}
    waits = "trap 'echo saved; exit 75' TERM; echo began; touch here; while :; do sleep 0.05; done"
    command = [str(LAUNCH / "on_host.sh"), "bash", "-c", waits]
    first = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    while not (tmp_path / "here").exists():
        assert first.poll() is None
    second = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    assert second.stdout and second.stdout.readline() == "began\n"
    second.terminate()
    assert [p.communicate(timeout=30)[0].splitlines()[-1] for p in (first, second)] == ["saved", "saved"]
    assert (first.returncode, second.returncode) == (75, 75)
    done = subprocess.run([*command[:1], "sh", "-c", "echo next"], cwd=tmp_path, env=environment, capture_output=True)
    assert (done.returncode, done.stdout) == (0, b"next\n")


def test_the_shell_scripts_and_the_dockerfiles_are_clean():
    for name, files in (("shellcheck", ["*.sh", "*.sbatch"]), ("hadolint", ["Dockerfile.cpu", "Dockerfile.cuda"])):
        program = shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        if program is None:
            pytest.skip(f"{name} is not installed: pip install -e '.[dev]'")
        paths = [str(path) for pattern in files for path in sorted(LAUNCH.glob(pattern))]
        done = subprocess.run([program, *paths], capture_output=True, text=True)
        assert len(paths) >= 2 and done.returncode == 0 and not done.stdout, done.stdout


@pytest.mark.skipif(
    importlib.util.find_spec("sky") is None, reason="SkyPilot is not installed: pip install -e '.[launch]'"
)
@pytest.mark.parametrize(("kind", "accelerator"), [("tpu", "tpu-v6e-8"), ("gpu", "H100")])
def test_skypilots_own_loader_reads_its_files(kind, accelerator):
    import sky

    task = sky.Task.from_yaml(str(LAUNCH / f"skypilot_{kind}.yaml"))
    (resources,) = task.resources
    assert accelerator in resources.accelerators and resources.use_spot
    assert resources.job_recovery["recover_on_exit_codes"] == [75]
    assert {"WORK_DIR", "CONFIG", "SETTINGS"} <= task.envs.keys()
