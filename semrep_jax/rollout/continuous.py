"""Groups of completions by continuous batching: a row that ends is refilled at once, not when the longest has ended.

    sampler = Continuous(model, params, tokenizer, config.rollout)
    sampler.sample(params, prompt_ids, keys_BG2, temperature=1.0, ended=print)   # ended(prompt, sample, completion)

The rows (`rollout.rows`), their caches and everything compiled stay from call to call. Where completions differ much in
length this saves most of the decoding; where they don't, `decode` (`rollout.engine: batch`) is as fast and shares a
prompt's keys and values in a group.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from semrep_jax.core.programs import Completion
from semrep_jax.model.decoder import Model
from semrep_jax.model.tokenizer import Tokenizer
from semrep_jax.rollout.completions import completion_of
from semrep_jax.rollout.decoding import Ask, Decoding
from semrep_jax.rollout.settings import RolloutConfig
from semrep_jax.rollout.slots import Piece, Slots

CHUNK = 8  # tokens between two looks at what has ended
Ended = Callable[[int, int, Completion], None]


class Continuous:
    """Draws completions with the parameters of each call. model, params, tokenizer: the policy's. setting: of the
    section `rollout`."""

    def __init__(self, model: Model, params: Any, tokenizer: Tokenizer, setting: RolloutConfig):
        self.params, self.tokenizer, self.setting = params, tokenizer, setting
        decoding = Decoding(
            model,
            params,
            tokenizer.pad_id,
            rows=setting.rows,
            max_prompt=setting.max_prompt,
            bucket=setting.bucket,
            max_new=setting.max_new,
            chunk=CHUNK,
        )
        self.slots = Slots(decoding, tokenizer.end_ids)

    def sample(
        self, params: Any, prompt_ids: Sequence[list[int]], keys_BG2: np.ndarray, temperature: float, ended: Ended
    ) -> None:
        """Draw G completions of each prompt; `ended` gets each with its places as soon as it is whole.

        params: of the policy now. prompt_ids: of B prompts, each of `rollout.max_prompt` tokens at most. keys_BG2: two
        words of uint32 that decide each completion. A completion is charged for its prompt where it is the first.
        """
        if params is not self.params:
            self.params = params
            self.slots.load_params(params)
        for b, ids in enumerate(prompt_ids):
            for g, words in enumerate(keys_BG2[b]):
                ask = Ask(tuple(ids), (int(words[0]), int(words[1])), self.setting.max_new, temperature)
                self.slots.submit(ask, self._listener(b, g, 0 if g else len(ids), ended))
        try:
            while self.slots.busy:
                self.slots.round()
        except BaseException:  # a listener's, or Ctrl-C in a notebook: nothing of this call may come up in the next
            self.slots.forget()
            raise

    def _listener(self, b: int, g: int, prompt_tokens: int, ended: Ended) -> Callable[[Piece], None]:
        """What puts the pieces of sample g of prompt b together. prompt_tokens: that it is charged for."""
        tokens: list[int] = []
        logprobs: list[float] = []

        def heard(piece: Piece) -> None:
            tokens.extend(piece.token_ids)
            logprobs.extend(piece.logprobs)
            if piece.end is not None:
                ended(b, g, completion_of(tokens, logprobs, self.tokenizer, prompt_tokens))

        return heard
