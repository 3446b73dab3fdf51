"""`python -m semrep_jax.main serve --config C`: the policy behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import argparse
import os

from semrep_jax.commands import command
from semrep_jax.commands.command import Command
from semrep_jax.core.errors import SemRepError
from semrep_jax.core.settings import ConfigError
from semrep_jax.sandbox.pool import Sandbox


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = command.parser(
        "serve",
        "Serve the policy over HTTP: /v1/chat/completions, /v1/completions, /v1/models, /health, /metrics, and a page "
        "at /. Models: semrep (rewrite, verify, edit in one call), semrep-rewrite, direct. Needs the extra serve. "
        "SIGTERM ends what is under way and then the server.",
        "Exit code 0: it was stopped; 2: a mistake in the config.",
    )
    options.add_argument("--config", required=True, metavar="C", help="which model, e.g. configs/serve_nano.yaml")
    options.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a setting, e.g. serve.port=0"
    )
    return options


def run(options: argparse.Namespace) -> int:
    """Serve until stopped."""
    from semrep_jax.jobs import config as configuration
    from semrep_jax.jobs.run import limits

    config = configuration.load(options.config, options.set)
    if config.remote.url:
        raise ConfigError(f"remote.url: {config.remote.url} is served already; set it to null to serve model.source")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with Sandbox(config.sandbox.workers, limits(config.sandbox)) as sandbox:
        try:
            from semrep_jax.serve.server import Server
        except ModuleNotFoundError as error:
            raise SemRepError(f'{error.name} is not installed: pip install -e ".[serve]"') from error
        from semrep_jax.jobs import arms

        server = Server(config.serve, config.rollout, arms.load_model(config), sandbox)
        print(f"serving {config.model.source} on {server.url}  (a page for people there, {server.url}/v1 for clients)",
              flush=True)  # fmt: skip
        server.run()
    return 0


COMMAND = Command("serve --config C", "the policy behind an OpenAI-compatible endpoint, and a page", parser, run)
