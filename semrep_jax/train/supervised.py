"""The supervised warm start of a base (`job: pretrain`): next-token loss on the completions of packed pairs.

    python -m semrep_jax.main --config configs/pretrain_nano.yaml

Trains a tokenizer on the examples, a decoder from scratch, and leaves a model directory in Hugging Face layout.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax

from semrep_jax.core.peers import Peers
from semrep_jax.core.progress import bar
from semrep_jax.core.stop import Stop, Stopped
from semrep_jax.core.workdir import write_atomically
from semrep_jax.data.loader import Blocks, Loader
from semrep_jax.data.packing import PackedBatch
from semrep_jax.data.sources import Source, open_sources, shards_of
from semrep_jax.jobs.config import Config
from semrep_jax.model import decoder, pretrained, sharding, tokenizer
from semrep_jax.model.decoder import ComputeConfig, Model, Shape
from semrep_jax.model.logprobs import token_logprobs
from semrep_jax.tasks.generated.families import HELD_OUT_FAMILIES
from semrep_jax.tasks.generated.generator import TRAIN_KINDS, Generator
from semrep_jax.train.checkpoint import Checkpoints
from semrep_jax.train.metrics import Recorder
from semrep_jax.train.optimiser import adamw, initial_state, state_shardings

CORPUS = 3000


def run(config: Config, directory: Path, stop: Stop) -> dict[str, Any]:
    """Train a base and export it. Returns the final metrics; raises Stopped after a SIGTERM."""
    setting = config.supervised
    generator = Generator(seed=config.seed)
    words = _tokenizer(generator, config, directory)
    place = sharding.build(**config.mesh.model_dump())
    model = decoder.build(_shape(config, words), place, ComputeConfig.of(config.model))
    params = model.init(config.seed)
    optimiser = adamw(setting.learning_rate, setting.steps, setting.warmup, setting.weight_decay, max_norm=1.0)
    state = initial_state(model, optimiser, params)
    blocks = _blocks(config, words, generator, directory, stop.peers)
    share = place.local_rows(setting.rows)
    batches = Loader(blocks, setting.rows, share, setting.workers)
    saved = Checkpoints(directory / "checkpoints", config.comparable(), setting.keep)
    first, seconds = 0, 0.0
    if (restored := saved.restore(state)) is not None:
        first, state, seconds = restored.step, restored.state, restored.record["seconds"]
        batches.set_state(restored.record["loader"])
    update = _update(model, optimiser)
    recorder = Recorder(directory, first, stop.peers.leader)
    metrics: dict[str, Any] = {}
    with bar("warm start", setting.steps, first) as progress:
        for step in range(first, setting.steps):
            began = time.perf_counter()
            batch = next(batches)
            state, out = update(state, place.rows(batch, share[0], setting.rows))
            out = {k: float(v) for k, v in out.items()}
            seconds += (took := time.perf_counter() - began)
            metrics = out | {"tokens_per_s": setting.rows * setting.row_length / took, "seconds": seconds}
            metrics |= {f"dropped/{why}": float(count) for why, count in batches.dropped.items()}
            recorder.write(step, metrics)
            progress.advance(f"loss {out['loss']:.3f}  {metrics['tokens_per_s']:.0f} tokens/s")
            done, ending = step + 1, stop.wanted
            if done % setting.checkpoint_every == 0 or done == setting.steps or ending:
                saved.save(done, state, {"loader": batches.get_state(), "seconds": seconds})
            if ending and done < setting.steps:
                saved.close()
                raise Stopped(f"stopped after step {done} of {setting.steps}; the same command goes on from there")
    batches.close()
    saved.close()
    recorder.close()
    pretrained.export(directory / setting.export, model, state["params"], words)
    return metrics


def _blocks(config: Config, words: tokenizer.Tokenizer, generator: Generator, directory: Path, peers: Peers) -> Blocks:
    """The mixed stream. One process tokenises the data sets, the others find them done."""
    setting = config.supervised
    cache = Path(setting.cache) if setting.cache else directory / "tokens"

    def opened() -> list[Source]:
        return open_sources(setting, config.seed, words, generator, cache)

    peers.run_on_all(lambda: opened() if peers.leader else None)
    blocks = Blocks(peers.run_on_all(opened), config.seed, setting.row_length, setting.block, setting.prompt_weight)
    peers.require_equal(json.dumps(blocks.fingerprint), "the data sets")
    return blocks


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
        return {"params": params, "optimiser": moments}, {
            "loss": value,
            "weight": total,
            "grad_norm": optax.global_norm(grads),
        }

    return jax.jit(update, donate_argnums=0, out_shardings=(state_shardings(model, optimiser), None))


def _tokenizer(generator: Generator, config: Config, directory: Path) -> tokenizer.Tokenizer:
    """The run's tokenizer, trained on examples of all families (texts only, no tests) and on the first records of each data set, and kept
    for a resumed run."""
    if (directory / "tokenizer.json").is_file():
        return tokenizer.load(directory)
    others = Generator(families=HELD_OUT_FAMILIES, kinds=TRAIN_KINDS, seed=generator.seed)

    def corpus() -> Iterator[str]:
        for index in range(CORPUS):
            example = (others if index % 10 == 0 else generator).example(index)
            yield example.instruction + "\n" + example.source + example.target
        for shards in shards_of(config.supervised):
            for record in islice(shards, CORPUS):
                yield "".join(record.get(part) or "" for part in ("instruction", "source", "rewrite", "target"))

    words = tokenizer.train(corpus(), config.model.shape.vocab)
    directory.mkdir(parents=True, exist_ok=True)
    write_atomically(
        directory / "tokenizer.json", words.backend.to_str(pretty=True)
    )  # every process of a run would write the same
    return words


def _shape(config: Config, words: tokenizer.Tokenizer) -> Shape:
    sizes = config.model.shape
    rows = -(-words.vocab_size // 64) * 64
    return Shape(**sizes.model_dump() | {"vocab": rows})
