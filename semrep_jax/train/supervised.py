"""The supervised warm start of a base (`job: pretrain`): next-token loss on the completions of packed pairs.

    python -m semrep_jax.main --config configs/pretrain_nano.yaml

Trains a tokenizer on the examples and a decoder from scratch, or a base further (`supervised.start: model`), and leaves
a model directory in Hugging Face layout.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from semrep_jax.core.bucket import Bucket
from semrep_jax.core.paths import expanded
from semrep_jax.core.peers import Peers
from semrep_jax.core.stop import Stop
from semrep_jax.core.workdir import write_atomically
from semrep_jax.data.loader import Blocks, Loader
from semrep_jax.data.packing import PackedBatch
from semrep_jax.data.settings import Start, SupervisedConfig
from semrep_jax.data.sources import Source, open_sources, shards_of
from semrep_jax.model import decoder, pretrained, tokenizer
from semrep_jax.model.decoder import ComputeConfig, Model, Shape
from semrep_jax.model.logprobs import token_logprobs
from semrep_jax.model.pretrained import PretrainedModel
from semrep_jax.model.settings import ModelConfig
from semrep_jax.model.sharding import Sharding
from semrep_jax.model.tokenizer import Tokenizer
from semrep_jax.tasks.generated.families import HELD_OUT_FAMILIES
from semrep_jax.tasks.generated.generator import TRAIN_KINDS, Generator
from semrep_jax.train import finite, loop
from semrep_jax.train.checkpoint import OTHER_MESH, MayChange, Restored
from semrep_jax.train.finite import Watch
from semrep_jax.train.loop import LoopSettings, StepResult
from semrep_jax.train.monitoring import Monitoring
from semrep_jax.train.optimiser import adamw, initial_state, rate, state_shardings
from semrep_jax.train.performance import Work, train_flops, utilisation
from semrep_jax.train.settings import NonFinite, Schedule

TOKENIZER_EXAMPLES = 3000
FIX = "lower supervised.learning_rate"  # of a step that comes to NaN


def _longer(was: Any, now: Any) -> str | None:
    longer = isinstance(was, int) and isinstance(now, int) and now > was
    return f"the learning rate follows supervised.schedule, or else one of {now} steps" if longer else None


MAY_CHANGE: MayChange = {"supervised.steps": _longer, **OTHER_MESH}


@dataclass(frozen=True)
class WarmStart:
    """The settings of a warm start. identity: flat, what a checkpoint must share to be gone on from. monitoring: who
    looks on."""

    seed: int
    model: ModelConfig
    supervised: SupervisedConfig
    identity: dict[str, Any]
    monitoring: Monitoring = field(default_factory=Monitoring)


def run(
    recipe: WarmStart, sharding: Sharding, directory: Path, stop: Stop, bucket: Bucket | None = None
) -> dict[str, Any]:
    """Train a base and export it. Returns the final metrics; raises Stopped after a SIGTERM, with everything saved.

    recipe: what is trained, on what and for how long. sharding: the devices it is spread over. directory: of tokenizer,
    checkpoints, metrics and the exported model. stop: asked between steps. bucket: that `directory` is a copy of.
    """
    setting = recipe.supervised
    generator = Generator(seed=recipe.seed)
    begun = _begun(recipe, sharding, generator, directory)
    model, own_tokenizer = begun.model, begun.tokenizer
    blocks = _blocks(recipe, own_tokenizer, generator, directory, stop.peers)
    training = _Supervised(recipe, model, begun.params, blocks)
    settings = LoopSettings(
        directory, recipe.identity, setting.checkpoint_every, setting.keep, MAY_CHANGE, recipe.monitoring, bucket
    )
    loop.run(training, "warm start", settings, stop)
    training.batches.close()
    pretrained.export(directory / setting.export, model, training.arrays["params"], own_tokenizer)
    return training.metrics


def _begun(recipe: WarmStart, sharding: Sharding, generator: Generator, directory: Path) -> PretrainedModel:
    """What is trained: `model.source` with its own tokenizer, or a new decoder with one trained on the examples."""
    compute = ComputeConfig.of(recipe.model)
    if recipe.supervised.start is Start.MODEL:
        base = pretrained.load(recipe.model.source, sharding, compute, recipe.seed)
        finite.require_finite(base.model, base.params, f"model.source {recipe.model.source}")
        return base
    trained_tokenizer = _tokenizer(generator, recipe, directory)
    model = decoder.build(_shape(recipe.model, trained_tokenizer), sharding, compute)
    return PretrainedModel(model, model.init(recipe.seed), trained_tokenizer)


class _Supervised:
    """The warm start as the loop sees it."""

    def __init__(self, recipe: WarmStart, model: Model, params: Any, blocks: Blocks):
        setting = self.setting = recipe.supervised
        self.model, self.sharding, self.total, self.done = model, model.sharding, setting.steps, 0
        steps = setting.schedule or setting.steps
        schedule = rate(Schedule.COSINE, setting.learning_rate, steps, setting.warmup)
        optimiser = adamw(schedule, setting.weight_decay, max_norm=1.0)
        self.arrays = initial_state(model, optimiser, params)
        self.local_rows = self.sharding.local_rows(setting.rows)
        self.batches = Loader(blocks, setting.rows, self.local_rows, setting.workers)
        self.update = _update(model, optimiser)
        self.watch = Watch(model, NonFinite.STOP, FIX)
        self.seconds = 0.0
        self.metrics: dict[str, Any] = {}

    def step(self) -> StepResult:
        """One update on one batch."""
        began, setting = time.perf_counter(), self.setting
        host = next(self.batches)
        batch = self.sharding.rows(host, self.local_rows[0], setting.rows)
        self.arrays, out = self.update(self.arrays, batch)
        out = jax.device_get(out)
        self.watch(self.done, out, self.arrays["params"])
        metrics: dict[str, Any] = {k: float(v) for k, v in out.items() if k != "norms"}
        took = time.perf_counter() - began
        self.done, self.seconds = self.done + 1, self.seconds + took
        metrics |= {"tokens_per_s": setting.rows * setting.row_length / took, "seconds": self.seconds}
        begin, end = self.local_rows
        flops = train_flops(self.model, _work(host)) * setting.rows / (end - begin)
        metrics |= utilisation(self.model, flops, took)
        metrics |= {f"dropped/{why}": float(count) for why, count in self.batches.dropped.items()}
        self.metrics = metrics
        return StepResult(metrics, note=f"loss {metrics['loss']:.3f}  {metrics['tokens_per_s']:.0f} tokens/s")

    def record(self) -> dict[str, Any]:
        """The state beside the arrays, as JSON."""
        return {"loader": self.batches.get_state(), "seconds": self.seconds, "metrics": self.metrics}

    def resume(self, restored: Restored) -> None:
        """Go on from a checkpoint."""
        self.done, self.arrays, self.seconds = restored.step, restored.state, restored.record["seconds"]
        self.metrics = restored.record.get("metrics", {})
        self.batches.set_state(restored.record["loader"])


def _blocks(
    recipe: WarmStart, trained_tokenizer: Tokenizer, generator: Generator, directory: Path, peers: Peers
) -> Blocks:
    """The mixed stream. One process tokenises the data sets, the others find them done."""
    setting = recipe.supervised
    cache = expanded(setting.cache) if setting.cache else directory / "tokens"

    def opened() -> list[Source]:
        return open_sources(setting, recipe.seed, trained_tokenizer, generator, cache)

    peers.run_on_all(lambda: opened() if peers.leader else None)
    sources = peers.run_on_all(opened)
    blocks = Blocks(sources, recipe.seed, setting.row_length, setting.block, setting.prompt_weight)
    peers.require_equal(json.dumps(blocks.fingerprint), "the data sets")
    return blocks


def _work(batch: PackedBatch[np.ndarray]) -> Work:
    """The tokens of packed rows, each in its own pair; the last of a pair predicts none."""
    real = batch.segments > 0
    follows = real[:, 1:] & (batch.segments[:, 1:] == batch.segments[:, :-1])
    return Work(batch.positions[real], int(follows.sum()))


def _update(model: Model, optimiser: Any) -> Any:
    def loss(params: Any, batch: PackedBatch[jax.Array]) -> tuple[jax.Array, jax.Array]:
        bound = model.bind(params)
        hidden = bound.hidden(batch.tokens, batch.positions, batch.segments)
        target, inside = batch.tokens[:, 1:], batch.segments[:, 1:] == batch.segments[:, :-1]
        weight = jnp.where(inside, batch.weight[:, 1:], 0.0)
        logp, _ = token_logprobs(hidden[:, :-1], bound.head(), target, chunk=bound.chunk)
        total = jnp.maximum(weight.sum(), 1.0)
        return -jnp.sum(logp * weight, where=weight > 0) / total, total

    def update(state: dict[str, Any], batch: PackedBatch[jax.Array]) -> tuple[dict[str, Any], dict[str, jax.Array]]:
        (value, total), grads = jax.value_and_grad(loss, has_aux=True)(state["params"], batch)
        updates, moments = optimiser.update(grads, state["optimiser"], state["params"])
        params = optax.apply_updates(state["params"], updates)
        metrics = {"loss": value, "weight": total, "grad_norm": optax.global_norm(grads)}
        metrics |= {"norms": {"gradient": finite.norms(grads), "update": finite.norms(updates)}}
        return {"params": params, "optimiser": moments}, metrics

    return jax.jit(update, donate_argnums=0, out_shardings=(state_shardings(model, optimiser), None))


def _tokenizer(generator: Generator, recipe: WarmStart, directory: Path) -> Tokenizer:
    """The run's tokenizer, kept for a resumed run: trained on examples of all families (texts only, no tests) and on
    the first records of each data set."""
    if (directory / "tokenizer.json").is_file():
        return tokenizer.load(directory)
    others = Generator(families=HELD_OUT_FAMILIES, kinds=TRAIN_KINDS, seed=generator.seed)

    def corpus() -> Iterator[str]:
        for index in range(TOKENIZER_EXAMPLES):
            example = (others if index % 10 == 0 else generator).example(index)
            yield example.instruction + "\n" + example.source + example.target
        for shards in shards_of(recipe.supervised):
            for record in islice(shards, TOKENIZER_EXAMPLES):
                yield "".join(record.get(part) or "" for part in ("instruction", "source", "rewrite", "target"))

    trained_tokenizer = tokenizer.train(corpus(), recipe.model.shape.vocab)
    directory.mkdir(parents=True, exist_ok=True)
    # every process of a run would write the same
    write_atomically(directory / "tokenizer.json", trained_tokenizer.backend.to_str(pretty=True))
    return trained_tokenizer


def _shape(setting: ModelConfig, trained_tokenizer: Tokenizer) -> Shape:
    """The decoder that `model.shape` describes, over the tokenizer's ids in whole rows of 64."""
    rows = -(-trained_tokenizer.vocab_size // 64) * 64
    return Shape(**setting.shape.model_dump() | {"vocab": rows})
