"""A step's groups, and the arrays of the update that are made of them.

A `Group` is made first, one a task, and each phase fills it; `RolloutBatch` is what the compiled update sees.
Axis letters: B prompts, G completions of each, P prompt tokens, T completion tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import numpy as np

from semrep_jax.core.programs import Completion, Finish, Program, Task, Verdict
from semrep_jax.rewards import Judged
from semrep_jax.rollout.local import pad_prompts
from semrep_jax.train.advantages import Advantages, Scored


@dataclass
class Group:
    """One task of a step with everything that comes of it, in the order in which it comes.

    c_rep: the program in the prompt beside C_src, an accepted rewrite or C_src itself where none was; None where the
    stage uses none. Lists have one entry a completion. likelihoods: asks the base for the log-probability a token of
    each; utilities: asks the policy what each does for edits. Of joint trajectories: rewrite_ids: the prompt of turn 1;
    rewrites: what was written there; c_reps: what stands in each member's prompt of turn 2, in the place of c_rep.
    """

    task: Task
    c_rep: Program | None = None
    prompt_ids: list[int] = field(default_factory=list)
    completions: list[Completion] = field(default_factory=list)
    programs: list[Program | str] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    scored: list[Scored] = field(default_factory=list)
    likelihoods: Callable[[], Sequence[float]] | None = None
    utilities: Callable[[], Sequence[float]] | None = None
    rewrite_ids: list[int] = field(default_factory=list)
    rewrites: list[Completion] = field(default_factory=list)
    c_reps: list[Program] = field(default_factory=list)

    @property
    def shown(self) -> list[Program | None]:
        """The C_rep in the prompt of each completion."""
        return [*self.c_reps] or [self.c_rep] * len(self.completions)

    @property
    def judged(self) -> Judged:
        """What a reward is a function of."""
        return Judged(self.task, self.programs, self.verdicts, self.likelihoods, self.utilities)

    @property
    def share_correct(self) -> float:
        """Share of its judged members that are right; 0 where none was judged."""
        judged = [member.correct for member in self.scored if member.judged]
        return sum(judged) / len(judged) if judged else 0.0

    @property
    def failed(self) -> bool:
        """Whether all of its members were judged and none is right."""
        return all(member.judged and not member.correct for member in self.scored)


@partial(
    jax.tree_util.register_dataclass,
    # by name, as a dictionary's would be: the compiled program, and so its rounding, depends on the order
    data_fields=["advantage", "completion", "length", "mask", "old", "prompt", "reference", "sampled"],
    meta_fields=[],
)
@dataclass
class RolloutBatch:
    """Arrays of one update, on the host or on the devices.

    prompt: [B, P] int32, padded on the right. length: [B] int32, of each prompt. completion: [B, G, T] int32. mask: [B,
    G, T] bool, the tokens that count, up to and including the first end token. sampled: [B, G, T] float32, the
    sampler's log-probs (nats). advantage: [B, G] float32. old: [B, G, T] float32, the trainer's log-probs before the
    update, for `correction: tis`. reference: [B, G, T] float32, the base's log-probs, for `kl: k3`.
    """

    prompt: Any
    length: Any
    completion: Any
    mask: Any = None
    sampled: Any = None
    advantage: Any = None
    old: Any = None
    reference: Any = None


def make_batch(
    groups: Sequence[Group],
    advantage: Advantages,
    *,
    max_new: int,
    bucket: int,
    pad_id: int,
    mask_truncated: bool,
    micro_batch: int = 0,
) -> RolloutBatch:
    """The host arrays of a step's groups.

    advantage: of each completion, and which of them count. max_new: T. bucket: P is a multiple of it. pad_id: fills.
    mask_truncated: whether completions that ran into the limit count for nothing. micro_batch: groups in a piece of the
    update; those that count come into its first pieces, and the last one is filled up. 0: all groups in their order.
    """
    places = piece_by_piece(advantage.keep, micro_batch)
    shape = (len(places), advantage.values.shape[1], max_new)
    ids = np.full(shape, pad_id, np.int32)
    sampled, mask = np.zeros(shape, np.float32), np.zeros(shape, bool)
    values = np.zeros(shape[:2], np.float32)
    prompts: list[list[int]] = [[pad_id]] * len(places)
    for row, b in enumerate(places):
        if b is None:
            continue
        group, values[row] = groups[b], advantage.values[b]
        for g, completion in enumerate(group.completions):
            size = len(completion.token_ids)
            ids[row, g, :size], sampled[row, g, :size] = completion.token_ids, completion.logprobs
            dropped = mask_truncated and completion.finish is Finish.LENGTH
            mask[row, g, :size] = advantage.counts[b, g] and not dropped
        too_long = group.completions[0].finish is Finish.PROMPT_TOO_LONG
        prompts[row] = group.prompt_ids[:1] if too_long else group.prompt_ids
    prompt, length = pad_prompts(prompts, pad_id, len(prompts), bucket)
    return RolloutBatch(prompt, length, ids, mask, sampled, values)


def piece_by_piece(keep: np.ndarray, micro_batch: int) -> list[int | None]:
    """The group at each row of an update's arrays, None for a row that fills up.

    keep: [B] bool, the groups that count. micro_batch: M groups make a piece, 0 for all in their order. Piece i of N
    holds the rows i, i + N, i + 2 N ... (as `accumulate.gradient` cuts them), the first pieces the groups that count.
    """
    if not micro_batch:
        return list(range(len(keep)))
    pieces = padded(len(keep), micro_batch) // micro_batch
    rows: list[int | None] = [None] * (pieces * micro_batch)
    for place, b in enumerate(np.argsort(~keep, kind="stable")):
        rows[place % micro_batch * pieces + place // micro_batch] = int(b)
    return rows


def padded(groups: int, micro_batch: int) -> int:
    """Rows of the update's arrays for a step's groups: the next multiple of `micro_batch` (0 for one piece)."""
    return -(-groups // micro_batch) * micro_batch if micro_batch else groups
