"""How often a model succeeds on tasks it has not seen: stage 1, the direct edit, and the edit with a known rewrite.

    python tools/base_success.py                                          # the nano base; half a minute on 2 cores
    python tools/base_success.py --source DIRECTORY --temperature 1.0 --tasks 96

Draws fresh tasks (a seed of their own) of the training families, the test split, the held-out families and the
held-out kinds of edit, samples two completions each, and prints the share that the verifier accepts, a line a set; the
last line is one JSON object.
"""

from __future__ import annotations

import argparse
from itertools import islice

import checkout  # noqa: F401  (first: the package beside this file is the one that runs)
import jax
from figures import report

from semrep_jax import prompts, rewards
from semrep_jax.core.programs import Task, Verdict
from semrep_jax.inference.rewrite import program_of
from semrep_jax.model import pretrained, sharding
from semrep_jax.rewards import DuplicateRule
from semrep_jax.rollout.local import LocalPolicy
from semrep_jax.rollout.settings import RolloutConfig
from semrep_jax.sandbox.pool import Sandbox
from semrep_jax.tasks.generated.families import HELD_OUT_FAMILIES
from semrep_jax.tasks.generated.generator import HELD_OUT_KINDS, Generator
from semrep_jax.verify import Verifier

SEED = 7
SAMPLES = 2
GENERATORS = {
    "train": Generator(seed=SEED),
    "test": Generator("test", seed=SEED),
    "new_families": Generator("test", families=HELD_OUT_FAMILIES, seed=SEED),
    "new_kinds": Generator("test", kinds=HELD_OUT_KINDS, seed=SEED),
}


class Model:
    """A model that answers prompts, and the verifier that judges what it says."""

    def __init__(self, source: str, temperature: float, verifier: Verifier):
        self.policy = LocalPolicy.of(pretrained.load(source, sharding.build()), RolloutConfig(bucket=192))
        self.temperature, self.verifier = temperature, verifier

    def verdicts(self, tasks: list[Task], texts: list[str], key: int) -> list[Verdict]:
        """Of two samples of each prompt, judged on its task; `key` draws them."""
        groups = self.policy.sample(texts, SAMPLES, self.temperature, jax.random.key(key))
        return self.verifier.verify_all(
            [(t, program_of(c, t.source.language)) for t, group in zip(tasks, groups, strict=True) for c in group]
        )


def share(flags: list[bool]) -> float:
    """Share of true flags."""
    return sum(flags) / len(flags)


def success(model: Model, generator: Generator, count: int) -> dict[str, float]:
    """Shares of success on so many of a generator's tasks."""
    edits = list(islice(generator.tasks(), count))
    sources = list(islice(generator.tasks(rewriting=True), count))
    known = [generator.example(int(task.id.rsplit("/", 1)[1])).rewrite for task in edits]
    rewritten = model.verdicts(sources, [prompts.rewrite(t.source) for t in sources], 0)
    direct = model.verdicts(edits, [prompts.transform(t.source, t.instruction) for t in edits], 1)
    with_rewrite = [prompts.transform(t.source, t.instruction, k) for t, k in zip(edits, known, strict=True)]
    rewrite_first = model.verdicts(edits, with_rewrite, 1)
    return {
        "rewrite_accepted": share([rewards.accepted(v, DuplicateRule.CANONICAL) for v in rewritten]),
        "rewrite_equivalent": share([v.equivalent for v in rewritten]),
        "direct": share([v.correct for v in direct]),
        "with_rewrite": share([v.correct for v in rewrite_first]),
    }


def main() -> None:
    """Sample and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default="nano", help="'nano' or a model directory")
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--tasks", type=int, default=96, help="tasks in each set")
    options = parser.parse_args()
    figures: dict[str, float] = {}
    with Verifier(Sandbox(2)) as verifier:
        model = Model(options.source, options.temperature, verifier)
        for name, generator in GENERATORS.items():
            found = success(model, generator, options.tasks)
            print(name, {metric: round(value, 4) for metric, value in found.items()}, flush=True)
            figures |= {f"{name}/{metric}": value for metric, value in found.items()}
    report("base_success", jax.devices()[0].device_kind, figures, {}, ["jax", "flax"], settings=vars(options))


if __name__ == "__main__":
    main()
