"""The quickstart's settings learn, on a fixed seed."""

from __future__ import annotations

from itertools import islice

import numpy as np

from semrep_jax.core.stop import Stop
from semrep_jax.jobs import config
from semrep_jax.tasks.generated.generator import Generator
from semrep_jax.train.budget import TRANSFORM, Budget
from semrep_jax.train.stages import transform_stage
from semrep_jax.train.trainer import Recipe, Trainer

CHOSEN = (23, 33, 43, 49)  # tasks that the base does right in 35 to 65 of 100 samples
STEPS, THIRD = 15, 5
MARGIN = 0.08  # the mean of five steps' rewards at equal weights has a standard deviation of about 0.03


def test_the_quickstarts_settings_raise_the_reward_on_tasks_that_they_train_on(nano, verifier, tmp_path):
    """The preset as it is shipped but for its size: four tasks, over and over, for fifteen steps."""
    shipped = config.build({"job": "compare", "preset": "nano"})
    tasks = list(islice(Generator(seed=1).tasks(), CHOSEN[-1] + 1))
    stages = {TRANSFORM: transform_stage([tasks[i] for i in CHOSEN], shipped.reward, uses_rewrite=False)}
    rollout = shipped.rollout.model_copy(update={"prompts": len(CHOSEN)})
    recipe = Recipe(shipped.seed, rollout, shipped.reward, shipped.train, {})
    trainer = Trainer(recipe, stages, Budget(STEPS, 0.0), nano, verifier, tmp_path, Stop())
    reward = [trainer.step().metrics["reward"] for _ in range(STEPS)]
    assert np.mean(reward[-THIRD:]) > np.mean(reward[:THIRD]) + MARGIN, reward
