"""What a plugin brings from outside the package is trained on and evaluated by the unchanged command; two of one name
are refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from semrep_jax.core.plugins import PluginError, Registry, load_plugins

PLUGIN = Path(__file__).with_name("calculator.py")


def run(config: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "semrep_jax.main", "--config", str(config), *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=280)


@pytest.fixture
def config(tiny_directory: Path, tmp_path: Path) -> Path:
    path = tmp_path / "sums.yaml"
    path.write_text(f"""
job: compare
work_dir: {tmp_path / "run"}
plugins: [{PLUGIN}]
model: {{source: {tiny_directory}}}
tasks: {{source: sums, sums: {{largest: 7}}, train_size: 6}}
reward: {{rewrite: all_alike, transform: all_alike}}
rollout: {{prompts: 2, group: 3, max_prompt: 64, bucket: 64, max_new: 8}}
train: {{budget: 2, alpha: 0.5, advantage: doubled}}
evaluate: {{suites: [big_sums], tasks: 3, samples: 1, batch: 3, resamples: 100}}
""")
    return path


def test_a_language_with_its_source_suite_reward_and_advantage_in_one_file_trains_both_stages(config, tmp_path):
    done = run(config)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert set(results["arms"]) == {"base", "semrep", "finetune"} and results["suites"]["big_sums"]["tasks"] == 3
    # the base solves none of them, which the mark says
    assert results["rows"][0]["title"] == "sums of big numbers †, direct (T=1)" and "sums of big numbers" in done.stdout
    steps = [json.loads(line) for line in (tmp_path / "run/arms/semrep/metrics.jsonl").read_text().splitlines()]
    assert [step["stage"] for step in steps] == ["rewrite", "transform"]
    samples = [json.loads(line) for line in (tmp_path / "run/arms/semrep/samples.jsonl").read_text().splitlines()]
    assert all(s["source"].replace(" ", "").split("+")[1].isdigit() for s in samples)
    assert "sums:" in (tmp_path / "run/config.yaml").read_text()


def test_a_plugins_own_settings_are_checked_like_any_other(config):
    done = run(config, "--set", "tasks.sums.smallest=1", "--print-config")
    assert done.returncode == 2 and "unknown key 'tasks.sums.smallest'; known here: largest" in done.stderr


def test_judging_what_a_plugin_judges(tmp_path):
    code = f"""
from semrep_jax.core.plugins import load_plugins
load_plugins([{str(PLUGIN)!r}])
from semrep_jax.core.programs import Program
from semrep_jax.sandbox.pool import Sandbox
from semrep_jax.tasks.source import SOURCES, SourceRequest
from semrep_jax.verify import Verifier
task = next(SOURCES["sums"].rewriting(SourceRequest(1, 0)))
a, b = task.source.source.split(" + ")
texts = [f"1 + {{a}} + {{b}} + -1", f"{{b}}+{{a}}", f"{{a}} + {{b}} + 1"]
with Verifier(Sandbox(1)) as verifier:
    for v in verifier.verify(task, [Program("calculator", text) for text in texts]):
        print(v.status, v.duplicate, v.equivalent)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["ok", "none", "True", "ok", "canonical", "True", "wrong", "none", "False"], (
        done.stderr
    )


def test_two_of_one_name_are_refused():
    things: Registry[int] = Registry("thing", "tasks.thing", {"one": "math:pi"})
    things.add("two", 2)
    for name in ("one", "two"):
        with pytest.raises(PluginError, match=f"two of the thing '{name}'"):
            things.add(name, 3)
    with pytest.raises(PluginError, match=r"tasks\.thing: there is no thing 'three'; there are one, two"):
        things["three"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("none.py", None, "does not exist"),
        ("broken.py", "1 / 0", "ZeroDivisionError"),
        ("leaving.py", "raise SystemExit(3)", "SystemExit: 3"),
        ("no_such_module", None, "ModuleNotFound"),
    ],
)
def test_a_plugin_that_can_not_be_imported_is_named_with_the_reason(name, content, says, tmp_path):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(PluginError, match=f"plugins: {name}.*{says}"):
        load_plugins([name], tmp_path)
