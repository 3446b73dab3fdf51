"""Work directories in buckets: killed, the machine lost and gone on from to the same bits; refused in one line."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from buckets import MISSING, REASON, SERVERS, amazon

from semrep_jax import main
from semrep_jax.core import bucket
from semrep_jax.core.bucket import Bucket, BucketError
from semrep_jax.core.workdir import WorkDir, WorkDirError

served = pytest.mark.skipif(bool(MISSING), reason=REASON)

# A training of six steps with a checkpoint after each; argument 2: the step in which it is killed.
PROGRAM = """
import os, signal, sys
import jax, jax.numpy as jnp
from semrep_jax.core.stop import Stop
from semrep_jax.core.workdir import WorkDir
from semrep_jax.train import loop

class Walk:
    arrays, done, total = {"w": jnp.zeros(64)}, 0, 6
    def step(self):
        if self.done == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        key = jax.random.fold_in(jax.random.key(0), self.done)
        self.arrays = {"w": self.arrays["w"] * 1.1 + jax.random.normal(key, (64,))}
        self.done += 1
        return loop.StepResult({"w": float(self.arrays["w"].sum())}, [{"w": self.arrays["w"].tolist()}])
    def record(self):
        return {"done": self.done}
    def resume(self, restored):
        self.arrays, self.done = restored.state, restored.record["done"]

work = WorkDir(sys.argv[1], {"seed": 0})
walk = Walk()
loop.run(walk, "walk", loop.LoopSettings(work.path / "arms", {"seed": 0}, 1, 2, bucket=work.bucket), Stop())
work.write("results.json", {"w": [float(x).hex() for x in walk.arrays["w"]], "began": True})
print((work.path / "results.json").read_text(), (work.path / "arms" / "samples.jsonl").read_text())
"""


def walked(work: str | Path, killed_in: int, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, str(work), str(killed_in)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | variables, timeout=200)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> str:
    """What the program says of a run that nothing happens to, in a directory."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as said:
        patch.setattr(sys, "argv", ["walk", str(tmp_path_factory.mktemp("whole")), "-1"])
        exec(PROGRAM, {})
    return said.getvalue()


@served
@pytest.mark.parametrize("scheme", SERVERS)
def test_a_run_that_was_killed_and_lost_its_machine_goes_on_from_its_bucket_to_the_same_bits(scheme, whole, tmp_path):
    with SERVERS[scheme]() as variables:
        variables |= {"SEMREP_SCRATCH": str(tmp_path)}
        killed = walked(f"{scheme}://bucket/a/run", 4, **variables)
        assert killed.returncode == -9, killed.stderr
        shutil.rmtree(tmp_path)
        again = walked(f"{scheme}://bucket/a/run", 0, **variables)  # killed at once, if it began anew
    assert again.returncode == 0, again.stderr
    assert again.stdout == whole


@pytest.mark.parametrize(
    ("work_dir", "why"),
    [
        ("ftp://bucket/run", "ftp:// is not known; use a path, gs://BUCKET/RUN or s3://BUCKET/RUN"),
        ("gs://bucket", "name a directory in the bucket too, as gs://BUCKET/RUN"),
        ("s3:///run", "name a directory in the bucket too"),
    ],
)
def test_an_address_that_is_none_is_refused_before_anything_starts(work_dir, why, capsys):
    assert main.main(["--config", "configs/quickstart.yaml", "--set", f"work_dir={work_dir}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: work_dir {work_dir}") and why in line


def test_a_package_that_is_missing_and_processes_that_can_not_share_are_named(monkeypatch):
    monkeypatch.setattr(bucket.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BucketError, match=r'gcsfs is not installed; pip install -e "\.\[gs\]"'):
        bucket.require_usable("gs://bucket/run", several=False)
    monkeypatch.setattr(bucket.importlib.util, "find_spec", lambda name: object())
    bucket.require_usable("gs://bucket/run", several=True)
    with pytest.raises(BucketError, match=r"several processes can't save into s3://; use a directory that all share"):
        bucket.require_usable("s3://bucket/run", several=True)


@pytest.fixture
def s3(monkeypatch):
    import s3fs

    with amazon() as variables:
        for name, value in {**variables, "AWS_EC2_METADATA_DISABLED": "true"}.items():
            monkeypatch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        yield s3fs.S3FileSystem(use_listings_cache=False)
    s3fs.S3FileSystem.clear_instance_cache()


@served
def test_a_bucket_that_is_not_there_or_not_ours_is_one_line_with_the_fix(s3, monkeypatch, tmp_path):
    monkeypatch.setenv("SEMREP_SCRATCH", str(tmp_path))
    with pytest.raises(BucketError, match=r"work_dir s3://nobodys/run: can't .*does the bucket exist.*aws configure"):
        WorkDir("s3://nobodys/run", {})
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    type(s3).clear_instance_cache()
    with pytest.raises(BucketError, match=r"NoCredentialsError.*aws configure") as refused:
        WorkDir("s3://bucket/run", {})
    assert "\n" not in str(refused.value)


@served
def test_the_newest_process_holds_a_bucket_and_another_run_is_refused_before_it_takes_it(s3, monkeypatch, tmp_path):
    monkeypatch.setenv("SEMREP_SCRATCH", str(tmp_path / "one"))
    first = WorkDir("s3://bucket/run", {"seed": 0})
    first.write("results.json", {"a": 1})
    monkeypatch.setenv("SEMREP_SCRATCH", str(tmp_path / "two"))
    with pytest.raises(WorkDirError, match=r"s3://bucket/run holds a run of another config: seed was 0 and is 1"):
        WorkDir("s3://bucket/run", {"seed": 1})
    first.write("results.json", {"a": 2})
    second = WorkDir("s3://bucket/run", {"seed": 0})
    assert second.read("results.json") == {"a": 2}
    with pytest.raises(BucketError, match="was taken over by another process"):
        first.write("results.json", {"a": 3})
    assert json.loads(s3.cat_file("s3://bucket/run/results.json")) == {"a": 2}


@served
def test_a_machine_forgets_what_its_scratch_directory_held_before(s3, tmp_path):
    one = Bucket("s3://bucket/forgets", scratch=tmp_path)
    one.path.mkdir(parents=True)
    (one.path / "old").mkdir()
    (one.path / "old" / "metrics.jsonl").write_text("stale")
    one.clear()
    one.take()
    one.fetch()
    assert [path.name for path in one.path.iterdir()] == []
