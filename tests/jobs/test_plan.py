"""Reading a partitioned program, and planning for TPUs where libtpu is installed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from types import SimpleNamespace

import jax
import pytest

from semrep_jax.jobs import arms, planning, pretrain
from semrep_jax.jobs import config as configuration
from semrep_jax.jobs.config import Config
from semrep_jax.model import decoder, hlo, sharding
from semrep_jax.model.ahead import GIB, PlanError, topology
from semrep_jax.model.decoder import ComputeConfig
from semrep_jax.train import supervised

PROGRAM = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
mesh = Mesh(np.array(jax.devices()).reshape(2, 4), ("a", "b"))
def f(x, ws):
    return jax.lax.scan(lambda h, w: (jnp.tanh(h @ w), None), x, ws)[0]
x = jax.ShapeDtypeStruct((16, 64), jnp.float32, sharding=NamedSharding(mesh, P("a", None)))
ws = jax.ShapeDtypeStruct((7, 64, 64), jnp.float32, sharding=NamedSharding(mesh, P(None, "b", None)))
print(jax.jit(f).lower(x, ws).compile().as_text())
"""


def test_loops_are_multiplied_out_in_flops_and_collectives():
    flags = {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8 --xla_cpu_experimental_ynn_fusion_type=",
        "JAX_PLATFORMS": "cpu",
    }
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=os.environ | flags, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-1000:]
    work = hlo.read_work(done.stdout)
    share = 2 * (16 // 2) * 64 * 64 * 7
    assert work.flops in (share, share / 4)  # the whole weight gathered, or a quarter of the sum and then a reduction
    loop = [c for c in work.collectives if c.times >= 7]
    assert loop and all(c.group == 4 for c in loop) and work.wire > 0


def test_a_topology_that_is_none_is_refused_with_the_form():
    for name in ("v9:8x8", "v5e", "v5e-64"):
        with pytest.raises(PlanError, match="KIND:GRID"):
            topology(name, 1, 1, 1)


SMALL = {"layers": 1, "dim": 16, "heads": 2, "kv_heads": 1, "head_dim": 8, "ffn": 16, "vocab": 320}


def small(**train: object) -> Config:
    rollout = {"prompts": 2, "group": 2, "max_prompt": 16, "bucket": 16, "max_new": 8}
    return configuration.build({"job": "plan", "model": {"shape": SMALL}, "rollout": rollout, "train": train})


def on_one_device(config: Config):
    return decoder.build(planning.shape_of(config), sharding.build(), ComputeConfig.of(config.model))


@pytest.mark.parametrize("train", [{}, {"kl": "k3"}, {"correction": "tis"}, {"kl": "k3", "correction": "tis"}])
def test_a_step_is_planned_with_every_objective_that_it_can_be_trained_with(train):
    config = small(**train)
    function, arguments, keywords, _ = planning._update(config, on_one_device(config))
    assert function.lower(*arguments, **keywords)
    batch = arguments[2]
    assert (batch.reference is None) is ("kl" not in train) and (batch.old is None) is ("correction" not in train)


def test_a_plan_counts_what_lives_beside_a_program():
    config = small()
    model = on_one_device(config)
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(model.abstract()))
    assert planning._bytes_beside(config, model, "update") == size
    assert 3 * size <= planning._bytes_beside(config, model, "rollout") <= 3 * size + 64


def test_a_batch_that_does_not_divide_the_mesh_is_named(capsys):
    config = small()
    base = SimpleNamespace(model=SimpleNamespace(sharding=SimpleNamespace(size=lambda axis: 5)))
    arms.warn_of_replicas(config, base)
    err = capsys.readouterr().err
    assert "rollout.prompts: 2 rows do not divide" in err and "multiple of 5" in err and "evaluate.batch" in err
    assert "rollout.rows" not in err and "held_out" not in err
    rollout, evaluate = {"engine": "continuous", "rows": 7}, {"every": 1, "held_out": {"tasks": 3}}
    more = configuration.build({"job": "train", "rollout": rollout, "evaluate": evaluate})
    arms.warn_of_replicas(more, base)
    err = capsys.readouterr().err
    assert "rollout.rows: 7 rows" in err and "evaluate.held_out.tasks: 3 rows" in err


def test_a_warm_start_names_its_rows_that_do_not_divide_the_mesh(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(sharding, "build", lambda **mesh: SimpleNamespace(size=lambda axis: 5))
    monkeypatch.setattr(supervised, "run", lambda *arguments: {}["here it would begin"])
    config = configuration.build({"job": "pretrain", "supervised": {"rows": 8}})
    with pytest.raises(KeyError, match="begin"):
        pretrain._run(config, SimpleNamespace(work=SimpleNamespace(path=tmp_path, bucket=None), stop=None))
    assert "supervised.rows: 8 rows do not divide" in capsys.readouterr().err


def test_a_plan_that_does_not_fit_names_the_knob():
    config = configuration.build({"job": "plan", "model": {"remat": "none"}})
    figures = {"fits": 0.0, "needed_gib": 40.0, "available_gib": 15.75, "parameters": 1e9, "chips": 64.0}
    (line,) = planning.advice(config, {"update": figures})
    assert "40.0 GiB of 15.8" in line and "model.remat: full" in line
    config = configuration.build({"job": "plan", "model": {"remat": "full"}})
    (line,) = planning.advice(config, {"update": figures | {"parameters": 70e9}})
    assert "model.lora.rank" in line
    (line,) = planning.advice(config, {"rollout": figures})
    assert "rollout.prompts" in line


@pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="libtpu is not installed: pip install -e '.[tpu]'"
)
def test_a_small_step_compiles_for_a_tpu_and_fits(tmp_path):
    settings = [
        "plan.topology=v5e:2x2",
        "plan.programs=[update]",
        "mesh.fsdp=2",
        "mesh.tensor=2",
        f"work_dir={tmp_path}",
    ]
    settings += ["model.compute=bfloat16", "rollout.prompts=4", "rollout.max_prompt=128", "rollout.bucket=128"]
    settings += ["rollout.max_new=128"]
    command = [sys.executable, "-m", "semrep_jax.main", "--config", "configs/plan/qwen3_06b_v6e.yaml"]
    shape = ["model.shape.layers=2", "model.shape.dim=256", "model.shape.vocab=1024", "model.shape.ffn=512"]
    for setting in settings + shape:
        command += ["--set", setting]
    done = subprocess.run(
        command, capture_output=True, text=True, env={k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    )
    assert done.returncode == 0, done.stderr[-1500:]
    assert "fits" in done.stdout and "yes" in done.stdout and GIB
