"""What is measured, and how often each task is sampled."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from semrep_jax.core.settings import Section, Seed
from semrep_jax.tasks.settings import EditsConfig, KernelBenchConfig, MinedTasksConfig, PerturbationConfig


class HeldOutConfig(Section):
    """The small fixed set behind the held-out curve of a training; its tasks are drawn from another seed than those
    that the arms are compared on, so that choosing the best model by it favours none there."""

    suites: list[str] = Field(["correctness"], min_length=1, description="Suites; the first decides which is best.")
    tasks: int = Field(32, ge=2, description="Tasks in each suite.")
    samples: int = Field(4, ge=1, description="Completions of each task, of the direct prompt.")
    turns: list[Literal[1, 2]] = Field([1], min_length=1, description="1: the edit directly. 2: a rewrite first.")


class EvaluateConfig(Section):
    """Held-out suites and how often each task is sampled."""

    suites: list[str] = Field(
        ["correctness", "new_families", "new_kinds", "robustness"],
        min_length=1,
        description="What is measured: these, near_families, near_kinds, plain, perturbed, "
        "perturbed_unseen, reworded, humaneval, humaneval_robustness, mined, mined_robustness, kernels, "
        "kernels_robustness, kernelbench, edits, edits_robustness, "
        "or what a plugin adds.",
    )
    tasks: int = Field(48, ge=2, description="Tasks in each suite.")
    samples: int = Field(2, ge=1, description="Completions of each task, at T=1 and at T=2 alike.")
    ks: list[int] = Field(
        [], description="k of pass@k, best@k and avg@k, 1 to evaluate.samples; [] for 1, 2, 4 ... and all samples."
    )
    temperature: float = Field(0.6, gt=0, description="Sampling temperature of evaluation.")
    batch: int = Field(48, ge=1, description="Prompts decoded together.")
    resamples: int = Field(2000, ge=100, description="Bootstrap resamples behind each 95 % interval.")
    seed: Seed = Field(1234, description="Seed of the suites; one seed, one set of tasks.")
    perturbed: PerturbationConfig = PerturbationConfig()
    every: int = Field(
        0, ge=0, description="Steps of B between points of an arm's held-out curve, from 0 to the end; 0 for no curve."
    )
    held_out: HeldOutConfig = HeldOutConfig()
    mined: MinedTasksConfig = MinedTasksConfig()
    kernelbench: KernelBenchConfig = KernelBenchConfig()
    edits: EditsConfig = EditsConfig()

    @model_validator(mode="after")
    def _each_k_has_its_samples(self) -> EvaluateConfig:
        for k in self.ks:
            if not 1 <= k <= self.samples:
                raise ValueError(
                    f"evaluate.ks: {k}, and of each task evaluate.samples = {self.samples} are drawn: k is 1 to "
                    f"{self.samples}; raise evaluate.samples or lower k"
                )
        return self
