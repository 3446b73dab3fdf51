"""What several jobs ask of a config before they start."""

from __future__ import annotations

from semrep_jax.core.bucket import scheme
from semrep_jax.core.settings import ConfigError
from semrep_jax.jobs.config import Config
from semrep_jax.jobs.job import JOBS
from semrep_jax.train.wandb_run import require_wandb


def local(config: Config) -> None:
    """Refuse a remote model, which can't be trained. Raises ConfigError."""
    if config.remote.url:
        raise ConfigError(
            f"remote.url: {config.remote.url} can only be evaluated, not trained; use job evaluate or set it to null"
        )


def services(config: Config) -> None:
    """Refuse a service whose package is not installed, and what follows a training in a job without one. Raises
    ConfigError."""
    require_wandb(config.logging)
    asked = {"profile.steps": config.profile.steps, "logging.wandb": config.logging.wandb}
    for key, value in asked.items():
        if value and not JOBS[config.job].trains:
            raise ConfigError(f"{key}: {value!r} is of a training, and job {config.job} has none; set it to ''")


def alone_in_a_bucket(config: Config) -> None:
    """Refuse several processes in a bucket, for a job that reads what one of them has written. Raises ConfigError."""
    if scheme(config.work_dir) and config.distributed.coordinator is not None:
        raise ConfigError(
            f"work_dir {config.work_dir}: the processes of job {config.job} need a directory that all share; "
            "use a path, or one process (distributed.coordinator: null)"
        )
