"""A decoder of the Llama/Qwen shape in Flax nnx: RMSNorm, RoPE, grouped-query attention, SwiGLU, optional q/k norm.

    model = build(shape, sharding)
    params = model.init(seed=0)
    hidden_BTD = model.bind(params).hidden(tokens_BT, positions_BT, segments_BT)

Weights of all layers are stacked along a leading axis L and scanned; decoding slices them once and unrolls. There are
three ways through it, all over the same `_layer`: `hidden` (packed or padded sequences), `shared` (G completions of
one prompt, the prompt computed once) and `step` (one new token a row against the caches of `prefill`, or of `extend`,
which reads a prompt in pieces). Axis letters: B batch, G group, T time, P prompt, V vocabulary, D model, N heads, K
kv heads, H head size, F ffn, L layers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from semrep_jax.model import adapters, families, rope
from semrep_jax.model.adapters import Adapter
from semrep_jax.model.attention import Cache, Window, attend, attend_cached, attend_chunk, attend_shared, by_head
from semrep_jax.model.cpu import cached, library, panels
from semrep_jax.model.cpu.panels import Panels
from semrep_jax.model.settings import AttentionKind, DecodeWeights, ModelConfig, Remat
from semrep_jax.model.shape import PARAMETERS, ModelError, Parameter, Shape, layout
from semrep_jax.model.sharding import Sharding

Weights = dict[str, Any]
Attend = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]

# Rows of logits at a time: few on a CPU, whose caches then hold them (an eighth of an update), many elsewhere.
CPU_CHUNK = 128
CHUNK = 1024
UNBOUNDED = np.iinfo(np.int32).max  # the window of a layer that sees everything, beside layers that don't


@dataclass(frozen=True)
class ComputeConfig:
    """How a decoder computes, whatever its shape.

    compute: dtype of activations and matrix products. weights: dtype that the weights are kept in. remat: what the
    backward pass computes again. attention: who computes self-attention. adapter: LoRA adapters, or None to train
    every weight. decode_weights: what the weights are kept as while decoding.
    """

    compute: Any = jnp.float32
    weights: Any = jnp.float32
    remat: Remat = Remat.DOTS
    attention: AttentionKind = AttentionKind.AUTO
    adapter: Adapter | None = None
    decode_weights: DecodeWeights = DecodeWeights.SAME

    @classmethod
    def of(cls, setting: ModelConfig) -> ComputeConfig:
        """What the section `model` of a config asks for."""
        lora = setting.lora
        adapter = Adapter(lora.rank, lora.alpha, lora.quantise) if lora.rank else None
        return cls(
            jnp.dtype(setting.compute),
            jnp.dtype(setting.weights),
            setting.remat,
            setting.attention,
            adapter,
            setting.decode_weights,
        )


def whole_layout(shape: Shape, adapter: Adapter | None) -> dict[str, Parameter]:
    """Every parameter by name: the decoder's, the adapters', and the codes and scales of quantised projections."""
    table = layout(shape)
    return table | adapters.layout(table, adapter) | adapters.quantised_layout(table, adapter)


def decay_mask(params: Any) -> Any:
    """Which of `params` (all of a decoder's, or a part) weight decay applies to: a tree like it, of booleans."""
    without_decay = {name for name, declared in PARAMETERS.items() if not declared.decays}
    return jax.tree_util.tree_map_with_path(lambda path, _: name_at(path) not in without_decay, params)


def name_at(path: tuple[Any, ...]) -> str:
    """The parameter's name in the path of a leaf."""
    return str(getattr(path[0], "key", getattr(path[0], "name", "")))


def _start(parameter: Parameter, rngs: nnx.Rngs, dtype: Any) -> jax.Array:
    if parameter.std is None:
        return jnp.ones(parameter.size, dtype)
    return (parameter.std * jax.random.normal(rngs.params(), parameter.size, jnp.float32)).astype(dtype)


class Decoder(nnx.Module):
    """The parameters, as `layout` declares them, and the three ways through them."""

    def __init__(self, shape: Shape, compute_config: ComputeConfig, mesh: Mesh, rngs: nnx.Rngs):
        self.shape, self.compute_config, self.mesh = shape, compute_config, mesh
        adapter, dtype = compute_config.adapter, compute_config.weights
        table = layout(shape)
        for name, parameter in table.items():
            value = _start(parameter, rngs, dtype)
            if adapter is not None and adapters.is_quantised(adapter) and parameter.inputs:
                for part, codes in adapters.quantise(name, value, adapter).items():
                    setattr(self, part, nnx.Param(codes))
            else:
                setattr(self, name, nnx.Param(value))
        for name, parameter in adapters.layout(table, adapter).items():
            setattr(self, name, nnx.LoRAParam(_start(parameter, rngs, jnp.float32)))

    def _stacked(self) -> Weights:
        """Every stacked weight [L, ...] as it is kept."""
        table = whole_layout(self.shape, self.compute_config.adapter)
        return {name: value[...] for name, value in vars(self).items() if name in table and table[name].stacked}

    def _ready(self, kept: Weights) -> Weights:
        """One layer's weights in the compute dtype, dequantised."""
        ready = adapters.dequantise(kept, self.compute_config.adapter)
        return {name: w.astype(self.compute_config.compute) for name, w in ready.items()}

    def layers(self) -> list[Weights]:
        """The weights of each layer, sliced once and with the adapters merged in (for the decode loop)."""
        kept = self._stacked()
        each = (self._ready({name: w[i] for name, w in kept.items()}) for i in range(self.shape.layers))
        merged = [adapters.merge(w, self.compute_config.adapter) for w in each]
        return [adapters.fuse_projections(w, self._panels) for w in merged] if self._on_cpu else merged

    def output(self) -> Panels | jax.Array:
        """The output projection as the decode loop reads it."""
        return self.head() if self._panels is None else panels.pack(self.head(), self._panels, turned=True)

    @property
    def _on_cpu(self) -> bool:
        return self.mesh.devices.flat[0].platform == "cpu"

    @property
    def _panels(self) -> DecodeWeights | None:
        """What the panels of the decode loop hold; None where it has none."""
        return self.compute_config.decode_weights if has_kernels(self.mesh) else None

    @property
    def chunk(self) -> int:
        """Rows of logits at a time."""
        return CPU_CHUNK if self._on_cpu else CHUNK

    def head(self) -> jax.Array:
        """The output projection [V, D] in the compute dtype."""
        weight = self.embed_VD if self.shape.tied else self.head_VD
        return weight[...].astype(self.compute_config.compute)

    def _embed(self, tokens: jax.Array) -> jax.Array:
        return self.embed_VD[...][tokens].astype(self.compute_config.compute)

    def final(self, h: jax.Array) -> jax.Array:
        """The last norm of hidden states [..., D]."""
        return _rms_norm(h, self.final_norm_D[...], self.shape.norm_eps)

    def _layer(self, w: Weights, h: jax.Array, position: jax.Array, attention: Attend) -> jax.Array:
        """One block on h [..., T, D] at positions [..., T]; `attention(q, k, v)` decides what is looked at."""
        eps, adapter = self.shape.norm_eps, self.compute_config.adapter
        x = _rms_norm(h, w["attn_norm_LD"], eps)
        q, k, v = adapters.project(x, w, adapters.QKV, adapter)
        if self.shape.qkv_bias:
            q, k, v = q + w["q_bias_LNH"], k + w["k_bias_LKH"], v + w["v_bias_LKH"]
        if self.shape.qk_norm:
            q, k = _rms_norm(q, w["q_norm_LH"], eps), _rms_norm(k, w["k_norm_LH"], eps)
        mixed = attention(_rope(q, position, self.shape), _rope(k, position, self.shape), v)
        out = adapters.project(mixed, w, adapters.OUT, adapter)[0]
        h = h + (out + w["o_bias_LD"] if self.shape.out_bias else out)
        x = _rms_norm(h, w["ffn_norm_LD"], eps)
        gate, up = adapters.project(x, w, adapters.GATE_UP, adapter)
        return h + adapters.project(jax.nn.silu(gate) * up, w, adapters.DOWN, adapter)[0]

    def _scan(self, body: Callable[[Any, Weights, Window], tuple[Any, Any]], carry: Any) -> tuple[Any, Any]:
        """`body(carry, weights, window)` over the layers."""

        def ready(carry: Any, layer: tuple[Weights, Window]) -> tuple[Any, Any]:
            kept, window = layer
            return body(carry, self._ready(kept), window)

        windows = self.shape.windows
        bounds_L = jnp.array([UNBOUNDED if w is None else w for w in windows], jnp.int32) if windows else None
        return jax.lax.scan(checkpointed(ready, self.compute_config.remat), carry, (self._stacked(), bounds_L))

    def _window(self, layer: int) -> int | None:
        """How many tokens back a layer sees; None for all."""
        return self.shape.windows[layer] if self.shape.windows else None

    def _check_length(self, length: int) -> None:
        """Raise ModelError where the rotary scaling can't compute texts of `length` tokens, padding included."""
        if self.shape.rope_scaling is not None:
            self.shape.rope_scaling.check(length, self.shape.context)

    def hidden(self, tokens_BT: jax.Array, positions_BT: jax.Array, segments_BT: jax.Array) -> jax.Array:
        """Final hidden states [B, T, D] of packed or padded sequences.

        tokens_BT: ids. positions_BT: each token's place in its own text. segments_BT: a token sees the earlier ones
        of its own segment; segment 0 is padding.
        """
        self._check_length(tokens_BT.shape[1])
        kind, mesh = self.compute_config.attention, self.mesh

        def body(h: jax.Array, w: Weights, window: Window) -> tuple[jax.Array, None]:
            def attention(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
                return attend(q, k, v, segments_BT, kind, mesh, window)

            return self._layer(w, h, positions_BT, attention), None

        h, _ = self._scan(body, self._embed(tokens_BT))
        return self.final(h)

    def _prompt_layer(self, w: Weights, h: jax.Array, window: Window) -> tuple[jax.Array, jax.Array, jax.Array]:
        """One block on the prompts' h [B, P, D], and the keys and values [B, K, P, H] that completions look at."""
        size = h.shape[1]
        position = jnp.broadcast_to(jnp.arange(size), h.shape[:2])
        kept: list[jax.Array] = []

        def attention(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
            kept.extend((by_head(k), by_head(v)))
            return attend(q, k, v, None, self.compute_config.attention, self.mesh, window)

        h = self._layer(w, h, position, attention)
        return h, kept[0], kept[1]

    def prefill(self, prompt_BP: jax.Array, length_B: jax.Array) -> tuple[jax.Array, list[Cache]]:
        """Prompts padded on the right, and their lengths, before decoding.

        Returns the hidden state of each prompt's last token [B, D] and each layer's keys [B, K, H, P] and values [B, K,
        P, H].
        """
        self._check_length(prompt_BP.shape[1])
        h = self._embed(prompt_BP)
        caches = []
        for layer, w in enumerate(self.layers()):
            h, keys, values = self._prompt_layer(w, h, self._window(layer))
            caches.append((jnp.swapaxes(keys, -1, -2), values))
        last = jnp.take_along_axis(h, (length_B - 1)[:, None, None], axis=1)[:, 0]
        return self.final(last), caches

    def extend(
        self, weights: list[Weights], tokens_BC: jax.Array, start: jax.Array, caches: list[Cache]
    ) -> tuple[jax.Array, list[Cache]]:
        """C more tokens of each prompt: a long one is read in pieces, and something else is done in between.

        weights: of each layer, from `layers`. tokens_BC: the ids, the last piece padded on the right. start: the place
        of the first, a scalar. caches: of each layer keys [B, K, H, P] and values [B, K, P, H] of the tokens before it.
        Returns final hidden states [B, C, D] and the caches with these tokens' keys and values written in.
        """
        batch, size = tokens_BC.shape
        places_P = jnp.arange(caches[0][1].shape[2])
        self._check_length(places_P.size)
        position = jnp.broadcast_to(start + jnp.arange(size), (batch, size))
        seen_BCP = places_P <= position[..., None]
        written: list[Cache] = []

        def looking_at(cache: Cache, window: int | None) -> Attend:
            near = seen_BCP if window is None else seen_BCP & (position[..., None] - places_P < window)

            def attention(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
                keys = _written(cache[0], jnp.moveaxis(k, 1, 3), start, axis=3)
                written.append((keys, _written(cache[1], by_head(v), start, axis=2)))
                return attend_chunk(q, written[-1], near)

            return attention

        h = self._embed(tokens_BC)
        for layer, (w, cache) in enumerate(zip(weights, caches, strict=True)):
            h = self._layer(w, h, position, looking_at(cache, self._window(layer)))
        return self.final(h), written

    def step(
        self,
        weights: list[Weights],
        token_BG: jax.Array,
        t: jax.Array,
        length_B: jax.Array,
        prompts: list[Cache],
        caches: list[Cache],
        live_BG: jax.Array | None = None,
    ) -> tuple[jax.Array, list[Cache]]:
        """One more token of every completion.

        weights: of each layer, from `layers`. token_BG: the ids. t: the token's number, a scalar, or [B] where each
        prompt's completions have their own. length_B, prompts: lengths of the prompts, and what `prefill` gave. caches:
        keys [B, G, K, H, T] and values [B, G, K, T, H] of the tokens before t. live_BG: completions that have not
        ended; what comes out of the others means nothing. Returns the tokens' hidden states [B, G, D] and the caches
        with their keys and values written in.
        """
        places_P, places_S = jnp.arange(prompts[0][1].shape[2]), jnp.arange(caches[0][1].shape[3])
        self._check_length(places_P.size + places_S.size)
        h = self._embed(token_BG)[:, :, None]
        t_B = jnp.broadcast_to(t, length_B.shape)
        position = jnp.broadcast_to((length_B + t_B)[:, None, None], (*token_BG.shape, 1))
        whole_BP, whole_BS = places_P < length_B[:, None], places_S <= t_B[:, None]
        written: list[Cache] = []

        def looking_at(prompt: Cache, own: Cache, window: int | None) -> Attend:
            mask_BP, mask_BS = whole_BP, whole_BS
            if window is not None:
                mask_BP &= (length_B + t_B)[:, None] - places_P < window
                mask_BS &= t_B[:, None] - places_S < window

            def attention(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
                keys = _written(own[0], jnp.moveaxis(k, 2, 4), t, axis=4)
                values = _written(own[1], by_head(v), t, axis=3)
                written.append((keys, values))
                q_BGNH, caches = q[:, :, 0], (keys, values)
                if self._panels is not None:
                    return cached.attend(q_BGNH, prompt, mask_BP, caches, mask_BS, live_BG)[:, :, None]
                return attend_cached(q_BGNH, prompt, mask_BP, caches, mask_BS, self._on_cpu)[:, :, None]

            return attention

        if live_BG is not None:
            weights = [adapters.of_rows(w, live_BG) for w in weights]
        for layer, (w, prompt, own) in enumerate(zip(weights, prompts, caches, strict=True)):
            h = self._layer(w, h, position, looking_at(prompt, own, self._window(layer)))
        return self.final(h[:, :, 0]), written

    def shared(self, prompt_BP: jax.Array, length_B: jax.Array, completion_BGT: jax.Array) -> jax.Array:
        """Hidden states [B, G, T, D] that predict each completion token, the shared prompt computed once.

        prompt_BP: ids, padded on the right. length_B: their lengths. completion_BGT: ids. Position t holds the state
        *before* completion token t: the prompt's last token for t = 0. Equal, up to rounding, to running each prompt +
        completion on its own, for about (P + G T) / (G (P + T)) of the work.
        """
        batch, group, size = completion_BGT.shape
        self._check_length(prompt_BP.shape[1] + size)
        position = jnp.broadcast_to(length_B[:, None, None] + jnp.arange(size), completion_BGT.shape)
        places_P, places_T = jnp.arange(prompt_BP.shape[1]), jnp.arange(size)
        whole_BP = places_P < length_B[:, None]
        whole_TT = jnp.tril(jnp.ones((size, size), bool))

        def body(carry: Any, w: Weights, window: Window) -> tuple[tuple[jax.Array, jax.Array], None]:
            prompt, own = carry
            prompt, pk, pv = self._prompt_layer(w, prompt, window)
            prompt_mask, mask_TT = whole_BP, whole_TT
            if window is not None:
                prompt_mask = whole_BP[:, None] & (position[:, 0, :, None] - places_P < window)
                mask_TT &= places_T[:, None] - places_T < window

            def attention(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
                return attend_shared(q, pk, pv, prompt_mask, by_head(k), by_head(v), mask_TT)

            return (prompt, self._layer(w, own, position, attention)), None

        (prompt, own), _ = self._scan(body, (self._embed(prompt_BP), self._embed(completion_BGT)))
        last = jnp.take_along_axis(prompt, (length_B - 1)[:, None, None], axis=1)
        before = jnp.broadcast_to(last[:, None], (batch, group, 1, last.shape[-1]))
        return self.final(jnp.concatenate([before, own[:, :, :-1]], axis=2))


def _written(cache: jax.Array, new: jax.Array, t: jax.Array, axis: int) -> jax.Array:
    """A cache with one token's keys or values at place t of `axis`; t is a scalar, or one for each entry of axis 0."""
    if t.ndim:
        put = partial(jax.lax.dynamic_update_slice_in_dim, axis=axis - 1)
        return jax.vmap(put)(cache, new, t)
    return jax.lax.dynamic_update_slice_in_dim(cache, new, t, axis)


def checkpointed(body: Callable[..., Any], remat: Remat) -> Callable[..., Any]:
    """`body` under a rematerialisation policy: it keeps all, the outputs of matrix products, or nothing."""
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
    frequencies = rope.frequencies(shape.rope_theta, shape.head_dim, shape.rope_scaling)
    angle = position[..., None, None].astype(jnp.float32) * frequencies
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    if shape.rope_scaling is not None and shape.rope_scaling.attention_factor != 1.0:
        cos, sin = cos * shape.rope_scaling.attention_factor, sin * shape.rope_scaling.attention_factor
    a, b = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1).astype(x.dtype)


@dataclass(frozen=True)
class Model:
    """A decoder split into its static graph and its parameters: what jitted functions close over and what they take."""

    graph: Any
    shape: Shape
    sharding: Sharding
    compute_config: ComputeConfig

    def bind(self, params: Any) -> Decoder:
        """The module over `params` (inside or outside of jit)."""
        return nnx.merge(self.graph, params)

    def split(self, params: Any) -> tuple[Any, Any]:
        """(what is trained, what is not): everything and nothing, or the adapters and their base."""
        if self.compute_config.adapter is None:
            return params, nnx.State({})
        return nnx.split_state(params, nnx.LoRAParam, ...)

    def join(self, trained: Any, frozen: Any) -> Any:
        """The inverse of `split`."""
        return nnx.merge_state(trained, frozen)

    def abstract(self) -> Any:
        """The parameter tree's shapes and dtypes, without arrays."""
        return jax.eval_shape(lambda: self._drawn(seed=0))

    def shardings(self) -> Any:
        """The sharding of every parameter, a tree like `abstract`. Raises ShardingError where one does not divide."""
        table = whole_layout(self.shape, self.compute_config.adapter)

        def of(path: tuple[Any, ...], leaf: Any) -> Any:
            name = name_at(path)
            return self.sharding.named(*table[name].axes, shape=leaf.shape, name=name)

        return jax.tree_util.tree_map_with_path(of, self.abstract())

    def init(self, seed: int) -> Any:
        """Random parameters, each born on its own shard (never whole on one device)."""
        return jax.jit(lambda: self._drawn(seed), out_shardings=self.shardings())()

    def _drawn(self, seed: int) -> Any:
        return nnx.state(Decoder(self.shape, self.compute_config, self.sharding.mesh, nnx.Rngs(params=seed)))


def has_kernels(mesh: Mesh) -> bool:
    """Whether the decode loop is computed by kernels of ours (`cpu`): on one CPU device."""
    return mesh.devices.size == 1 and mesh.devices.flat[0].platform == "cpu" and library.usable()


def build(shape: Shape, sharding: Sharding, compute_config: ComputeConfig | None = None) -> Model:
    """A model without parameters.

    Raises ModelError where the shape states a family that it does not fit, or where the decode loop can't keep weights
    in fewer bits as it is asked to.

    shape: the decoder's sizes. sharding: the mesh that parameters and batches are split over. compute_config: dtypes,
    attention, remat and adapters; the defaults where None.
    """
    if shape.family is not None:
        families.of_shape(shape)
    compute_config = compute_config or ComputeConfig()
    if compute_config.decode_weights is not DecodeWeights.SAME and not has_kernels(sharding.mesh):
        raise ModelError(
            f"model.decode_weights: {compute_config.decode_weights} is for one CPU device, by way of g++; "
            "set it to same (on a GPU or TPU, model.compute: bfloat16 decodes in fewer bits)"
        )
    graph, _ = nnx.split(nnx.eval_shape(lambda: Decoder(shape, compute_config, sharding.mesh, nnx.Rngs(params=0))))
    return Model(graph, shape, sharding, compute_config)
