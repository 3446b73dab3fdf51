"""How often a model succeeds on tasks it was not trained on: stage 1, the direct edit, and the edit with a known rewrite.

    python tools/base_success.py [--source nano] [--temperature 0.7] [--tasks 96]

Draws fresh tasks (a seed of their own) of the training families, the test split, the held-out families and the held-out kinds of
edit, samples two completions each, and prints the share that the verifier accepts. About half a minute on 2 CPU cores; the last
line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
from itertools import islice

import jax

from semrep_jax import prompts, rewards
from semrep_jax.core.programs import Task, Verdict
from semrep_jax.model import pretrained, sharding
from semrep_jax.rewards import DuplicateRule
from semrep_jax.rollout.local import LocalPolicy
from semrep_jax.rollout.settings import RolloutConfig
from semrep_jax.sandbox.pool import Sandbox
from semrep_jax.tasks.generated.families import HELD_OUT_FAMILIES
from semrep_jax.tasks.generated.generator import HELD_OUT_KINDS, Generator
from semrep_jax.train.trainer import program_of
from semrep_jax.verify import Verifier

SEED = 7
GENERATORS = {
    "train": Generator(seed=SEED),
    "test": Generator("test", seed=SEED),
    "new_families": Generator("test", families=HELD_OUT_FAMILIES, seed=SEED),
    "new_kinds": Generator("test", kinds=HELD_OUT_KINDS, seed=SEED),
}


def verdicts(
    policy: LocalPolicy, verifier: Verifier, tasks: list[Task], texts: list[str], temperature: float, key: int
) -> list[Verdict]:
    """Two samples of each prompt, judged on its task."""
    groups = policy.sample(texts, 2, temperature, jax.random.key(key))
    return verifier.verify_all(
        [(t, program_of(c, t.source.language)) for t, group in zip(tasks, groups, strict=True) for c in group]
    )


def share(flags: list[bool]) -> float:
    """Share of true flags."""
    return round(sum(flags) / len(flags), 4)


def main() -> None:
    """Sample and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default="nano", help="'nano' or a model directory")
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--tasks", type=int, default=96, help="tasks in each set")
    options = parser.parse_args()
    figures: dict[str, float] = {}
    with Verifier(Sandbox(2)) as verifier:
        loaded = pretrained.load(options.source, sharding.build())
        policy = LocalPolicy(loaded.model, loaded.params, loaded.tokenizer, RolloutConfig(bucket=192))
        for name, generator in GENERATORS.items():
            edits = list(islice(generator.tasks(), options.tasks))
            sources = list(islice(generator.tasks(rewriting=True), options.tasks))
            known = [generator.example(int(t.id.rsplit("/", 1)[1])).rewrite for t in edits]
            rewritten = verdicts(
                policy, verifier, sources, [prompts.rewrite(t.source) for t in sources], options.temperature, 0
            )
            direct = [prompts.transform(t.source, t.instruction) for t in edits]
            guided = [prompts.transform(t.source, t.instruction, k) for t, k in zip(edits, known, strict=True)]
            figures[f"{name}/rewrite_accepted"] = share(
                [rewards.accepted(v, DuplicateRule.CANONICAL) for v in rewritten]
            )
            figures[f"{name}/rewrite_equivalent"] = share([v.equivalent for v in rewritten])
            figures[f"{name}/direct"] = share(
                [v.correct for v in verdicts(policy, verifier, edits, direct, options.temperature, 1)]
            )
            figures[f"{name}/guided"] = share(
                [v.correct for v in verdicts(policy, verifier, edits, guided, options.temperature, 1)]
            )
            print(name, {k.split("/")[1]: v for k, v in figures.items() if k.startswith(f"{name}/")}, flush=True)
    settings = {"source": options.source, "temperature": options.temperature, "tasks": options.tasks}
    print(json.dumps({"bench": "base_success", "settings": settings, "figures": figures}))


if __name__ == "__main__":
    main()
