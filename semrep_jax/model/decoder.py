"""A decoder of the Llama/Qwen shape in Flax nnx: RMSNorm, RoPE, grouped-query attention, SwiGLU, optional q/k norm.

Weights of all layers are stacked along a leading axis L and scanned; decoding slices them once and unrolls. There are
three ways through it, all over the same `_layer`: `hidden` (packed or padded sequences), `shared` (G completions of one
prompt, the prompt computed once) and `step` (one new token a row against the caches of `prefill`).
Axis letters: B batch, G group, T time, P prompt, V vocabulary, D model, N heads, K kv heads, H head size, F ffn, L layers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from semrep_jax.core.errors import SemRepError
from semrep_jax.model import adapters
from semrep_jax.model.adapters import Adapter, Parameter
from semrep_jax.model.attention import attend, attend_shared, by_head
from semrep_jax.model.settings import AttentionKind, ModelConfig, Remat
from semrep_jax.model.sharding import Sharding

Weights = dict[str, Any]
Attend = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


class ModelError(SemRepError):
    """A model's shape, files or inputs do not fit."""


class RopeScaling(NamedTuple):
    """Llama 3's stretching of the rotary wavelengths (transformers' `rope_type: llama3`)."""

    factor: float
    low: float
    high: float
    original: int


@dataclass(frozen=True)
class Shape:
    """Sizes and switches of a decoder (the field's names; Hugging Face's in `pretrained`). `context` is the longest it was made for."""

    vocab: int
    dim: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    rope_theta: float = 10_000.0
    norm_eps: float = 1e-6
    tied: bool = True
    qk_norm: bool = False
    qkv_bias: bool = False
    rope_scaling: RopeScaling | None = None
    context: int = 4096

    def __post_init__(self) -> None:
        if self.heads % self.kv_heads:
            raise ModelError(f"heads {self.heads} is no multiple of kv_heads {self.kv_heads}: change one of them")
        if self.head_dim % 2:
            raise ModelError(f"head_dim {self.head_dim} must be even for rotary embeddings")


def layout(shape: Shape) -> dict[str, Parameter]:
    """Every parameter of a decoder."""
    d, n, k, h, f, layers = shape.dim, shape.heads, shape.kv_heads, shape.head_dim, shape.ffn, shape.layers
    out = (2 * layers) ** -0.5
    table = {
        "embed_VD": ((shape.vocab, d), ("vocab", "embed"), 0.02),
        "final_norm_D": ((d,), ("embed",), -1.0),
        "attn_norm_LD": ((layers, d), ("layers", "embed"), -1.0),
        "q_LDNH": ((layers, d, n, h), ("layers", "embed", "heads", "head_dim"), d**-0.5),
        "k_LDKH": ((layers, d, k, h), ("layers", "embed", "kv_heads", "head_dim"), d**-0.5),
        "v_LDKH": ((layers, d, k, h), ("layers", "embed", "kv_heads", "head_dim"), d**-0.5),
        "o_LNHD": ((layers, n, h, d), ("layers", "heads", "head_dim", "embed"), (n * h) ** -0.5 * out),
        "ffn_norm_LD": ((layers, d), ("layers", "embed"), -1.0),
        "gate_LDF": ((layers, d, f), ("layers", "embed", "ffn"), d**-0.5),
        "up_LDF": ((layers, d, f), ("layers", "embed", "ffn"), d**-0.5),
        "down_LFD": ((layers, f, d), ("layers", "ffn", "embed"), f**-0.5 * out),
    }
    if not shape.tied:
        table["head_VD"] = ((shape.vocab, d), ("vocab", "embed"), d**-0.5)
    if shape.qk_norm:
        table["q_norm_LH"] = table["k_norm_LH"] = ((layers, h), ("layers", "head_dim"), -1.0)
    if shape.qkv_bias:
        table["q_bias_LNH"] = ((layers, n, h), ("layers", "heads", "head_dim"), 0.0)
        table["k_bias_LKH"] = table["v_bias_LKH"] = ((layers, k, h), ("layers", "kv_heads", "head_dim"), 0.0)
    return {name: Parameter(*entry) for name, entry in table.items()}


@dataclass(frozen=True)
class ComputeConfig:
    """How a decoder computes, whatever its shape: types of activations and stored weights, rematerialisation, attention, adapters."""

    compute: Any = jnp.float32
    weights: Any = jnp.float32
    remat: Remat = Remat.DOTS
    attention: AttentionKind = AttentionKind.AUTO
    adapter: Adapter | None = None

    @classmethod
    def of(cls, setting: ModelConfig) -> ComputeConfig:
        """What `config.model` asks for."""
        lora = setting.lora
        adapter = Adapter(lora.rank, lora.alpha, lora.quantise) if lora.rank else None
        return cls(jnp.dtype(setting.compute), jnp.dtype(setting.weights), setting.remat, setting.attention, adapter)


class Decoder(nnx.Module):
    """The parameters, declared once in `layout`, and the three ways through them."""

    def __init__(self, shape: Shape, setup: ComputeConfig, mesh: Mesh, rngs: nnx.Rngs):
        self.shape, self.setup, self.mesh = shape, setup, mesh
        adapter = setup.adapter
        for name, (size, _, std) in layout(shape).items():
            if std < 0:
                value = jnp.ones(size, setup.weights)
            else:
                value = (std * jax.random.normal(rngs.params(), size, jnp.float32)).astype(setup.weights)
            if adapter is not None and adapters.quantised(adapter) and name in adapters.PROJECTIONS:
                for part, codes in adapters.quantise(name, value, adapter).items():
                    setattr(self, name + part, nnx.Param(codes))
            else:
                setattr(self, name, nnx.Param(value))
        for name, (size, _, std) in adapters.layout(layout(shape), adapter).items():
            setattr(self, name, nnx.LoRAParam(std * jax.random.normal(rngs.params(), size, jnp.float32)))

    def _weights(self) -> Weights:
        """Every stacked weight [L, ...] as it is kept."""
        return {name: value[...] for name, value in vars(self).items() if isinstance(value, nnx.Param) and "_L" in name}

    def _ready(self, kept: Weights) -> Weights:
        """One layer's weights in the compute type: what was quantised is so no longer."""
        ready = adapters.dequantise(kept, self.setup.adapter)
        return {name: w.astype(self.setup.compute) for name, w in ready.items()}

    def layers(self) -> list[Weights]:
        """The weights of each layer, sliced once and with the adapters merged in (for the decode loop)."""
        kept = self._weights()
        each = (self._ready({n: w[i] for n, w in kept.items()}) for i in range(self.shape.layers))
        merged = [adapters.merge(w, self.setup.adapter) for w in each]
        return [adapters.turn(w) for w in merged] if self._on_cpu else merged

    @property
    def _on_cpu(self) -> bool:
        return self.mesh.devices.flat[0].platform == "cpu"

    @property
    def chunk(self) -> int:
        """Rows of logits at a time: few on a CPU, whose caches then hold them (an eighth of an update); many where products need them."""
        return 128 if self._on_cpu else 1024

    def head(self) -> jax.Array:
        """The output projection [V, D] in the compute type."""
        weight = self.embed_VD if self.shape.tied else self.head_VD
        return weight[...].astype(self.setup.compute)

    def _embed(self, tokens: jax.Array) -> jax.Array:
        return self.embed_VD[...][tokens].astype(self.setup.compute)

    def final(self, h: jax.Array) -> jax.Array:
        """The last norm, [..., D]."""
        return _rms_norm(h, self.final_norm_D[...], self.shape.norm_eps)

    def _layer(self, w: Weights, h: jax.Array, position: jax.Array, attention: Attend) -> jax.Array:
        """One block on h [..., T, D] at positions [..., T]; `attention(q, k, v)` decides what is looked at."""
        eps, adapter = self.shape.norm_eps, self.setup.adapter
        x = _rms_norm(h, w["attn_norm_LD"], eps)
        q, k, v = adapters.project(x, w, adapters.QKV, adapter)
        if self.shape.qkv_bias:
            q, k, v = q + w["q_bias_LNH"], k + w["k_bias_LKH"], v + w["v_bias_LKH"]
        if self.shape.qk_norm:
            q, k = _rms_norm(q, w["q_norm_LH"], eps), _rms_norm(k, w["k_norm_LH"], eps)
        mixed = attention(_rope(q, position, self.shape), _rope(k, position, self.shape), v)
        h = h + adapters.project(mixed, w, adapters.OUT, adapter)[0]
        x = _rms_norm(h, w["ffn_norm_LD"], eps)
        gate, up = adapters.project(x, w, adapters.GATE_UP, adapter)
        return h + adapters.project(jax.nn.silu(gate) * up, w, adapters.DOWN, adapter)[0]

    def _scan(self, body: Callable[[Any, Weights], tuple[Any, Any]], carry: Any) -> tuple[Any, Any]:
        def ready(carry: Any, kept: Weights) -> tuple[Any, Any]:
            return body(carry, self._ready(kept))

        return jax.lax.scan(checkpointed(ready, self.setup.remat), carry, self._weights())

    def hidden(self, tokens_BT: jax.Array, positions_BT: jax.Array, segments_BT: jax.Array) -> jax.Array:
        """Final hidden states [B, T, D]. A token sees earlier ones of its own segment; segment 0 is padding."""
        kind, mesh = self.setup.attention, self.mesh

        def body(h: jax.Array, w: Weights) -> tuple[jax.Array, None]:
            return self._layer(w, h, positions_BT, lambda q, k, v: attend(q, k, v, segments_BT, kind, mesh)), None

        h, _ = self._scan(body, self._embed(tokens_BT))
        return self.final(h)

    def _prompt_layer(self, w: Weights, h: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        size = h.shape[1]
        position = jnp.broadcast_to(jnp.arange(size), h.shape[:2])
        kept: list[jax.Array] = []

        def attention(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
            kept.extend((by_head(k), by_head(v)))
            return attend(q, k, v, None, self.setup.attention, self.mesh)

        h = self._layer(w, h, position, attention)
        return h, (kept[0], kept[1])

    def prefill(self, prompt_BP: jax.Array, length_B: jax.Array) -> tuple[jax.Array, list[tuple[jax.Array, jax.Array]]]:
        """The prompts, padded on the right: last token's hidden state [B, D] and each layer's keys and values [B, K, P, H]."""
        h = self._embed(prompt_BP)
        caches = []
        for w in self.layers():
            h, cache = self._prompt_layer(w, h)
            caches.append(cache)
        last = jnp.take_along_axis(h, (length_B - 1)[:, None, None], axis=1)[:, 0]
        return self.final(last), caches

    def step(
        self,
        weights: list[Weights],
        token_BG: jax.Array,
        t: jax.Array,
        length_B: jax.Array,
        prompts: list[tuple[jax.Array, jax.Array]],
        caches: list[tuple[jax.Array, jax.Array]],
    ) -> tuple[jax.Array, list[tuple[jax.Array, jax.Array]]]:
        """Token number t of every completion: its hidden state [B, G, D] and the caches [B, G, K, T, H] with it written in."""
        h = self._embed(token_BG)[:, :, None]
        position = jnp.broadcast_to((length_B + t)[:, None, None], (*token_BG.shape, 1))
        mask_BP = jnp.arange(prompts[0][0].shape[2]) < length_B[:, None]
        mask_TS = (jnp.arange(caches[0][0].shape[3]) <= t)[None]
        written = []
        for w, (prompt_k, prompt_v), (cache_k, cache_v) in zip(weights, prompts, caches, strict=True):

            def attention(
                q: jax.Array, k: jax.Array, v: jax.Array,
                pk: jax.Array = prompt_k, pv: jax.Array = prompt_v, ck: jax.Array = cache_k, cv: jax.Array = cache_v,
            ) -> jax.Array:  # fmt: skip
                ck = jax.lax.dynamic_update_slice_in_dim(ck, by_head(k), t, axis=3)
                cv = jax.lax.dynamic_update_slice_in_dim(cv, by_head(v), t, axis=3)
                written.append((ck, cv))
                return attend_shared(q, pk, pv, mask_BP, ck, cv, mask_TS)

            h = self._layer(w, h, position, attention)
        return self.final(h[:, :, 0]), written

    def shared(self, prompt_BP: jax.Array, length_B: jax.Array, completion_BGT: jax.Array) -> jax.Array:
        """Hidden states [B, G, T, D] that predict each completion token, the shared prompt computed once.

        Position t holds the state *before* completion token t: the prompt's last token for t = 0. Equal, up to rounding,
        to running each prompt + completion on its own, for about (P + G T) / (G (P + T)) of the work.
        """
        batch, group, size = completion_BGT.shape
        position = jnp.broadcast_to(length_B[:, None, None] + jnp.arange(size), completion_BGT.shape)
        mask_BP = jnp.arange(prompt_BP.shape[1]) < length_B[:, None]
        mask_TS = jnp.tril(jnp.ones((size, size), bool))

        def body(carry: tuple[jax.Array, jax.Array], w: Weights) -> tuple[tuple[jax.Array, jax.Array], None]:
            prompt, own = carry
            prompt, (pk, pv) = self._prompt_layer(w, prompt)
            own = self._layer(
                w, own, position, lambda q, k, v: attend_shared(q, pk, pv, mask_BP, by_head(k), by_head(v), mask_TS)
            )
            return (prompt, own), None

        (prompt, own), _ = self._scan(body, (self._embed(prompt_BP), self._embed(completion_BGT)))
        last = jnp.take_along_axis(prompt, (length_B - 1)[:, None, None], axis=1)
        before = jnp.broadcast_to(last[:, None], (batch, group, 1, last.shape[-1]))
        return self.final(jnp.concatenate([before, own[:, :, :-1]], axis=2))


def checkpointed(body: Callable[..., Any], remat: Remat) -> Callable[..., Any]:
    """`body` under a rematerialisation policy: keep all, keep the outputs of matrix products, or keep nothing."""
    if remat is Remat.NONE:
        return body
    policy = jax.checkpoint_policies.dots_with_no_batch_dims_saveable if remat is Remat.DOTS else None
    return jax.checkpoint(body, policy=policy, prevent_cse=False)  # under scan nothing could be merged


def _rms_norm(x: jax.Array, scale: jax.Array, eps: float) -> jax.Array:
    y = x.astype(jnp.float32)
    y = y * jax.lax.rsqrt(jnp.mean(y * y, axis=-1, keepdims=True) + eps)
    return (y * scale.astype(jnp.float32)).astype(x.dtype)


def _rope(x: jax.Array, position: jax.Array, shape: Shape) -> jax.Array:
    """Rotate the halves of x [..., T, heads, H] by its positions [..., T] (the convention of Hugging Face's Llama)."""
    angle = position[..., None, None].astype(jnp.float32) * _frequencies(shape)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    a, b = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1).astype(x.dtype)


def _frequencies(shape: Shape) -> np.ndarray:
    """Radians a position for each pair of dimensions [H/2]; long wavelengths are stretched where the shape says so (Llama 3)."""
    half = shape.head_dim // 2
    frequency = shape.rope_theta ** (-np.arange(half) / half)
    if shape.rope_scaling is not None:
        factor, low, high, original = shape.rope_scaling
        turns = original * frequency / (2 * np.pi)  # over the original context
        blend = np.clip((turns - low) / (high - low), 0.0, 1.0)
        frequency = frequency * (blend + (1 - blend) / factor)
    return frequency.astype(np.float32)


@dataclass(frozen=True)
class Model:
    """A decoder split into its static graph and its parameters: what jitted functions close over and what they take."""

    graph: Any
    shape: Shape
    sharding: Sharding
    setup: ComputeConfig

    def bind(self, params: Any) -> Decoder:
        """The module over `params` (inside or outside of jit)."""
        return nnx.merge(self.graph, params)

    def split(self, params: Any) -> tuple[Any, Any]:
        """(what is trained, what is not): everything and nothing, or the adapters and their base."""
        if self.setup.adapter is None:
            return params, nnx.State({})
        return nnx.split_state(params, nnx.LoRAParam, ...)

    def join(self, trained: Any, frozen: Any) -> Any:
        """The inverse of `split`."""
        return nnx.merge_state(trained, frozen)

    def abstract(self) -> Any:
        """The parameter tree's shapes and types, without arrays."""
        return jax.eval_shape(
            lambda: nnx.state(Decoder(self.shape, self.setup, self.sharding.mesh, nnx.Rngs(params=0)))
        )

    def shardings(self) -> Any:
        """The sharding of every parameter, as a tree like `abstract`. Raises ShardingError where an axis does not divide."""
        table = layout(self.shape)
        table |= adapters.layout(table, self.setup.adapter) | adapters.quantised_layout(table, self.setup.adapter)

        def of(path: Any, leaf: Any) -> Any:
            name = next(str(getattr(p, "key", getattr(p, "name", ""))) for p in path)
            return self.sharding.named(*table[name].axes, shape=leaf.shape, name=name)

        return jax.tree_util.tree_map_with_path(of, self.abstract())

    def init(self, seed: int) -> Any:
        """Random parameters, each born on its own shard (never whole on one device)."""
        make = lambda: nnx.state(Decoder(self.shape, self.setup, self.sharding.mesh, nnx.Rngs(params=seed)))  # noqa: E731
        return jax.jit(make, out_shardings=self.shardings())()


def build(shape: Shape, sharding: Sharding, setup: ComputeConfig | None = None) -> Model:
    """A model without parameters."""
    setup = setup or ComputeConfig()
    graph, _ = nnx.split(nnx.eval_shape(lambda: Decoder(shape, setup, sharding.mesh, nnx.Rngs(params=0))))
    return Model(graph, shape, sharding, setup)
