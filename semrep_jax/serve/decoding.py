"""The jitted part of the engine: prompts into rows of one fixed shape, and a few tokens of every row at a time.

    decoding = Decoding(model, params, tokenizer.pad_id, rows=16, max_prompt=192, bucket=64, max_new=96, chunk=8)
    last, caches = decoding.prefill(ids)                 # a prompt alone, padded to a multiple of `bucket`
    decoding.admit(row, ask, last, caches)               # its completion begins in this row
    tokens_RC, logprobs_RC, hidden_RCD = decoding.advance(live_R)

Every row has its own clock, length, key, temperature and caches, so one may begin while others are half-way. Shapes
never change: one program for each bucket of prompts, one for `advance`, all compiled by `warming_up`. That a row's bits
don't depend on its neighbours rests on this, and on a product of matrices computing each of its columns alike, which
tests/serve/test_engine.py looks at; they may change with `rows`. Axis letters: R rows, C chunk, P prompt, S own
tokens, K kv heads, H head size, D model, V vocabulary, L layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from semrep_jax.model.decoder import Cache, Model
from semrep_jax.model.logprobs import sample_token
from semrep_jax.serve.engine import Ask

MOST_ALTERNATIVES = 5


class Rows(NamedTuple):
    """What is under way.

    hidden_RD: the state that the next token is drawn from. t_R: the number of that token. length_R: of the prompts.
    key_R2: uint32 words. temperature_R, top_p_R: float32. prompts: of each layer the prompts' keys and values
    [R, K, P, H]. own: of each layer those of the tokens drawn so far [R, 1, K, S, H].
    """

    hidden_RD: jax.Array
    t_R: jax.Array
    length_R: jax.Array
    key_R2: jax.Array
    temperature_R: jax.Array
    top_p_R: jax.Array
    prompts: list[Cache]
    own: list[Cache]


class Slices:
    """The weights of each layer, sliced once. Some leaves are plain numbers (shapes), which no jitted function gives
    back, so they stay here."""

    def __init__(self, model: Model, params: Any):
        self.plain: list[Any] = []

        def arrays(params: Any) -> list[jax.Array]:
            leaves, self.tree = jax.tree.flatten(model.bind(params).layers())
            self.plain = [None if isinstance(leaf, jax.Array) else leaf for leaf in leaves]
            return [leaf for leaf in leaves if isinstance(leaf, jax.Array)]

        self.arrays: list[jax.Array] = jax.jit(arrays)(params)

    def layers(self, arrays: list[jax.Array]) -> Any:
        """What `Decoder.layers` gave, from its arrays."""
        given = iter(arrays)
        return jax.tree.unflatten(self.tree, [next(given) if leaf is None else leaf for leaf in self.plain])


class Decoding:
    """Rows of a fixed number and shape.

    model, params: what decodes. pad_id: fills prompts. max_prompt, max_new: most tokens of each. bucket: prompts are
    padded to multiples of it. chunk: tokens between two looks.
    """

    def __init__(
        self,
        model: Model,
        params: Any,
        pad_id: int,
        *,
        rows: int,
        max_prompt: int,
        bucket: int,
        max_new: int,
        chunk: int,
    ):
        self.model, self.params, self.pad_id = model, params, pad_id
        self.count, self.chunk = rows, chunk
        self.widths = [min(width, max_prompt) for width in range(bucket, max_prompt + bucket, bucket)]
        self.max_new = -(-max_new // chunk) * chunk
        slices = Slices(model, params)
        self.weights = slices.arrays
        # One place for whatever goes round, so that no program is compiled again for another.
        self.everywhere = NamedSharding(model.sharding.mesh, PartitionSpec())
        jit = partial(jax.jit, out_shardings=self.everywhere)
        self._prefill = jit(partial(_prefill, model))
        self._admit = jit(partial(_admit), donate_argnums=(0,))  # a cache of its own, for `compiled`
        self._advance = jit(partial(_advance, model, slices, chunk), donate_argnums=(2,))
        self._alternatives = jit(partial(_alternatives, model))
        self.reset()

    def reset(self) -> None:
        """Empty rows: at the start, and after a fault that took the old ones along."""
        shape, rows = self.model.shape, self.count
        dtype = self.model.compute_config.compute

        def caches(*lead: int, size: int) -> list[Cache]:
            whole = (rows, *lead, shape.kv_heads, size, shape.head_dim)
            return [(jnp.zeros(whole, dtype), jnp.zeros(whole, dtype)) for _ in range(shape.layers)]

        empty = Rows(
            hidden_RD=jnp.zeros((rows, shape.dim), dtype),
            t_R=jnp.zeros(rows, jnp.int32),
            length_R=jnp.ones(rows, jnp.int32),
            key_R2=jnp.zeros((rows, 2), jnp.uint32),
            temperature_R=jnp.ones(rows, jnp.float32),
            top_p_R=jnp.ones(rows, jnp.float32),
            prompts=caches(size=self.widths[-1]),
            own=caches(1, size=self.max_new),
        )
        self.rows = jax.device_put(empty, self.everywhere)

    def warming_up(self) -> Iterator[str]:
        """Compile everything that a request can need, `steps_to_warm_up` steps; gives the name of each."""
        ask = Ask((self.pad_id,), (0, 0), 1)
        for width in self.widths:
            last, caches = self.prefill((self.pad_id,) * width)
            self.admit(0, ask, last, caches)
            yield f"prompts of {width} tokens"
        self.alternatives(self.advance(np.ones(self.count, bool))[2])
        self.reset()
        yield "decoding"

    @property
    def steps_to_warm_up(self) -> int:
        """How many there are."""
        return len(self.widths) + 1

    @property
    def compiled(self) -> int:
        """Programs compiled so far."""
        jitted: tuple[Any, ...] = (self._prefill, self._admit, self._advance, self._alternatives)
        return sum(one._cache_size() for one in jitted)

    def prefill(self, ids: tuple[int, ...]) -> tuple[jax.Array, list[Cache]]:
        """The last hidden state [D] of a prompt and each layer's keys and values [K, P, H], P its bucket."""
        width = next(width for width in self.widths if width >= len(ids))
        padded = np.full((1, width), self.pad_id, np.int32)
        padded[0, : len(ids)] = ids
        last, caches = self._prefill(self.params, padded, np.array([len(ids)], np.int32))
        return last, caches

    def admit(self, row: int, ask: Ask, last: jax.Array, caches: list[Cache]) -> None:
        """Begin a completion in a row, after what `prefill` gave for its prompt.

        row: a free one. ask: what is to be written. last, caches: the hidden state after the prompt, and the keys and
        values of its tokens.
        """
        self.rows = self._admit(
            self.rows,
            np.int32(row),
            last,
            caches,
            np.int32(len(ask.prompt_ids)),
            np.array(ask.key, np.uint32),
            np.float32(ask.temperature),
            np.float32(ask.top_p),
        )

    def advance(self, live_R: np.ndarray) -> tuple[np.ndarray, np.ndarray, jax.Array]:
        """The next `chunk` tokens of every row and their log-probs [R, C], and the states [R, C, D] they were drawn
        from. live_R: rows that hold a completion; the others give what nobody should read."""
        self.rows, tokens, logprobs, hidden = self._advance(self.params, self.weights, self.rows, live_R)
        return np.asarray(tokens), np.asarray(logprobs), hidden

    def alternatives(self, hidden_RCD: jax.Array) -> tuple[np.ndarray, np.ndarray]:
        """The MOST_ALTERNATIVES likeliest tokens and their log-probs [R, C, 5] at the states of a chunk."""
        tokens, logprobs = self._alternatives(self.params, hidden_RCD, self.rows.temperature_R)
        return np.asarray(tokens), np.asarray(logprobs)


def _prefill(model: Model, params: Any, prompt_1P: jax.Array, length_1: jax.Array) -> tuple[jax.Array, list[Cache]]:
    last, caches = model.bind(params).prefill(prompt_1P, length_1)
    return last[0], [(keys[0], values[0]) for keys, values in caches]


def _admit(
    rows: Rows,
    row: jax.Array,
    last: jax.Array,
    caches: list[Cache],
    length: jax.Array,
    key: jax.Array,
    temperature: jax.Array,
    top_p: jax.Array,
) -> Rows:
    def put(whole: jax.Array, one: jax.Array) -> jax.Array:
        return jax.lax.dynamic_update_slice(whole, one[None].astype(whole.dtype), (row,) + (0,) * one.ndim)

    return rows._replace(
        hidden_RD=put(rows.hidden_RD, last),
        t_R=put(rows.t_R, jnp.int32(0)),
        length_R=put(rows.length_R, length),
        key_R2=put(rows.key_R2, key),
        temperature_R=put(rows.temperature_R, temperature),
        top_p_R=put(rows.top_p_R, top_p),
        prompts=jax.tree.map(put, rows.prompts, caches),
    )


def _advance(
    model: Model, slices: Slices, chunk: int, params: Any, weights: list[jax.Array], rows: Rows, live_R: jax.Array
) -> tuple[Rows, jax.Array, jax.Array, jax.Array]:
    bound, layers = model.bind(params), slices.layers(weights)
    head = bound.head()
    last_place = rows.own[0][0].shape[3] - 1
    keys_R = jax.random.wrap_key_data(rows.key_R2)

    def step_one(token: jax.Array, t: jax.Array, length: jax.Array, prompts: Any, own: Any) -> tuple[jax.Array, Any]:
        """One row through `Decoder.step`, which wants a batch of rows at one time t: a batch of one."""
        prompts, own = jax.tree.map(lambda cache: cache[None], (prompts, own))
        hidden, own = bound.step(layers, token[None, None], t, length[None], prompts, own)
        return hidden[0, 0], jax.tree.map(lambda cache: cache[0], own)

    def body(rows: Rows, _: None) -> tuple[Rows, tuple[jax.Array, jax.Array, jax.Array]]:
        uniform_R = jax.vmap(lambda key, t: jax.random.uniform(jax.random.fold_in(key, t)))(keys_R, rows.t_R)
        token_R, logp_R = _choose(rows.hidden_RD, head, rows.temperature_R, rows.top_p_R, uniform_R, live_R)
        hidden_RD, own = jax.vmap(step_one)(token_R, rows.t_R, rows.length_R, rows.prompts, rows.own)
        after = rows._replace(hidden_RD=hidden_RD, own=own, t_R=jnp.minimum(rows.t_R + 1, last_place))
        return after, (token_R, logp_R, rows.hidden_RD)

    rows, (token_CR, logp_CR, hidden_CRD) = jax.lax.scan(body, rows, length=chunk)
    return rows, token_CR.T, logp_CR.T, jnp.swapaxes(hidden_CRD, 0, 1)


def _choose(
    hidden_RD: jax.Array,
    head_VD: jax.Array,
    temperature_R: jax.Array,
    top_p_R: jax.Array,
    uniform_R: jax.Array,
    live_R: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """A token of each row and its log-prob: drawn, drawn from the nucleus, or at temperature 0 the likeliest. The
    vocabulary is sorted only where a live row needs it."""
    tempered_R = jnp.where(temperature_R > 0, temperature_R, 1.0)[:, None]
    drawn_R, logp_R = sample_token(hidden_RD, head_VD, tempered_R, uniform_R)

    def otherwise() -> tuple[jax.Array, jax.Array]:
        order_RV = jax.lax.top_k(logp_RV(), head_VD.shape[0])[1]
        ranked_RV = jnp.take_along_axis(logp_RV(), order_RV, axis=-1)
        mass_RV = jnp.exp(ranked_RV)
        below_RV = jnp.cumsum(mass_RV, axis=-1)
        kept_RV = (below_RV - mass_RV < top_p_R[:, None]).at[:, 0].set(True)
        wanted_R = uniform_R * jnp.sum(jnp.where(kept_RV, mass_RV, 0.0), axis=-1)
        place_R = jnp.sum((below_RV <= wanted_R[:, None]) & kept_RV, axis=-1)
        place_R = jnp.minimum(place_R, jnp.sum(kept_RV, axis=-1) - 1)
        place_R = jnp.where(temperature_R > 0, place_R, 0)
        token_R = jnp.take_along_axis(order_RV, place_R[:, None], axis=-1)[:, 0]
        whole_R = (temperature_R > 0) & (top_p_R >= 1)
        chosen_R = jnp.take_along_axis(ranked_RV, place_R[:, None], axis=-1)[:, 0]
        return jnp.where(whole_R, drawn_R, token_R), jnp.where(whole_R, logp_R, chosen_R)

    def logp_RV() -> jax.Array:
        logits = jnp.einsum("rd,vd->rv", hidden_RD, head_VD, preferred_element_type=jnp.float32)
        return jax.nn.log_softmax(logits / tempered_R, axis=-1)

    sorting = jnp.any(live_R & ((temperature_R <= 0) | (top_p_R < 1)))
    return jax.lax.cond(sorting, otherwise, lambda: (drawn_R, logp_R))


def _alternatives(
    model: Model, params: Any, hidden_RCD: jax.Array, temperature_R: jax.Array
) -> tuple[jax.Array, jax.Array]:
    tempered = jnp.where(temperature_R > 0, temperature_R, 1.0)[:, None, None]
    logits = jnp.einsum("rcd,vd->rcv", hidden_RCD, model.bind(params).head(), preferred_element_type=jnp.float32)
    logprobs, tokens = jax.lax.top_k(jax.nn.log_softmax(logits / tempered, axis=-1), MOST_ALTERNATIVES)
    return tokens, logprobs
