"""The local policy: jitted prefill (a prompt once a group) and a `while_loop` decode over one typed state.

    policy = LocalPolicy.of(loaded, config.rollout)
    groups = policy.sample(prompts, n=8, temperature=1.0, key=jax.random.key(0))

gives n completions of each prompt with the log-probability of every token under the distribution it was drawn from.
A batch that begins at prompt b has the key fold_in(key, b), and token t of sample s of its prompt g the key
fold_in(fold_in(fold_in(., g), s), t): any completion can be drawn again alone. Prompt lengths are padded to multiples
of `rollout.bucket`, and batches to one size, so that a run compiles a handful of programs. With `rollout.engine:
continuous` the same draws are made by `continuous`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from semrep_jax.core.errors import NonFiniteError
from semrep_jax.core.programs import Completion, Finish
from semrep_jax.model.attention import Cache
from semrep_jax.model.decoder import Model
from semrep_jax.model.logprobs import sample_token
from semrep_jax.model.pretrained import PretrainedModel
from semrep_jax.model.tokenizer import Tokenizer
from semrep_jax.prompts import Prompt, encode
from semrep_jax.rollout.completions import completion_of
from semrep_jax.rollout.continuous import Continuous
from semrep_jax.rollout.policy import Usage
from semrep_jax.rollout.settings import Engine, RolloutConfig

FIRST_CACHE = 256
TOO_LONG = Completion("", (), (), Finish.PROMPT_TOO_LONG, 0)
Finished = Callable[[int, list[Completion]], None]


class DecodeState(NamedTuple):
    """The state of the decode loop. B prompts, G samples each, T the completion limit."""

    t: jax.Array
    token_BG: jax.Array
    done_BG: jax.Array
    tokens_BGT: jax.Array
    logprobs_BGT: jax.Array
    caches: list[Cache]


class Batch(NamedTuple):
    """Prompts padded on the right to a bucket: ids [B, P] and lengths [B]."""

    prompt_BP: np.ndarray
    length_B: np.ndarray


def pad_prompts(prompts: list[list[int]], pad_id: int, rows: int, bucket: int) -> Batch:
    """`rows` prompts (token ids), padded to a multiple of `bucket`; rows beyond those given hold one pad token.

    prompts: one at least, and `rows` at most. pad_id: the token that fills. bucket: in tokens.
    """
    longest = max(len(p) for p in prompts)
    width = -(-longest // bucket) * bucket
    ids = np.full((rows, width), pad_id, np.int32)
    lengths = np.ones(rows, np.int32)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt)] = prompt
        lengths[row] = len(prompt)
    return Batch(ids, lengths)


def cache_sizes(max_new: int) -> list[int]:
    """The lengths caches for `max_new` tokens grow through, each double the last: short completions read short ones."""
    sizes = [FIRST_CACHE]
    while sizes[-1] < max_new:
        sizes.append(2 * sizes[-1])
    return [*sizes[:-1], max_new]


@partial(jax.jit, static_argnames=("model", "group", "max_new", "end_ids", "pad_id"))
def decode(
    params: Any,
    prompt_BP: jax.Array,
    length_B: jax.Array,
    live_B: jax.Array,
    temperature: jax.Array,
    key: jax.Array,
    *,
    model: Model,
    group: int,
    max_new: int,
    end_ids: tuple[int, ...],
    pad_id: int,
) -> tuple[jax.Array, jax.Array]:
    """`group` completions of each prompt, of at most `max_new` tokens.

    prompt_BP, length_B: ids padded on the right, and lengths. live_B: rows that are false decode nothing.
    temperature: a float32 scalar. end_ids, pad_id: what ends a completion, and what fills it afterwards. Returns
    token ids and their log-probs [B, G, T]; positions after the first end token hold pad and 0.
    """
    bound = model.bind(params)
    head, weights = bound.output(), bound.layers()
    last_BD, prompts = bound.prefill(prompt_BP, length_B)
    batch = prompt_BP.shape[0]
    keys_BG = draw_keys(key, prompts=batch, group=group)

    def choose(hidden_BGD: jax.Array, t: jax.Array, live_BG: jax.Array) -> tuple[jax.Array, jax.Array]:
        uniform = jax.vmap(jax.vmap(lambda k: jax.random.uniform(jax.random.fold_in(k, t))))(keys_BG)
        return sample_token(hidden_BGD, head, temperature, uniform, live_BG)

    def record(state: DecodeState, token: jax.Array, logp: jax.Array) -> DecodeState:
        token = jnp.where(state.done_BG, pad_id, token)
        logp = jnp.where(state.done_BG, 0.0, logp)
        return state._replace(
            t=state.t + 1,
            token_BG=token,
            done_BG=state.done_BG | jnp.isin(token, jnp.array(end_ids)),
            tokens_BGT=jax.lax.dynamic_update_index_in_dim(state.tokens_BGT, token, state.t, axis=2),
            logprobs_BGT=jax.lax.dynamic_update_index_in_dim(state.logprobs_BGT, logp, state.t, axis=2),
        )

    def unfinished(size: int, state: DecodeState) -> jax.Array:
        return (state.t < size) & ~jnp.all(state.done_BG)

    def body(state: DecodeState) -> DecodeState:
        live_BG = ~state.done_BG
        hidden, caches = bound.step(weights, state.token_BG, state.t - 1, length_B, prompts, state.caches, live_BG)
        return record(state._replace(caches=caches), *choose(hidden, state.t, live_BG))

    def grown(caches: list[Cache], size: int) -> list[Cache]:
        more = (0, size - caches[0][1].shape[3])
        lead, nothing = [(0, 0)] * 3, (0, 0)
        return [(jnp.pad(k, [*lead, nothing, more]), jnp.pad(v, [*lead, more, nothing])) for k, v in caches]

    sizes = cache_sizes(max_new)
    values = jnp.zeros((batch, group, model.shape.kv_heads, sizes[0], model.shape.head_dim), last_BD.dtype)
    keys = jnp.swapaxes(values, -1, -2)
    state = DecodeState(
        t=jnp.int32(0),
        token_BG=jnp.full((batch, group), pad_id, jnp.int32),
        done_BG=jnp.broadcast_to(~live_B[:, None], (batch, group)),
        tokens_BGT=jnp.full((batch, group, max_new), pad_id, jnp.int32),
        logprobs_BGT=jnp.zeros((batch, group, max_new), jnp.float32),
        caches=[(keys, values) for _ in range(model.shape.layers)],
    )
    first = jnp.broadcast_to(last_BD[:, None], (batch, group, last_BD.shape[-1]))
    state = record(state, *choose(first, state.t, ~state.done_BG))
    for size in sizes:
        state = state._replace(caches=grown(state.caches, size))
        state = jax.lax.while_loop(partial(unfinished, size), body, state)
    return state.tokens_BGT, state.logprobs_BGT


@partial(jax.jit, static_argnames=("prompts", "group"))
def draw_keys(key: jax.Array, *, prompts: int, group: int) -> jax.Array:
    """The keys [B, G] of completions.

    key: of the batch. prompts: B. group: G of each.
    """
    keys_B = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(prompts))
    return jax.vmap(lambda k: jax.vmap(partial(jax.random.fold_in, k))(jnp.arange(group)))(keys_B)


@dataclass
class LocalPolicy:
    """Our own model as a policy. `params` may be replaced between calls; `usage` counts what was sampled."""

    model: Model
    params: Any
    tokenizer: Tokenizer
    setting: RolloutConfig
    usage: Usage = field(default_factory=Usage)
    _continuous: Continuous | None = None

    @classmethod
    def of(cls, base: PretrainedModel, setting: RolloutConfig, params: Any = None) -> LocalPolicy:
        """A loaded model as a policy.

        base: the model with its tokenizer. setting: how it writes. params: weights in the place of the model's own.
        """
        return cls(base.model, base.params if params is None else params, base.tokenizer, setting)

    def sample(
        self,
        prompts: list[Prompt],
        n: int,
        temperature: float,
        key: jax.Array,
        rows: int | None = None,
        prompt_ids: list[list[int]] | None = None,
        finished: Finished = lambda prompt, completions: None,
    ) -> list[list[Completion]]:
        """n completions of each prompt, decoded `rows` prompts at a time (None: all at once).

        prompt_ids: what `prompts.encode` gives for each prompt, from a caller that has it already. finished: told the
        place of each prompt and its completions as soon as they are there. A prompt longer than `rollout.max_prompt`
        tokens gives n empty completions with finish PROMPT_TOO_LONG. Raises NonFiniteError where a log-prob is NaN or
        infinite: then what was drawn means nothing.
        """
        if prompt_ids is None:
            prompt_ids = [encode(prompt, self.tokenizer) for prompt in prompts]
        rows = rows or len(prompt_ids)
        batches = [(jax.random.fold_in(key, start), start) for start in range(0, len(prompt_ids), rows)]
        if self.setting.engine is Engine.CONTINUOUS:
            return self._continuously(prompt_ids, n, temperature, [k for k, _ in batches], rows, finished)
        groups: list[list[Completion]] = []
        for batch_key, start in batches:
            found = self._batch(prompt_ids[start : start + rows], n, temperature, batch_key, rows)
            for place, group in enumerate(found, start):
                finished(place, group)
            groups += found
        return groups

    def _continuously(
        self,
        prompt_ids: list[list[int]],
        n: int,
        temperature: float,
        batch_keys: list[jax.Array],
        rows: int,
        finished: Finished,
    ) -> list[list[Completion]]:
        """As `sample`, by continuous batching, with the draws that batches of `rows` prompts with these keys have."""
        if self._continuous is None:
            self._continuous = Continuous(self.model, self.params, self.tokenizer, self.setting)
        keys = [jax.random.key_data(draw_keys(key, prompts=rows, group=n)) for key in batch_keys]
        keys_BG2 = np.concatenate(jax.device_get(keys))[: len(prompt_ids)]
        groups: list[list[Completion]] = [[TOO_LONG] * n for _ in prompt_ids]
        fit = [place for place, ids in enumerate(prompt_ids) if len(ids) <= self.setting.max_prompt]
        missing = [n] * len(fit)
        for place in range(len(prompt_ids)):
            if place not in fit:
                finished(place, groups[place])

        def ended(b: int, g: int, completion: Completion) -> None:
            groups[fit[b]][g] = completion
            missing[b] -= 1
            if not missing[b]:
                finished(fit[b], groups[fit[b]])

        asked = [prompt_ids[place] for place in fit]
        self._continuous.sample(self.params, asked, keys_BG2[fit], temperature, ended)
        self._count(prompt_ids, groups)
        return groups

    def _batch(
        self, prompt_ids: list[list[int]], n: int, temperature: float, key: jax.Array, rows: int
    ) -> list[list[Completion]]:
        fits = [len(ids) <= self.setting.max_prompt for ids in prompt_ids]
        shown = [ids if ok else ids[:1] for ids, ok in zip(prompt_ids, fits, strict=True)]
        padded = pad_prompts(shown, self.tokenizer.pad_id, rows, self.setting.bucket)
        live = np.array(fits + [False] * (rows - len(prompt_ids)))
        tokens, logprobs = self._decode(padded, live, n, temperature, key)
        groups = []
        for row, ok in enumerate(fits):
            if ok:
                size = len(prompt_ids[row])
                drawn = enumerate(zip(tokens[row].tolist(), logprobs[row].tolist(), strict=True))
                groups.append([completion_of(ids, lps, self.tokenizer, 0 if i else size) for i, (ids, lps) in drawn])
            else:
                groups.append([TOO_LONG] * n)
        self._count(prompt_ids, groups)
        return groups

    def _count(self, prompt_ids: list[list[int]], groups: list[list[Completion]]) -> None:
        """Add what these groups cost to `usage`. Raises NonFiniteError."""
        drawn = [logprob for group in groups for completion in group for logprob in completion.logprobs]
        if not np.isfinite(drawn).all():
            raise NonFiniteError("the policy's own log-probs are NaN or infinite: its weights make them overflow")
        for ids, group in zip(prompt_ids, groups, strict=True):
            self.usage.rollouts += len(group)
            self.usage.prompt_tokens += 0 if group[0].finish is Finish.PROMPT_TOO_LONG else len(ids)
            self.usage.completion_tokens += sum(len(completion.token_ids) for completion in group)

    def _decode(
        self, padded: Batch, live: np.ndarray, n: int, temperature: float, key: jax.Array
    ) -> tuple[np.ndarray, np.ndarray]:
        """Token ids and log-probs [B, G, T] on the host, whole on every process."""
        sharding = self.model.sharding
        prompt, length, live = sharding.batch((padded.prompt_BP, padded.length_B, live))
        decoded = decode(
            self.params,
            prompt,
            length,
            live,
            jnp.float32(temperature),
            key,
            model=self.model,
            group=n,
            max_new=self.setting.max_new,
            end_ids=self.tokenizer.end_ids,
            pad_id=self.tokenizer.pad_id,
        )
        return sharding.fetch(decoded)
