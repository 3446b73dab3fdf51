"""A training's metrics in Weights & Biases, beside metrics.jsonl, which stays the record.

    WANDB_MODE=offline python -m semrep_jax.main --config C --set logging.wandb=my-project
    wandb sync runs/x/arms/semrep/wandb/offline-run-*           # later, where there is a network

A run that goes on keeps its id (wandb.json beside metrics.jsonl), so that W&B shows one curve. A service that can't be
reached, at the start or later, ends no run: what is logged stays on disk, and one line says so.
"""

from __future__ import annotations

import json
import math
import uuid
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from semrep_jax.core.progress import console
from semrep_jax.core.settings import ConfigError
from semrep_jax.core.workdir import write_atomically
from semrep_jax.train.settings import LoggingConfig

START_SECONDS = 30  # that W&B has to answer
FINISH_SECONDS = 60  # that sending what is left may hold up the end of a training


def require_wandb(setting: LoggingConfig) -> None:
    """Raise ConfigError where W&B is asked for and not installed."""
    if setting.wandb and find_spec("wandb") is None:
        raise ConfigError(
            f"logging.wandb: {setting.wandb!r} needs the package wandb; pip install -e '.[wandb]', or set it to ''"
        )


class WandbRun:
    """A run of a W&B project.

    project: its name. directory: of the training; the id and what waits to be sent lie there. name: WORK/ARM, as W&B
    shows it. config: flat settings.
    """

    def __init__(self, project: str, directory: Path, name: str, config: dict[str, Any]):
        import wandb

        self.directory = directory
        settings = wandb.Settings(
            init_timeout=START_SECONDS,
            login_timeout=START_SECONDS,
            finish_timeout=FINISH_SECONDS,
            console="off",
            silent=True,
        )
        how: dict[str, Any] = {
            "project": project,
            "id": _id(directory / "wandb.json"),
            "resume": "allow",
            "name": name,
            "group": name.partition("/")[0],
            "dir": str(directory),
            "config": config,
            "settings": settings,
        }
        try:
            self.run: Any = wandb.init(**how)
        except Exception as error:  # no network, no key, a service that is down: all of them W&B's
            self._lost(error, "it is logged offline")
            wandb.teardown()  # the service still holds the id
            self.run = wandb.init(**how, mode="offline")

    def write(self, step: int, metrics: dict[str, Any]) -> None:
        """Log one step's metrics; numbers that are none are left out."""
        if self.run is None:
            return
        known = {k: v for k, v in metrics.items() if not isinstance(v, float) or math.isfinite(v)}
        try:
            self.run.log(known, step=step)
        except Exception as error:
            self._lost(error, "no more is logged there")
            self.run = None

    def close(self) -> None:
        """Send what is left, for a minute at most."""
        if self.run is None:
            return
        try:
            self.run.finish()
        except Exception as error:
            self._lost(error, "what was not sent is kept")

    def _lost(self, error: Exception, what: str) -> None:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        console.print(
            f"W&B: {line}; the training goes on, {what}, and `wandb sync {self.directory / 'wandb'}/*run-*` sends it",
            highlight=False,
            soft_wrap=True,
        )


def _id(path: Path) -> str:
    """The run's id, made at its first start."""
    if not path.exists():
        write_atomically(path, json.dumps({"id": uuid.uuid4().hex[:8]}))
    return str(json.loads(path.read_text())["id"])
