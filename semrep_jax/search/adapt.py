"""`adapt`: a few GRPO steps on the one task that is searched, and what they cost.

    learner = GrpoLearner(task, base, config.rollout, config.train, temperature=1.0, steps=1, most=4)
    Search(problem, "adapt", plan, learner.policy, key, learner=learner).run(journal)

R_inst is flat on a group that is wrong throughout, and a search is over once one of it is right; so the reward here is
a share: of U_sem, of U_edit, and of the group's spread of values where something is measured. The model begins each
task as the base was. A token that is trained on costs as much as three that are read (a backward pass is two forward
ones), and is paid for from the same budget: an update that does not fit is not made, and ends the search.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from semrep_jax import prompts
from semrep_jax.core.programs import Completion, Score, Task
from semrep_jax.model.pretrained import PretrainedModel
from semrep_jax.rewards import Term
from semrep_jax.rollout.local import LocalPolicy
from semrep_jax.rollout.settings import RolloutConfig
from semrep_jax.search.node import Node
from semrep_jax.search.run import Written
from semrep_jax.train.advantages import Scored, advantages
from semrep_jax.train.batch import Group, RolloutBatch, make_batch
from semrep_jax.train.optimiser import initial_state
from semrep_jax.train.settings import KL, Correction, TrainConfig
from semrep_jax.train.update import compiled_update, optimiser_of

COST = 3  # of a token that is trained on, in tokens that are read
WEIGHTS = {"compiled": 0.1, "preserve": 0.3, "edit": 0.6, "value": 0.6}


@dataclass
class GrpoLearner:
    """Updates a policy of its own.

    task: what is searched. base: the model to begin with. rollout, train: settings of sampling and of the objective;
    neither a KL term nor a correction is used, as the model is never far from what sampled. temperature: of sampling.
    steps: updates on each round. most: updates of a whole search, over which the learning rate falls.
    """

    task: Task
    base: PretrainedModel
    rollout: RolloutConfig
    train: TrainConfig
    temperature: float
    steps: int
    most: int
    policy: LocalPolicy = field(init=False)

    def __post_init__(self) -> None:
        base = self.base
        self.policy = LocalPolicy.of(base, self.rollout)
        plain = {"budget": self.most, "kl": KL.NONE, "correction": Correction.NONE}
        self.setting = self.train.model_copy(update=plain)
        self.update = compiled_update(base.model, self.setting, self.temperature)
        _, self.frozen = base.model.split(base.params)
        self.begin()

    def begin(self) -> None:
        """Forget what was learnt."""
        self.arrays = initial_state(self.base.model, optimiser_of(self.setting), self.base.params)
        self.policy.params = self.base.params

    def price(self, written: Sequence[Written]) -> int:
        """Tokens that learning from a round costs; 0 where nothing can be learnt from it."""
        batch = self._batch(written)
        return 0 if batch is None else self.steps * COST * int(batch.mask.sum() + batch.length.sum())

    def learn(self, written: Sequence[Written]) -> None:
        """Learn from a round that was judged."""
        batch = self._batch(written)
        if batch is None:
            return
        arrays: Any = self.base.model.sharding.batch(batch)
        for _ in range(self.steps):
            self.arrays, _ = self.update(self.arrays, self.frozen, arrays)
        self.policy.params = self.base.model.join(self.arrays["params"], self.frozen)

    def _batch(self, written: Sequence[Written]) -> RolloutBatch | None:
        """The arrays of a round; None where its members differ in nothing that is paid."""
        asked = [one for one in written if one.prompt is not None and one.completion is not None]
        if not asked or any(one.prompt != asked[0].prompt for one in asked):
            return None
        said: list[Completion] = [one.completion for one in asked if one.completion is not None]
        scored = _scored([one.node for one in asked])
        found = advantages([scored], self.setting.advantage)
        if not found.keep.any() or asked[0].prompt is None:
            return None
        ids = prompts.encode(asked[0].prompt, self.base.tokenizer)
        group = Group(self.task, prompt_ids=ids, completions=said)
        return make_batch(
            [group],
            found,
            max_new=self.rollout.max_new,
            bucket=self.rollout.bucket,
            pad_id=self.base.tokenizer.pad_id,
            mask_truncated=False,
        )


def _scored(nodes: Sequence[Node]) -> list[Scored]:
    """What each member of a round is paid; the best ones stand for right ones, so that a round that is wrong throughout
    is learnt from too."""
    values = [node.value for node in nodes if node.value is not None]
    low, high = (min(values), max(values)) if values else (0.0, 0.0)
    terms = [_terms(node, low, high) for node in nodes]
    totals = [sum(term.weight * term.value for term in some) for some in terms]
    best = max(totals)
    return [Scored(some, total == best and total > 0) for some, total in zip(terms, totals, strict=True)]


def _terms(node: Node, low: float, high: float) -> tuple[Term, ...]:
    parts = {
        "compiled": float(node.compiled),
        "preserve": node.compiled * Score(*node.preserve).share,
        "edit": node.compiled * Score(*node.edit).share,
    }
    if high > low:
        parts["value"] = 0.0 if node.value is None else (node.value - low) / (high - low)
    return tuple(Term(name, WEIGHTS[name], value) for name, value in parts.items())
