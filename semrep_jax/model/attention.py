"""Attention, with grouped key/value heads, in its three shapes.

`attend` is causal self-attention: by cuDNN on NVIDIA, by a Pallas kernel on TPU, by XLA elsewhere
(`model.attention`). `attend_shared` is the attention of G completions that share one prompt, and `attend_cached` that
of one new token of each against caches: the prompt's keys and values exist once a group and are never repeated, in the
update and in the rollout alike. Scores and softmax are float32; what comes out has the dtype of v. Axis letters: B
batch, G group, T queries, S own keys, P prompt keys, N heads, K kv heads, R = N / K, M = R T, H head size.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from semrep_jax.core.errors import SemRepError
from semrep_jax.model.settings import AttentionKind

MASKED = -1e30  # a score that softmax makes 0
LANES = 128  # of a TPU
SPLASH_BLOCKS = (512, 256, LANES)
Window = jax.Array | int | None
Cache = tuple[jax.Array, jax.Array]  # one layer's keys [..., K, H, T] and values [..., K, T, H], as decoding reads them


class AttentionError(SemRepError):
    """The chosen attention can't compute these shapes."""


def _heads_first(q: jax.Array, kv_heads: int) -> jax.Array:
    """[..., T, N, H] to [..., K, R T, H]: queries that share a key head become rows of one matrix product."""
    *lead, length, heads, size = q.shape
    q = jnp.moveaxis(q.reshape(*lead, length, kv_heads, heads // kv_heads, size), -4, -2)
    return q.reshape(*lead, kv_heads, heads // kv_heads * length, size)


def _heads_last(out: jax.Array, length: int) -> jax.Array:
    """The inverse of `_heads_first`: [..., K, R T, H] to [..., T, N, H]."""
    *lead, kv_heads, rows, size = out.shape
    out = jnp.moveaxis(out.reshape(*lead, kv_heads, rows // length, length, size), -2, -4)
    return out.reshape(*lead, length, kv_heads * (rows // length), size)


def _scores(q: jax.Array, k: jax.Array) -> jax.Array:
    """Scaled products [..., K, M, S] in float32 of rows [..., K, M, H] with keys [..., K, S, H]."""
    return jnp.matmul(q, jnp.swapaxes(k, -1, -2), preferred_element_type=jnp.float32) * q.shape[-1] ** -0.5


def _mix(weights: jax.Array, v: jax.Array) -> jax.Array:
    """Weighted values [..., K, M, H] from weights [..., K, M, S] and values [..., K, S, H]."""
    return jnp.matmul(weights.astype(v.dtype), v)


def by_head(x: jax.Array) -> jax.Array:
    """Keys or values [..., T, K, H] as [..., K, T, H]."""
    return jnp.swapaxes(x, -2, -3)


def attend(
    q_BTNH: jax.Array,
    k_BTKH: jax.Array,
    v_BTKH: jax.Array,
    segments_BT: jax.Array | None,
    kind: AttentionKind,
    mesh: Mesh,
    window: Window = None,
) -> jax.Array:
    """Causal self-attention, [B, T, N, H].

    segments_BT: a query sees keys of its own segment only, 0 is padding; None for one segment. kind: who computes it.
    mesh: where the arrays lie. window: how many tokens back a query sees, itself included; None for all. Raises
    AttentionError where `kind` can't compute these shapes.
    """
    kind = chosen(kind, q_BTNH, mesh, window is not None)
    if kind is AttentionKind.PALLAS:
        return _splash(q_BTNH, k_BTKH, v_BTKH, segments_BT, mesh)
    length = q_BTNH.shape[1]
    visible = None if segments_BT is None else segments_BT[:, :, None] == segments_BT[:, None, :]
    if window is not None:
        near = (jnp.arange(length)[:, None] - jnp.arange(length) < window)[None]
        visible = near if visible is None else visible & near
    if kind is AttentionKind.CUDNN:
        mask = None if visible is None else visible[:, None]
        return jax.nn.dot_product_attention(q_BTNH, k_BTKH, v_BTKH, mask=mask, is_causal=True, implementation="cudnn")
    heads, kv_heads = q_BTNH.shape[2], k_BTKH.shape[2]
    scores = _scores(_heads_first(q_BTNH, kv_heads), by_head(k_BTKH))
    mask = jnp.tril(jnp.ones((length, length), bool))
    mask = mask[None] if visible is None else mask & visible
    mask = jnp.tile(mask[:, None], (1, 1, heads // kv_heads, 1))
    weights = jax.nn.softmax(jnp.where(mask, scores, MASKED), axis=-1)
    return _heads_last(_mix(weights, by_head(v_BTKH)), length)


def chosen(kind: AttentionKind, q_BTNH: jax.Array, mesh: Mesh, windowed: bool = False) -> AttentionKind:
    """`kind`, or what AUTO means: cuDNN for half precision on NVIDIA, Pallas on TPU where it tiles, XLA elsewhere.

    q_BTNH: the queries. mesh: where they lie. windowed: whether they see a sliding window only. Raises AttentionError
    for a window and Pallas, and for cuDNN where there is none or the queries are of no half precision.
    """
    if windowed and kind is AttentionKind.PALLAS:
        raise AttentionError("attention: pallas does not compute the model's sliding window; take auto or xla")
    platform = mesh.devices.flat[0].platform
    has_cudnn = platform == "gpu" and q_BTNH.dtype in (jnp.bfloat16, jnp.float16)
    if kind is AttentionKind.CUDNN and not has_cudnn:
        raise AttentionError(
            f"attention: cudnn computes bfloat16 and float16 on NVIDIA GPUs, and these are {q_BTNH.dtype} on a "
            f"{platform}; take auto or xla, or set model.compute"
        )
    if kind is not AttentionKind.AUTO:
        return kind
    if has_cudnn:
        return AttentionKind.CUDNN
    if platform == "tpu" and q_BTNH.shape[1] % LANES == 0 and not windowed:
        return AttentionKind.PALLAS
    return AttentionKind.XLA


def _splash(q: jax.Array, k: jax.Array, v: jax.Array, segments: jax.Array | None, mesh: Mesh) -> jax.Array:
    """The splash kernel of jax.experimental.pallas on each device's rows and heads; interpreted without a TPU."""
    from jax.experimental.pallas.ops.tpu import splash_attention as splash  # takes a while to import

    length, heads, kv_heads, size = *q.shape[1:3], *k.shape[2:]
    if length % LANES:
        raise AttentionError(
            f"attention: pallas needs lengths that are multiples of {LANES}, not {length}; "
            "raise rollout.bucket or take xla"
        )
    block = next(b for b in SPLASH_BLOCKS if length % b == 0)
    sizes = splash.BlockSizes(
        block_q=block,
        block_kv=block,
        block_kv_compute=block,
        block_q_dkv=block,
        block_kv_dkv=block,
        block_kv_dkv_compute=block,
        block_q_dq=block,
        block_kv_dq=block,
    )
    causal = splash.MultiHeadMask([splash.CausalMask((length, length))] * (heads // kv_heads))
    interpreted = mesh.devices.flat[0].platform != "tpu"
    kernel = splash.make_splash_mqa_single_device(causal, block_sizes=sizes, interpret=interpreted)
    ids = jnp.ones(q.shape[:2], jnp.int32) if segments is None else segments

    def local(q: jax.Array, k: jax.Array, v: jax.Array, ids: jax.Array) -> jax.Array:
        q = jnp.moveaxis(q.reshape(*q.shape[:2], k.shape[2], -1, size), 1, 3) * size**-0.5  # [B, K, R, T, H]
        of_head = jax.vmap(kernel, in_axes=(0, 0, 0, None))
        of_row = jax.vmap(lambda q, k, v, i: of_head(q, k, v, splash.SegmentIds(q=i, kv=i)))
        out = of_row(q, jnp.moveaxis(k, 1, 2), jnp.moveaxis(v, 1, 2), ids)
        return jnp.moveaxis(out, 3, 1).reshape(*out.shape[:1], length, -1, size)

    rows = PartitionSpec(("data", "fsdp"))
    rows_and_heads = PartitionSpec(("data", "fsdp"), None, "tensor", None)
    inputs = (rows_and_heads, rows_and_heads, rows_and_heads, rows)
    split = jax.shard_map(local, mesh=mesh, in_specs=inputs, out_specs=rows_and_heads, check_vma=False)
    return split(q, k, v, ids)


def attend_shared(
    q_BGTNH: jax.Array,
    prompt_k_BKPH: jax.Array,
    prompt_v_BKPH: jax.Array,
    prompt_mask: jax.Array,
    k_BGKSH: jax.Array,
    v_BGKSH: jax.Array,
    mask_TS: jax.Array,
) -> jax.Array:
    """One softmax over the shared prompt's keys and each completion's own, [B, G, T, N, H].

    Keys and values lie `by_head`. prompt_mask: the prompt's keys that all queries may see [B, P], or each [B, T, P].
    mask_TS: the own keys a query may see.
    """
    batch, group, length, heads, size = q_BGTNH.shape
    kv_heads, prompt_length = prompt_k_BKPH.shape[1:3]
    q_BGKMH = _heads_first(q_BGTNH, kv_heads)
    rows = q_BGKMH.shape[3]
    by_prompt = jnp.moveaxis(q_BGKMH, 1, 2).reshape(batch, kv_heads, group * rows, size)
    past = jnp.moveaxis(_scores(by_prompt, prompt_k_BKPH).reshape(batch, kv_heads, group, rows, prompt_length), 1, 2)
    if prompt_mask.ndim == 3:
        of_rows = jnp.tile(prompt_mask, (1, heads // kv_heads, 1))[:, None, None]
    else:
        of_rows = prompt_mask[:, None, None, None]
    past = jnp.where(of_rows, past, MASKED)
    own = jnp.where(jnp.tile(mask_TS, (heads // kv_heads, 1)), _scores(q_BGKMH, k_BGKSH), MASKED)
    weights = jax.nn.softmax(jnp.concatenate([past, own], axis=-1), axis=-1)
    past = jnp.moveaxis(weights[..., :prompt_length], 1, 2).reshape(batch, kv_heads, group * rows, prompt_length)
    out = jnp.moveaxis(_mix(past, prompt_v_BKPH).reshape(batch, kv_heads, group, rows, size), 1, 2)
    return _heads_last(out + _mix(weights[..., prompt_length:], v_BGKSH), length)


def attend_chunk(q_BCNH: jax.Array, cache: Cache, mask_BCP: jax.Array) -> jax.Array:
    """Attention of C tokens after each other over a cache that theirs are written into, [B, C, N, H].

    cache: keys [B, K, H, P] and values [B, K, P, H]. mask_BCP: the keys that each query may see.
    """
    kv_heads, length, heads = cache[0].shape[1], *q_BCNH.shape[1:3]
    scores = jnp.matmul(_heads_first(q_BCNH, kv_heads), cache[0], preferred_element_type=jnp.float32)
    mask = jnp.tile(mask_BCP, (1, heads // kv_heads, 1))[:, None]
    weights = jax.nn.softmax(jnp.where(mask, scores * q_BCNH.shape[-1] ** -0.5, MASKED), axis=-1)
    return _heads_last(_mix(weights, cache[1]), length)


def attend_cached(
    q_BGNH: jax.Array,
    prompt: Cache,
    prompt_mask_BP: jax.Array,
    own: Cache,
    own_mask_BS: jax.Array,
    by_elements: bool,
) -> jax.Array:
    """One softmax of one query a completion over the cached keys of its prompt and its own, [B, G, N, H].

    prompt: its keys [B, K, H, P] and values [B, K, P, H], shared by the G completions. own: theirs, [B, G, K, H, S] and
    [B, G, K, S, H]. Masks: what a query may see. by_elements: scores and mixtures of few queries as sums of products
    that are fused into one pass over a cache; a CPU's matrix products of such shapes take two to five times as long.
    """
    batch, group, heads, size = q_BGNH.shape
    kv_heads = prompt[0].shape[1]
    q_BGKRH = q_BGNH.reshape(batch, group, kv_heads, heads // kv_heads, size)
    past = _scored(q_BGKRH, prompt[0][:, None], by_elements and group == 1)
    past = jnp.where(prompt_mask_BP[:, None, None, None], past * size**-0.5, MASKED)
    near = _scored(q_BGKRH, own[0], by_elements)
    near = jnp.where(own_mask_BS[:, None, None, None], near * size**-0.5, MASKED)
    top = jnp.maximum(past.max(-1, keepdims=True), near.max(-1, keepdims=True))
    past, near = jnp.exp(past - top), jnp.exp(near - top)
    mixed = _mixed(past, prompt[1][:, None], by_elements and group == 1) + _mixed(near, own[1], by_elements)
    mixed /= past.sum(-1, keepdims=True) + near.sum(-1, keepdims=True)
    return mixed.reshape(q_BGNH.shape).astype(own[1].dtype)


def _scored(q_BGKRH: jax.Array, keys: jax.Array, by_elements: bool) -> jax.Array:
    """Products [B, G, K, R, S] in float32 with keys [B, G or 1, K, H, S]."""
    if by_elements:
        return jnp.sum(q_BGKRH[..., None].astype(jnp.float32) * keys[:, :, :, None], axis=-2)
    if keys.shape[1] == 1:  # the queries of a group become rows of one matrix product
        return _ungrouped(jnp.matmul(_grouped(q_BGKRH), keys[:, 0], preferred_element_type=jnp.float32), q_BGKRH.shape)
    return jnp.matmul(q_BGKRH, keys, preferred_element_type=jnp.float32)


def _mixed(weights: jax.Array, values: jax.Array, by_elements: bool) -> jax.Array:
    """Weighted sums [B, G, K, R, H] in float32 of values [B, G or 1, K, S, H]."""
    if by_elements:
        return jnp.sum(weights[..., None] * values[:, :, :, None], axis=-2)
    weights = weights.astype(values.dtype)
    if values.shape[1] == 1:
        mixed = jnp.matmul(_grouped(weights), values[:, 0], preferred_element_type=jnp.float32)
        return _ungrouped(mixed, weights.shape)
    return jnp.matmul(weights, values, preferred_element_type=jnp.float32)


def _grouped(x: jax.Array) -> jax.Array:
    """[B, G, K, R, ...] as [B, K, G R, ...]."""
    batch, group, kv_heads, queries, last = x.shape
    return jnp.moveaxis(x, 1, 2).reshape(batch, kv_heads, group * queries, last)


def _ungrouped(x: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """The inverse of `_grouped`, for something of this shape but for its last axis."""
    batch, group, kv_heads, queries, _ = shape
    return jnp.moveaxis(x.reshape(batch, kv_heads, group, queries, x.shape[-1]), 2, 1)
