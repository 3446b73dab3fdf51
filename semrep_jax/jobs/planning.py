"""What `job: plan` computes: the training step and the rollout of a config, compiled for a TPU topology; whether they
fit, what bounds them.

figures = compile_programs(config)       # {"update": {"fits": 1.0, "needed_gib": 14.1, ...}, "rollout": {...}}
advice(config, figures)                  # a line for each program that does not fit: the knob that makes it
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from semrep_jax.core.progress import bar
from semrep_jax.jobs.config import Config
from semrep_jax.model import decoder
from semrep_jax.model.ahead import GIB, Chip, Compiled, compile_for, topology
from semrep_jax.model.decoder import ComputeConfig, Model, Shape
from semrep_jax.model.settings import Remat
from semrep_jax.model.sharding import Sharding
from semrep_jax.rollout.local import decode
from semrep_jax.train.batch import RolloutBatch, padded
from semrep_jax.train.optimiser import state_shardings
from semrep_jax.train.settings import KL, Correction
from semrep_jax.train.update import compiled_update, optimiser_of

Figures = dict[str, float]


def compile_programs(config: Config) -> dict[str, Figures]:
    """Figures of each program, per chip. Raises PlanError or ShardingError."""
    sharding, chip = topology(config.plan.topology, **config.mesh.model_dump())
    model = decoder.build(shape_of(config), sharding, ComputeConfig.of(config.model))
    made = {"update": _update, "rollout": _rollout}
    found: dict[str, Figures] = {}
    with bar("compiling", len(config.plan.programs)) as progress:
        for name in config.plan.programs:
            function, arguments, keywords, positions = made[name](config, model)
            compiled = compile_for(function, arguments, keywords)
            beside = _bytes_beside(config, model, name)
            found[name] = figures(compiled, chip, model, positions, sharding, train=name == "update", beside=beside)
            progress.advance(
                f"{name}: {(compiled.needed + beside) / GIB:.2f} GiB a chip, compiled in {compiled.seconds:.0f} s"
            )
    return found


def shape_of(config: Config) -> Shape:
    """The decoder that `model.shape` describes."""
    return Shape(**config.model.shape.model_dump())


def _abstract(tree: Any, shardings: Any) -> Any:
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree, shardings
    )


def _rows(sharding: Sharding, shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding.named("batch", shape=shape, name="rollout.prompts"))


def _update(config: Config, model: Model) -> tuple[Any, tuple[Any, ...], dict[str, Any], int]:
    """The training step of `trainer` on one batch of rollouts at their longest."""
    setting, sharding = config.rollout, model.sharding
    optimiser = optimiser_of(config.train)
    trained, frozen = model.split(model.abstract())
    _, of_frozen = model.split(model.shardings())
    moments = jax.eval_shape(optimiser.init, trained)
    state = _abstract({"params": trained, "optimiser": moments}, state_shardings(model, optimiser))
    g, p, t = setting.group, setting.max_prompt, setting.max_new
    b = padded(setting.prompts, config.train.micro_batch)
    compared = _rows(sharding, (b, g, t), jnp.float32)  # log-probs that the objective compares with
    batch = RolloutBatch(
        prompt=_rows(sharding, (b, p), jnp.int32),
        length=_rows(sharding, (b,), jnp.int32),
        completion=_rows(sharding, (b, g, t), jnp.int32),
        mask=_rows(sharding, (b, g, t), jnp.bool_),
        sampled=_rows(sharding, (b, g, t), jnp.float32),
        advantage=_rows(sharding, (b, g), jnp.float32),
        old=compared if config.train.correction is Correction.TIS else None,
        reference=compared if config.train.kl is not KL.NONE else None,
    )
    function = compiled_update(model, config.train, setting.temperature)
    return function, (state, _abstract(frozen, of_frozen), batch), {}, b * (p + g * t)


def _rollout(config: Config, model: Model) -> tuple[Any, tuple[Any, ...], dict[str, Any], int]:
    """Prefill and decode loop of `rollout.local` on one batch of prompts."""
    setting, sharding = config.rollout, model.sharding
    b, p = setting.prompts, setting.max_prompt
    key = jax.eval_shape(lambda: jax.random.key(0))
    alone = [jax.ShapeDtypeStruct(like.shape, like.dtype, sharding=sharding.named()) for like in (jnp.float32(0), key)]
    rows = [_rows(sharding, (b, p), jnp.int32), _rows(sharding, (b,), jnp.int32), _rows(sharding, (b,), jnp.bool_)]
    arguments = (_abstract(model.abstract(), model.shardings()), *rows, *alone)
    keywords = {"model": model, "group": setting.group, "max_new": setting.max_new, "end_ids": (0,), "pad_id": 0}
    return decode, arguments, keywords, b * (p + setting.group * setting.max_new)


def _bytes_beside(config: Config, model: Model, name: str) -> float:
    """Bytes a chip that live while a program runs and are none of its arguments: the base's own copy of what is
    trained, which the arms start from, and while the policy samples the moments of its optimiser."""
    trained, _ = model.split(model.abstract())
    of_trained, _ = model.split(model.shardings())
    beside = _bytes_a_chip(trained, of_trained)
    if name == "rollout":
        optimiser = optimiser_of(config.train)
        moments = jax.eval_shape(optimiser.init, trained)
        beside += _bytes_a_chip(moments, state_shardings(model, optimiser)["optimiser"])
    return beside


def _bytes_a_chip(tree: Any, shardings: Any) -> float:
    leaves = zip(jax.tree.leaves(tree), jax.tree.leaves(shardings), strict=True)
    return float(sum(math.prod(s.shard_shape(leaf.shape)) * leaf.dtype.itemsize for leaf, s in leaves))


def figures(
    compiled: Compiled,
    chip: Chip,
    model: Model,
    positions: int,
    sharding: Sharding,
    train: bool,
    beside: float = 0.0,
) -> Figures:
    """Per chip: GiB by kind, FLOPs, collective bytes, and the times (s) that each of them takes at least.

    `mfu_bound` is the model's FLOPs (6 N a position for training, 2 N for decoding) over what the chips could do in the
    longest of the times, as if all of them overlapped perfectly. compiled: the program of one chip. positions: tokens
    that it computes, of all chips together. sharding: whose mesh says how many chips there are. train: whether it is
    the update. beside: bytes that live beside the program, and count towards whether it fits.
    """
    chips = sharding.mesh.devices.size
    size = sum(math.prod(p.size) for p in decoder.layout(model.shape).values())
    useful = (6 if train else 2) * size * positions / chips
    touched = compiled.arguments + compiled.outputs + 2 * compiled.temporaries
    times = compiled.work.flops / chip.flops, touched / chip.bandwidth, compiled.work.wire / chip.interconnect
    found = {
        "fits": float(compiled.needed + beside <= chip.memory),
        "needed_gib": (compiled.needed + beside) / GIB,
        "beside_gib": beside / GIB,
        "available_gib": chip.memory / GIB,
        "arguments_gib": compiled.arguments / GIB,
        "outputs_gib": compiled.outputs / GIB,
        "temporaries_gib": compiled.temporaries / GIB,
        "flops": compiled.work.flops,
        "compute_s": times[0],
        "memory_s": times[1],
        "collectives_s": times[2],
        "collective_gib": compiled.work.wire / GIB,
        "mfu_bound": useful / chip.flops / max(*times, useful / chip.flops),
        "compile_s": compiled.seconds,
        "parameters": float(size),
        "chips": float(chips),
    }
    for one in compiled.work.collectives:
        found[f"collective/{one.kind} over {one.group}: runs"] = float(one.times)
        found[f"collective/{one.kind} over {one.group}: gib"] = one.wire / GIB
    return found


def advice(config: Config, found: dict[str, Figures]) -> list[str]:
    """For each program that does not fit: the knob most likely to make it."""
    lines = []
    for name, f in found.items():
        if f["fits"]:
            continue
        if name == "rollout":
            rollout = config.rollout
            knob = f"lower rollout.prompts ({rollout.prompts}) or rollout.group ({rollout.group})"
            knob += ", or model.weights: bfloat16"
        elif config.model.remat is not Remat.FULL:
            knob = f"set model.remat: full (now {config.model.remat})"
        elif (state := f["parameters"] * 12 / f["chips"] / GIB) > f["available_gib"] / 2 and not config.model.lora.rank:
            knob = f"weights and moments alone take {state:.1f} GiB a chip: use more chips, or set model.lora.rank"
        else:
            knob = f"lower rollout.prompts ({config.rollout.prompts})"
            knob += ", or move devices from mesh.data to mesh.fsdp or mesh.tensor"
        lines.append(f"{name} needs {f['needed_gib']:.1f} GiB of {f['available_gib']:.1f} a chip: {knob}")
    return lines
