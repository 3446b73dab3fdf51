"""The jitted part of continuous batching: prompts into rows of one fixed shape, a few tokens of every row at a time.

    decoding = Decoding(model, params, tokenizer.pad_id, rows=16, max_prompt=192, bucket=64, max_new=96, chunk=8)
    prompt = decoding.begin(ids)                         # a prompt alone
    while not prompt.read:
        decoding.read_on(prompt)                         # `bucket` more of its tokens
    decoding.admit(rows, asks, prompt)                   # its completions begin in these rows
    tokens_RC, logprobs_RC, hidden_RCD = decoding.advance(live_R)

Every row has its own clock, length, key, temperature and caches, so one may begin while others are half-way. Shapes
never change: one program for `read_on`, one for `advance`, all compiled by `warming_up`. That a row's bits
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
from semrep_jax.model.cpu.panels import Panels
from semrep_jax.model.decoder import Model, Weights
from semrep_jax.model.logprobs import logits_of, sample_token

MOST_ALTERNATIVES = 5
COLDEST = 1e-3  # of temperatures; lower ones are 0, for logits that are divided by them are mere rounding


@dataclass(frozen=True)
class Ask:
    """One completion that is wanted.

    prompt_ids: token ids of the prompt. key: two 32-bit words, all that decides the draws. max_new: most tokens.
    temperature: 0, or less than COLDEST, takes the likeliest token each time. top_p: draws among the likeliest tokens
    that hold this much of the mass. ranked: whether pieces tell the likeliest alternatives of each token.
    """

    prompt_ids: tuple[int, ...]
    key: tuple[int, int]
    max_new: int
    temperature: float = 1.0
    top_p: float = 1.0
    ranked: bool = False


@dataclass
class ReadPrompt:
    """A prompt that is being read. tokens: [1, n bucket] int32, padded. length: its own tokens. done: tokens read.
    last: the hidden state [1, D] of its last token, once it is read. caches: of each layer keys [1, K, H, P] and values
    [1, K, P, H]."""

    tokens: np.ndarray
    length: int
    caches: list[Cache]
    done: int = 0
    last: jax.Array | None = None

    @property
    def read(self) -> bool:
        """Whether all of it is."""
        return self.done >= self.length


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
        self.bucket, self.max_prompt = bucket, -(-max_prompt // bucket) * bucket
        self.max_new = -(-max_new // chunk) * chunk
        self.load(params)
        self.reset()

    def load(self, params: Any) -> None:
        """Decode with these parameters from now on. What earlier ones made of a prompt is of no use any more."""
        self.params = params
        self.layers, self.output = _read_in_loop(params, model=self.model)

    def reset(self) -> None:
        """Empty rows: at the start, and after a fault that took the old ones along."""
        self.rows = _empty(model=self.model, rows=self.count, prompt=self.max_prompt, own=self.max_new)

    def warming_up(self) -> Iterator[str]:
        """Compile everything that a request can need, `steps_to_warm_up` steps; gives the name of each."""
        prompt = self.prefill((self.pad_id,))
        self.admit([0], [Ask((self.pad_id,), (0, 0), 1)], prompt)
        yield "prompts"
        self.alternatives(self.advance(np.ones(self.count, bool))[2])
        self.reset()
        yield "decoding"

    steps_to_warm_up = 2

    def begin(self, ids: tuple[int, ...]) -> ReadPrompt:
        """A prompt of which nothing is read yet."""
        tokens = np.full((1, -(-len(ids) // self.bucket) * self.bucket), self.pad_id, np.int32)
        tokens[0, : len(ids)] = ids
        return ReadPrompt(tokens, len(ids), _no_prompt(model=self.model, size=self.max_prompt))

    def read_on(self, prompt: ReadPrompt) -> None:
        """Read `bucket` more of its tokens."""
        piece = prompt.tokens[:, prompt.done : prompt.done + self.bucket]
        start, length = np.int32(prompt.done), np.int32(prompt.length)
        prompt.last, prompt.caches = _read_on(
            self.params, self.layers, piece, start, length, prompt.caches, model=self.model
        )
        prompt.done += self.bucket

    def prefill(self, ids: tuple[int, ...]) -> ReadPrompt:
        """A prompt, read."""
        prompt = self.begin(ids)
        while not prompt.read:
            self.read_on(prompt)
        return prompt

    def admit(self, rows: Sequence[int], asks: Sequence[Ask], prompt: ReadPrompt) -> None:
        """Begin completions of one prompt that is read, one in each of these rows.

        rows: free ones. asks: what is to be written.
        """
        given = Admitted(
            np.full(self.count, self.count, np.int32),  # a row that there is not: nothing is written
            np.full(self.count, prompt.length, np.int32),
            np.zeros((self.count, 2), np.uint32),
            np.ones(self.count, np.float32),
            np.ones(self.count, np.float32),
        )
        for place, (row, ask) in enumerate(zip(rows, asks, strict=True)):
            given.row_R[place], given.key_R2[place] = row, ask.key
            given.temperature_R[place] = ask.temperature if ask.temperature >= COLDEST else 0.0
            given.top_p_R[place] = ask.top_p
        self.rows = _admit(self.rows, given, prompt.last, prompt.caches, model=self.model)

    def advance(self, live_R: np.ndarray) -> tuple[np.ndarray, np.ndarray, jax.Array]:
        """The next `chunk` tokens of every row and their log-probs [R, C], and the states [R, C, D] they were drawn
        from. live_R: rows that hold a completion; the others give what nobody should read."""
        self.rows, tokens, logprobs, hidden = _advance(
            self.params, self.layers, self.output, self.rows, live_R, model=self.model, chunk=self.chunk
        )
        tokens, logprobs = self.model.sharding.fetch((tokens, logprobs))
        return tokens, logprobs, hidden

    def alternatives(self, hidden_RCD: jax.Array) -> tuple[np.ndarray, np.ndarray]:
        """The MOST_ALTERNATIVES likeliest tokens and their log-probs [R, C, 5] at the states of a chunk."""
        tokens, logprobs = _alternatives(self.output, hidden_RCD, self.rows.temperature_R)
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
def _read_in_loop(params: Any, *, model: Model) -> tuple[list[Weights], Panels | jax.Array]:
    """The weights of each layer and the output projection, as the decode loop reads them."""
    bound = model.bind(params)
    return bound.layers(), bound.output()


def _no_tokens(model: Model, *lead: int, size: int) -> list[Cache]:
    """Of each layer, empty keys [lead..., K, H, size] and values [lead..., K, size, H]."""
    shape = model.shape
    keys = jnp.zeros((*lead, shape.kv_heads, shape.head_dim, size), model.compute_config.compute)
    return [(keys, jnp.swapaxes(keys, -1, -2)) for _ in range(shape.layers)]


@partial(jax.jit, static_argnames=("model", "rows", "prompt", "own"))
def _empty(*, model: Model, rows: int, prompt: int, own: int) -> Rows:
    """No completion yet. prompt, own: places for tokens of each."""
    empty = Rows(
        hidden_RD=jnp.zeros((rows, model.shape.dim), model.compute_config.compute),
        t_R=jnp.zeros(rows, jnp.int32),
        length_R=jnp.ones(rows, jnp.int32),
        key_R2=jnp.zeros((rows, 2), jnp.uint32),
        temperature_R=jnp.ones(rows, jnp.float32),
        top_p_R=jnp.ones(rows, jnp.float32),
        prompts=_no_tokens(model, rows, size=prompt),
        own=_no_tokens(model, rows, 1, size=own),
    )
    return _spread(model, empty)


def _everywhere(model: Model, tree: Any) -> Any:
    place = model.sharding.named()
    return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(x, place), tree)


@partial(jax.jit, static_argnames=("model", "size"))
def _no_prompt(*, model: Model, size: int) -> list[Cache]:
    caches: list[Cache] = _everywhere(model, _no_tokens(model, 1, size=size))
    return caches


@partial(jax.jit, static_argnames=("model",), donate_argnames=("caches",))
def _read_on(
    params: Any,
    layers: list[Weights],
    tokens_1C: jax.Array,
    start: jax.Array,
    length: jax.Array,
    caches: list[Cache],
    *,
    model: Model,
) -> tuple[jax.Array, list[Cache]]:
    """The state [1, D] of the prompt's last token, if it is one of these, and the caches. length: of the prompt."""
    hidden_1CD, caches = model.bind(params).extend(layers, tokens_1C, start, caches)
    last = jnp.clip(length - 1 - start, 0, tokens_1C.shape[1] - 1)
    found: tuple[jax.Array, list[Cache]] = _everywhere(model, (hidden_1CD[:, last], caches))
    return found


@partial(jax.jit, static_argnames=("model",), donate_argnames=("rows",))
def _admit(rows: Rows, given: Admitted, last: jax.Array, caches: list[Cache], *, model: Model) -> Rows:
    def put(whole: jax.Array, new: Any) -> jax.Array:
        """Every entry of `new` into its row."""
        return whole.at[given.row_R].set(new, mode="drop")

    after = rows._replace(
        hidden_RD=put(rows.hidden_RD, last),
        t_R=put(rows.t_R, 0),
        length_R=put(rows.length_R, given.length_R),
        key_R2=put(rows.key_R2, given.key_R2),
        temperature_R=put(rows.temperature_R, given.temperature_R),
        top_p_R=put(rows.top_p_R, given.top_p_R),
        prompts=jax.tree.map(put, rows.prompts, caches),
    )
    return _spread(model, after)


@partial(jax.jit, static_argnames=("model", "chunk"), donate_argnames=("rows",))
def _advance(
    params: Any,
    layers: list[Weights],
    output: Panels | jax.Array,
    rows: Rows,
    live_R: jax.Array,
    *,
    model: Model,
    chunk: int,
) -> tuple[Rows, jax.Array, jax.Array, jax.Array]:
    bound = model.bind(params)
    last_place = rows.own[0][1].shape[3] - 1
    keys_R = jax.random.wrap_key_data(rows.key_R2)

    def body(rows: Rows, _: None) -> tuple[Rows, tuple[jax.Array, jax.Array, jax.Array]]:
        uniform_R = jax.vmap(lambda key, t: jax.random.uniform(jax.random.fold_in(key, t)))(keys_R, rows.t_R)
        token_R, logp_R = _choose(rows.hidden_RD, output, rows.temperature_R, rows.top_p_R, uniform_R, live_R)
        live_R1 = live_R[:, None]
        hidden, own = bound.step(layers, token_R[:, None], rows.t_R, rows.length_R, rows.prompts, rows.own, live_R1)
        after = rows._replace(hidden_RD=hidden[:, 0], own=own, t_R=jnp.minimum(rows.t_R + 1, last_place))
        return after, (token_R, logp_R, rows.hidden_RD)

    rows, (token_CR, logp_CR, hidden_CRD) = jax.lax.scan(body, rows, length=chunk)
    return _spread(model, rows), token_CR.T, logp_CR.T, jnp.swapaxes(hidden_CRD, 0, 1)


def _choose(
    hidden_RD: jax.Array,
    head: Panels | jax.Array,
    temperature_R: jax.Array,
    top_p_R: jax.Array,
    uniform_R: jax.Array,
    live_R: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """A token of each row and its log-prob: drawn, drawn from the nucleus, or at temperature 0 the likeliest. The
    vocabulary is sorted only where a live row needs it."""
    tempered_R = jnp.where(temperature_R > 0, temperature_R, 1.0)[:, None]
    drawn_R, logp_R = sample_token(hidden_RD, head, tempered_R, uniform_R, live_R)

    def otherwise() -> tuple[jax.Array, jax.Array]:
        logp_RV = jax.nn.log_softmax(logits_of(hidden_RD, head) / tempered_R, axis=-1)
        ranked_RV, order_RV = jax.lax.top_k(logp_RV, logp_RV.shape[1])
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

    sorting = jnp.any(live_R & ((temperature_R <= 0) | (top_p_R < 1)))
    return jax.lax.cond(sorting, otherwise, lambda: (drawn_R, logp_R))


@jax.jit
def _alternatives(
    output: Panels | jax.Array, hidden_RCD: jax.Array, temperature_R: jax.Array
) -> tuple[jax.Array, jax.Array]:
    tempered = jnp.where(temperature_R > 0, temperature_R, 1.0)[:, None, None]
    logp_RCV = jax.nn.log_softmax(logits_of(hidden_RCD, output) / tempered, axis=-1)
    logprobs, tokens = jax.lax.top_k(logp_RCV, MOST_ALTERNATIVES)
    return tokens, logprobs


PROGRAMS: tuple[Any, ...] = (_read_on, _admit, _advance, _alternatives)  # whose compiled shapes can be counted
