"""Who looks on while a loop trains: a JAX trace of some steps, and Weights & Biases.

    python -m semrep_jax.main --config C --set profile.steps=10:13          # WORK/profile/ARM, opened with xprof
    WANDB_MODE=offline python -m semrep_jax.main --config C --set logging.wandb=my-project

Neither changes what is trained. Each process of a run traces its own devices into its own directory; the leader alone
talks to W&B.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import jax

from semrep_jax.core.errors import SemRepError
from semrep_jax.core.peers import Peers
from semrep_jax.core.progress import console
from semrep_jax.train.settings import LoggingConfig, ProfileConfig


class ProfileError(SemRepError):
    """The steps to be traced are not among those of the run."""


@dataclass(frozen=True)
class Monitoring:
    """What looks on. run: what the training is called there, WORK/ARM. traces: directory that traces go to."""

    profile: ProfileConfig = field(default_factory=ProfileConfig)
    logging: LoggingConfig = field(default_factory=LoggingConfig)
    run: str = ""
    traces: Path | None = None


class Trace:
    """A JAX trace of the steps that the settings name, of those that are left.

    name: of the training. done, total: its steps taken, and all of them. peers: of the run. Raises ProfileError for
    steps that it does not have.
    """

    def __init__(self, monitoring: Monitoring, name: str, done: int, total: int, peers: Peers):
        self.name, self.window, self.running, self.waiting = name, monitoring.profile.window, False, False
        if not self.window or monitoring.traces is None:
            self.window = range(0)
            return
        if self.window.stop > total:
            raise ProfileError(
                f"profile.steps: {monitoring.profile.steps} ends behind the last step of {name}, which has {total} "
                f"(0 to {total - 1}); lower it"
            )
        self.directory = monitoring.traces / (f"process-{peers.rank}" if peers.count > 1 else "")
        self.waiting = done < self.window.stop
        if self.window.stop <= done < total:
            _say(
                f"{name}: profile.steps {monitoring.profile.steps} lies behind step {done}, where it goes on: no trace"
            )

    @contextmanager
    def step(self, number: int) -> Iterator[None]:
        """Around a step: its number decides whether it is traced, and marks it in the trace."""
        if self.running and number >= self.window.stop:
            self.close()
        if self.waiting and number >= self.window.stop:
            self.waiting = False
            steps = f"{self.window.start}:{self.window.stop}"
            _say(f"{self.name}: no batch begins with a step of profile.steps {steps}: no trace; widen it")
        if not self.running and number in self.window:
            self.first, self.running, self.waiting = number, True, False
            jax.profiler.start_trace(self.directory)
        with jax.profiler.StepTraceAnnotation(self.name, step_num=number):
            yield

    def close(self) -> None:
        """Write what was traced, and say how it is opened; nothing where nothing was."""
        if not self.running:
            return
        self.running = False
        jax.profiler.stop_trace()
        _say(
            f"{self.name}: steps {self.first} to {self.window.stop - 1} are traced in {self.directory}; open them with "
            f"`pip install xprof && xprof --logdir {self.directory}`, or the trace.json.gz in it at ui.perfetto.dev"
        )


def _say(line: str) -> None:
    console.print(line, highlight=False, soft_wrap=True)
