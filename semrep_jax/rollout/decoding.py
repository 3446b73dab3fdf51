"""The jitted part of continuous batching: prompts into rows of one fixed shape, a few tokens of every row at a time.

    decoding = Decoding(model, params, tokenizer.pad_id, rows=16, max_prompt=192, bucket=64, max_new=96, chunk=8)
    last, caches = decoding.prefill(ids)                 # a prompt alone, padded to a multiple of `bucket`
    decoding.admit(rows, asks, last, caches)             # its completions begin in these rows
    tokens_RC, logprobs_RC, hidden_RCD = decoding.advance(live_R)

Every row has its own clock, length, key, temperature and caches, so one may begin while others are half-way. Shapes
never change: one program for each bucket of prompts, one for `advance`, all compiled by `warming_up`. That a row's bits
don't depend on its neighbours rests on this, and on a product of matrices computing each of its columns alike, which
tests/serve/test_engine.py looks at; they may change with `rows`. On several devices the rows are spread over them.
Axis letters: R rows, C chunk, P prompt, S own tokens, K kv heads, H head size, D model, V vocabulary, L layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from semrep_jax.model.attention import Cache
from semrep_jax.model.decoder import Model, Weights
from semrep_jax.model.logprobs import sample_token

MOST_ALTERNATIVES = 5


@dataclass(frozen=True)
class Ask:
    """One completion that is wanted.

    prompt_ids: token ids of the prompt. key: two 32-bit words, all that decides the draws. max_new: most tokens.
    temperature: 0 takes the likeliest token each time. top_p: draws among the likeliest tokens that hold this much of
    the mass. ranked: whether pieces tell the likeliest alternatives of each token.
    """

    prompt_ids: tuple[int, ...]
    key: tuple[int, int]
    max_new: int
    temperature: float = 1.0
    top_p: float = 1.0
    ranked: bool = False


class Rows(NamedTuple):
    """What is under way.

    hidden_RD: the state that the next token is drawn from. t_R: the number of that token. length_R: of the prompts.
    key_R2: uint32 words. temperature_R, top_p_R: float32. prompts: of each layer the prompts' keys [R, K, H, P] and
    values [R, K, P, H]. own: of each layer those of the tokens drawn so far, [R, 1, K, H, S] and [R, 1, K, S, H].
    """

    hidden_RD: jax.Array
    t_R: jax.Array
    length_R: jax.Array
    key_R2: jax.Array
    temperature_R: jax.Array
    top_p_R: jax.Array
    prompts: list[Cache]
    own: list[Cache]


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
        self.model, self.pad_id = model, pad_id
        self.count, self.chunk = rows, chunk
        self.widths = [min(width, max_prompt) for width in range(bucket, max_prompt + bucket, bucket)]
        self.max_new = -(-max_new // chunk) * chunk
        self.load(params)
        self.reset()

    def load(self, params: Any) -> None:
        """Decode with these parameters from now on. What earlier ones made of a prompt is of no use any more."""
        self.params, self.layers = params, _layers(params, model=self.model)

    def reset(self) -> None:
        """Empty rows: at the start, and after a fault that took the old ones along."""
        self.rows = _empty(model=self.model, rows=self.count, prompt=self.widths[-1], own=self.max_new)

    def warming_up(self) -> Iterator[str]:
        """Compile everything that a request can need, `steps_to_warm_up` steps; gives the name of each."""
        ask = Ask((self.pad_id,), (0, 0), 1)
        for width in self.widths:
            last, caches = self.prefill((self.pad_id,) * width)
            self.admit([0], [ask], last, caches)
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
        """Programs compiled so far, by all in this process."""
        jitted: tuple[Any, ...] = (_prefill, _admit, _advance, _alternatives)
        return sum(one._cache_size() for one in jitted)

    def prefill(self, ids: tuple[int, ...]) -> tuple[jax.Array, list[Cache]]:
        """The last hidden state [D] of a prompt and each layer's keys [K, H, P] and values [K, P, H], P its bucket."""
        width = next(width for width in self.widths if width >= len(ids))
        padded = np.full((1, width), self.pad_id, np.int32)
        padded[0, : len(ids)] = ids
        last, caches = _prefill(self.params, padded, np.array([len(ids)], np.int32), model=self.model)
        return last, caches

    def admit(self, rows: Sequence[int], asks: Sequence[Ask], last: jax.Array, caches: list[Cache]) -> None:
        """Begin completions of one prompt, one in each of these rows.

        rows: free ones. asks: what is to be written. last, caches: what `prefill` gave for their prompt.
        """
        given = Admitted(
            np.full(self.count, self.count, np.int32),  # a row that there is not: nothing is written
            np.full(self.count, len(asks[0].prompt_ids), np.int32),
            np.zeros((self.count, 2), np.uint32),
            np.ones(self.count, np.float32),
            np.ones(self.count, np.float32),
        )
        for place, (row, ask) in enumerate(zip(rows, asks, strict=True)):
            given.row_R[place], given.key_R2[place] = row, ask.key
            given.temperature_R[place], given.top_p_R[place] = ask.temperature, ask.top_p
        self.rows = _admit(self.rows, given, last, caches, model=self.model)

    def advance(self, live_R: np.ndarray) -> tuple[np.ndarray, np.ndarray, jax.Array]:
        """The next `chunk` tokens of every row and their log-probs [R, C], and the states [R, C, D] they were drawn
        from. live_R: rows that hold a completion; the others give what nobody should read."""
        self.rows, tokens, logprobs, hidden = self._advance(live_R)
        tokens, logprobs = self.model.sharding.fetch((tokens, logprobs))
        return tokens, logprobs, hidden

    def _advance(self, live_R: np.ndarray) -> tuple[Rows, jax.Array, jax.Array, jax.Array]:
        out: tuple[Rows, jax.Array, jax.Array, jax.Array] = _advance(
            self.params, self.layers, self.rows, live_R, model=self.model, chunk=self.chunk
        )
        return out

    def alternatives(self, hidden_RCD: jax.Array) -> tuple[np.ndarray, np.ndarray]:
        """The MOST_ALTERNATIVES likeliest tokens and their log-probs [R, C, 5] at the states of a chunk."""
        tokens, logprobs = _alternatives(self.params, hidden_RCD, self.rows.temperature_R, model=self.model)
        return np.asarray(tokens), np.asarray(logprobs)


class Admitted(NamedTuple):
    """Completions that begin, in arrays as long as there are rows: the row of each, the rest as in `Rows`."""

    row_R: np.ndarray
    length_R: np.ndarray
    key_R2: np.ndarray
    temperature_R: np.ndarray
    top_p_R: np.ndarray


def _spread(model: Model, rows: Rows) -> Rows:
    """The rows over the devices, as a batch is."""
    sharding = model.sharding
    divides = rows.t_R.shape[0] % sharding.size("batch") == 0
    place = sharding.named("batch") if divides else sharding.named()
    return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(x, place), rows)


@partial(jax.jit, static_argnames=("model",))
def _layers(params: Any, *, model: Model) -> list[Weights]:
    return model.bind(params).layers()


@partial(jax.jit, static_argnames=("model", "rows", "prompt", "own"))
def _empty(*, model: Model, rows: int, prompt: int, own: int) -> Rows:
    """No completion yet. prompt, own: places for tokens of each."""
    shape, dtype = model.shape, model.compute_config.compute

    def caches(*lead: int, size: int) -> list[Cache]:
        keys = jnp.zeros((rows, *lead, shape.kv_heads, shape.head_dim, size), dtype)
        return [(keys, jnp.swapaxes(keys, -1, -2)) for _ in range(shape.layers)]

    empty = Rows(
        hidden_RD=jnp.zeros((rows, shape.dim), dtype),
        t_R=jnp.zeros(rows, jnp.int32),
        length_R=jnp.ones(rows, jnp.int32),
        key_R2=jnp.zeros((rows, 2), jnp.uint32),
        temperature_R=jnp.ones(rows, jnp.float32),
        top_p_R=jnp.ones(rows, jnp.float32),
        prompts=caches(size=prompt),
        own=caches(1, size=own),
    )
    return _spread(model, empty)


@partial(jax.jit, static_argnames=("model",))
def _prefill(params: Any, prompt_1P: jax.Array, length_1: jax.Array, *, model: Model) -> tuple[jax.Array, list[Cache]]:
    last, caches = model.bind(params).prefill(prompt_1P, length_1)
    return last[0], [(keys[0], values[0]) for keys, values in caches]


@partial(jax.jit, static_argnames=("model",), donate_argnames=("rows",))
def _admit(rows: Rows, given: Admitted, last: jax.Array, caches: list[Cache], *, model: Model) -> Rows:
    def put(whole: jax.Array, new: Any) -> jax.Array:
        """Every entry of `new` into its row."""
        return whole.at[given.row_R].set(new, mode="drop")

    def put_prompt(whole: jax.Array, one: jax.Array) -> jax.Array:
        """One prompt's keys or values into all of the rows; a short one leaves the far places as they are."""
        return whole.at[given.row_R, :, : one.shape[1], : one.shape[2]].set(one.astype(whole.dtype), mode="drop")

    after = rows._replace(
        hidden_RD=put(rows.hidden_RD, last.astype(rows.hidden_RD.dtype)),
        t_R=put(rows.t_R, 0),
        length_R=put(rows.length_R, given.length_R),
        key_R2=put(rows.key_R2, given.key_R2),
        temperature_R=put(rows.temperature_R, given.temperature_R),
        top_p_R=put(rows.top_p_R, given.top_p_R),
        prompts=jax.tree.map(put_prompt, rows.prompts, caches),
    )
    return _spread(model, after)


@partial(jax.jit, static_argnames=("model", "chunk"), donate_argnames=("rows",))
def _advance(
    params: Any, layers: list[Weights], rows: Rows, live_R: jax.Array, *, model: Model, chunk: int
) -> tuple[Rows, jax.Array, jax.Array, jax.Array]:
    bound = model.bind(params)
    head = bound.head()
    last_place = rows.own[0][1].shape[3] - 1
    keys_R = jax.random.wrap_key_data(rows.key_R2)

    def body(rows: Rows, _: None) -> tuple[Rows, tuple[jax.Array, jax.Array, jax.Array]]:
        uniform_R = jax.vmap(lambda key, t: jax.random.uniform(jax.random.fold_in(key, t)))(keys_R, rows.t_R)
        token_R, logp_R = _choose(rows.hidden_RD, head, rows.temperature_R, rows.top_p_R, uniform_R, live_R)
        hidden, own = bound.step(layers, token_R[:, None], rows.t_R, rows.length_R, rows.prompts, rows.own)
        after = rows._replace(hidden_RD=hidden[:, 0], own=own, t_R=jnp.minimum(rows.t_R + 1, last_place))
        return after, (token_R, logp_R, rows.hidden_RD)

    rows, (token_CR, logp_CR, hidden_CRD) = jax.lax.scan(body, rows, length=chunk)
    return _spread(model, rows), token_CR.T, logp_CR.T, jnp.swapaxes(hidden_CRD, 0, 1)


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


@partial(jax.jit, static_argnames=("model",))
def _alternatives(
    params: Any, hidden_RCD: jax.Array, temperature_R: jax.Array, *, model: Model
) -> tuple[jax.Array, jax.Array]:
    tempered = jnp.where(temperature_R > 0, temperature_R, 1.0)[:, None, None]
    logits = jnp.einsum("rcd,vd->rcv", hidden_RCD, model.bind(params).head(), preferred_element_type=jnp.float32)
    logprobs, tokens = jax.lax.top_k(jax.nn.log_softmax(logits / tempered, axis=-1), MOST_ALTERNATIVES)
    return tokens, logprobs
