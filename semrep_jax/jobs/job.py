"""What a job is, and which there are. A new one is one file.

JOB = Job("distil", "train a small model on the edits of a large one", run, settings=("seed", "model", "train"))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from semrep_jax.core.plugins import Registry
from semrep_jax.core.results import Results
from semrep_jax.core.stop import Stop
from semrep_jax.core.workdir import WorkDir
from semrep_jax.verify import Verifier

if TYPE_CHECKING:
    from semrep_jax.jobs.config import Config

TRAINING = (
    "job",
    "seed",
    "model",
    "mesh",
    "tasks",
    "rollout",
    "inference",
    "reward",
    "train",
    "sandbox",
    "cuda",
)  # what it depends on
# Settings that a run which goes on in the same directory need not share; its checkpoints say what that means.
MAY_CHANGE = ("train.budget", "supervised.steps", "mesh.data", "mesh.fsdp", "mesh.tensor")


@dataclass(frozen=True)
class Context:
    """What a job is run with. verifier: None for a job that runs no programs of strangers through it. around: the
    work directory of the job that this is a part of, where it is one."""

    work: WorkDir
    stop: Stop
    verifier: Verifier | None = None
    around: WorkDir | None = None

    @property
    def shared(self) -> Path:
        """Where what is the same for all parts of a job is kept."""
        return (self.around or self.work).path

    @property
    def judges(self) -> Verifier:
        """The verifier, of a job that said it needs one."""
        assert self.verifier is not None
        return self.verifier


def _nothing(config: Config) -> None:
    """No setting is impossible for this job alone."""


@dataclass(frozen=True)
class Job:
    """A job of the command.

    name: `job: NAME`. summary: its line in --help. run: does it; raises Stopped after a SIGTERM with everything saved.
    settings: the sections that a run which goes on in the same directory must share. verifies: whether it judges
    programs. trains: whether it trains what `profile` and `logging` follow. shares: whether several processes may work
    on it in one directory, each with the same command; it claims its parts itself. check: raises ConfigError for
    settings that are impossible for this job.
    """

    name: str
    summary: str
    run: Callable[[Config, Context], Results]
    settings: tuple[str, ...] = TRAINING
    verifies: bool = True
    trains: bool = True
    shares: bool = False
    check: Callable[[Config], None] = _nothing


JOBS: Registry[Job] = Registry(
    "job",
    "job",
    {
        name: f"semrep_jax.jobs.{name}:JOB"
        for name in ("compare", "train", "sweep", "evaluate", "headroom", "search", "pretrain", "mine", "plan")
    },
)
