"""Checkpoints: which one is gone on from, and what is refused."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import jax.numpy as jnp
import pytest
from orbax.checkpoint import JsonCheckpointHandler

from semrep_jax.train.checkpoint import CheckpointError, Checkpoints, checksums

LIKE = {"w": jnp.zeros(8)}


def saved(directory: Path, *steps: int, **identity: object) -> None:
    one = Checkpoints(directory, {"seed": 0} | identity, keep=3)
    for step in steps:
        one.save(step, {"w": jnp.full(8, float(step))}, {"step": step})
    one.close()


def cut(directory: Path) -> None:
    biggest = max((p for p in (directory / "state" / "d").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    biggest.write_bytes(biggest.read_bytes()[: biggest.stat().st_size // 2])


def emptied(directory: Path) -> None:
    for path in directory.rglob("*"):
        if path.is_file():
            path.unlink()


def without_json(directory: Path) -> None:
    for path in (directory / "run").rglob("*"):
        if path.is_file():
            path.write_text("{")


@pytest.mark.parametrize("damage", [cut, emptied, without_json])
@pytest.mark.parametrize("known", [True, False], ids=["sizes known", "sizes unknown"])
def test_a_damaged_newest_checkpoint_is_put_aside_for_the_one_before(tmp_path, damage, known):
    saved(tmp_path / "c", 1, 2, 3)
    damage(tmp_path / "c" / "3")
    if not known:
        (tmp_path / "c" / "sizes.json").unlink()
    one = Checkpoints(tmp_path / "c", {"seed": 0}, keep=3)
    found = one.restore(LIKE)
    assert found is not None and found.step == 2 and float(found.state["w"][0]) == 2.0
    (note,) = found.notes
    assert (
        "3 is damaged" in note and "steps 3 to 3 (1) are taken again" in note and "\n" not in note and "<" not in note
    )
    one.save(3, {"w": jnp.full(8, 33.0)}, {"step": 3})
    one.close()
    again = Checkpoints(tmp_path / "c", {"seed": 0}, keep=3).restore(LIKE)
    assert again is not None and again.step == 3 and float(again.state["w"][0]) == 33.0 and not again.notes


def test_a_record_is_written_as_it_was_when_it_was_saved_however_late_the_disk_is(tmp_path, monkeypatch):
    writes, gone_on = JsonCheckpointHandler._save_fn, threading.Event()

    async def late(self: JsonCheckpointHandler, item: object, directory: object) -> None:
        assert gone_on.wait(20)
        await writes(self, item, directory)

    monkeypatch.setattr(JsonCheckpointHandler, "_save_fn", late)
    record = {"draws": [1, 2]}
    one = Checkpoints(tmp_path / "c", {"seed": 0}, keep=3)
    one.save(1, {"w": jnp.zeros(8)}, record)
    record["draws"] += [3, 4]  # the run goes on
    gone_on.set()
    one.wait()
    found = one.restore(LIKE)
    assert found is not None and found.record == {"draws": [1, 2]}


def test_writes_that_were_given_up_are_silent_from_the_start_and_other_faults_are_not(tmp_path, monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda raised: said.append(str(raised.exc_value)))
    for name in ("a", "b"):
        Checkpoints(tmp_path / name, {}, keep=1).close()
    for text in ("Event loop is closed", "something else"):
        sys.unraisablehook(SimpleNamespace(exc_value=RuntimeError(text), object=None))
    assert said == ["something else"]


@pytest.mark.parametrize(("file", "is_said"), [("/x/orbax/checkpoint/_src/write.py", False), ("/x/ours.py", True)])
def test_a_write_that_orbax_has_given_up_is_silent_when_nobody_asks_for_it(file, is_said, tmp_path, caplog):
    Checkpoints(tmp_path / "c", {}, keep=1).close()
    code = compile("raise ValueError('RESOURCE_EXHAUSTED')", file, "exec")

    async def forgotten():
        exec(code)

    async def main():
        task = asyncio.ensure_future(forgotten())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert task.done()

    asyncio.run(main())
    gc.collect()
    assert any("never retrieved" in record.getMessage() for record in caplog.records) is is_said


def test_where_no_checkpoint_is_intact_the_run_ends_with_what_to_do(tmp_path):
    saved(tmp_path / "c", 1, 2)
    for step in ("1", "2"):
        cut(tmp_path / "c" / step)
    with pytest.raises(CheckpointError, match=r"damaged.*delete .* to begin again"):
        Checkpoints(tmp_path / "c", {"seed": 0}, keep=3).restore(LIKE)


def test_flipped_bytes_among_the_weights_are_no_weights_and_no_page_of_tracebacks(tmp_path):
    places = (0, 2, 3)  # quarters of a file
    for place in places:
        flip(saved_twice(tmp_path / str(place)), place)
    code = RESTORES.format(paths=[str(tmp_path / str(place)) for place in places])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr[-1500:]
    found = [line.split("|") for line in done.stdout.strip().splitlines()]
    assert [(step, float(ratio)) for step, ratio, _ in found] == [("1", 1.0)] * len(places)
    assert all("2 is damaged" in note for *_, note in found)


def saved_twice(directory):
    """Checkpoints 1 and 2 of an array; the second one's directory."""
    one = Checkpoints(directory, {"seed": 0}, keep=3)
    for step in (1, 2):
        one.save(step, {"w": jnp.arange(4096.0) ** 0.5 * step}, {"step": step})
    one.close()
    return directory / "2"


def flip(checkpoint, place):
    """Change three bytes of its largest file, which holds the weights."""
    weights = max((p for p in checkpoint.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    raw = bytearray(weights.read_bytes())
    start = place * len(raw) // 4
    raw[start : start + 3] = bytes(b ^ 0xFF for b in raw[start : start + 3])
    weights.write_bytes(raw)


RESTORES = """
import gc
import jax.numpy as jnp
from pathlib import Path
from semrep_jax.train.checkpoint import Checkpoints
for path in map(Path, {paths!r}):
    found = Checkpoints(path, {{"seed": 0}}, keep=3).restore({{"w": jnp.zeros(4096)}})
    print(found.step, float(found.state["w"][1]), found.notes[0], sep="|")
gc.collect()
"""


def test_the_sum_of_an_array_tells_its_bits_and_their_places():
    array = jnp.arange(12.0).reshape(3, 4)
    known = checksums({"a": array})
    others = (array.at[0, 0].set(-0.0), array[::-1], array.T.reshape(3, 4), array.astype(jnp.bfloat16), array > 3)
    assert len({known["a"], *(checksums({"a": other})["a"] for other in others)}) == 6
    assert checksums({"a": array + 0}) == known


@pytest.mark.parametrize("left", ["4.orbax-checkpoint-tmp", "4.orbax-checkpoint-tmp-17", "4"])
def test_what_a_kill_in_a_commit_leaves_is_nothing_to_stumble_over(tmp_path, left):
    saved(tmp_path / "c", 3)
    (tmp_path / "c" / left / "state").mkdir(parents=True)
    (tmp_path / "c" / left / "state" / "part").write_text("half")
    one = Checkpoints(tmp_path / "c", {"seed": 0}, keep=3)
    found = one.restore(LIKE)
    assert found is not None and found.step == 3
    for step in (4, 5, 6, 7):
        one.save(step, {"w": jnp.full(8, float(step))}, {"step": step})
    one.close()
    again = Checkpoints(tmp_path / "c", {"seed": 0}, keep=3).restore(LIKE)
    assert again is not None and again.step == 7 and not again.notes


def test_a_key_that_may_change_is_told_and_another_is_refused(tmp_path):
    saved(tmp_path / "c", 1, budget=6)

    def opened(**identity: object) -> Checkpoints:
        longer = {"budget": lambda was, now: "there is more to do" if now > was else None}
        return Checkpoints(tmp_path / "c", {"seed": 0} | identity, 3, longer)

    found = opened(budget=9).restore(LIKE)
    assert found is not None and found.notes == ("budget was 6 and is 9: there is more to do",)
    for other in ({"budget": 5}, {"budget": 6, "seed": 1}):
        with pytest.raises(CheckpointError, match="another run"):
            opened(**other).restore(LIKE)


ON_A_MESH = """
import sys
import jax, jax.numpy as jnp, numpy as np
from pathlib import Path
from jax.sharding import NamedSharding, PartitionSpec as P
from semrep_jax.model.sharding import build
from semrep_jax.train.checkpoint import Checkpoints
mesh = build(fsdp=int(sys.argv[2]), tensor=int(sys.argv[3])).mesh
where = NamedSharding(mesh, P("fsdp", "tensor"))
one = Checkpoints(Path(sys.argv[1]), {}, 2)
found = one.restore({"w": jax.device_put(jnp.zeros((8, 8)), where)})
if found is None:
    one.save(1, {"w": jax.device_put(jnp.arange(64.0).reshape(8, 8), where)}, {})
else:
    assert found.state["w"].sharding == where, found.state["w"].sharding
    np.testing.assert_array_equal(found.state["w"], np.arange(64.0).reshape(8, 8))
one.close()
"""


def test_a_checkpoint_restores_onto_another_mesh(tmp_path):
    for devices, fsdp, tensor in ((1, 1, 1), (4, 2, 2), (2, 1, 2)):
        environment = os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
        command = [sys.executable, "-c", ON_A_MESH, str(tmp_path / "c"), str(fsdp), str(tensor)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-1500:]
