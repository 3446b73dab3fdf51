"""The server's life: compile, listen, and at SIGTERM end what is under way.

with Server(config.serve, config.rollout, base, sandbox) as server:      # compiled and listening, in a thread
    openai.OpenAI(base_url=server.url + "/v1", api_key="-")

Server(...).run()                                                        # in this thread, until SIGTERM or Ctrl-C
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import platform
import socket
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from typing import Any

import jax
import jax.numpy as jnp
import uvicorn

from semrep_jax.core.errors import SemRepError
from semrep_jax.core.progress import bar
from semrep_jax.core.stop import Stop
from semrep_jax.model.pretrained import PretrainedModel
from semrep_jax.rollout.decoding import Decoding
from semrep_jax.rollout.settings import RolloutConfig
from semrep_jax.sandbox.pool import Sandbox
from semrep_jax.serve.answers import Kitchen
from semrep_jax.serve.app import application
from semrep_jax.serve.batcher import Batcher
from semrep_jax.serve.connections import impatient
from semrep_jax.serve.draws import Draws
from semrep_jax.serve.exchange import Service
from semrep_jax.serve.guard import Gate
from semrep_jax.serve.models import Models
from semrep_jax.serve.settings import ServeConfig
from semrep_jax.serve.telemetry import Telemetry

KEEP_ALIVE = 30  # s that an idle connection is kept
BACKLOG = 512  # connections that wait to be taken
LAST_SECONDS = 2.0  # for what is left when drain_seconds are over


class ServeError(SemRepError):
    """The server can't start as asked."""


class Server:
    """One policy behind one address.

    setting, rollout: sections of the settings. base: the policy. sandbox: where the programs of `semrep` run; not
    owned. Raises ServeError where the address is taken or the key is missing.
    """

    def __init__(self, setting: ServeConfig, rollout: RolloutConfig, base: PretrainedModel, sandbox: Sandbox):
        self.setting = setting
        key = _key(setting)
        self.socket = _listening(setting.host, setting.port)
        decoding = Decoding(
            base.model,
            base.params,
            base.tokenizer.pad_id,
            rows=setting.rows,
            max_prompt=rollout.max_prompt,
            bucket=rollout.bucket,
            max_new=rollout.max_new,
            chunk=setting.chunk,
        )
        with bar("compile", decoding.steps_to_warm_up) as progress:
            for what in decoding.warming_up():
                progress.advance(what)
        self.batcher = Batcher(decoding, base.tokenizer.end_ids)
        self.threads = ThreadPoolExecutor(setting.calls, thread_name_prefix="semrep")
        kitchen = Kitchen(self.batcher, base.tokenizer, rollout, setting, sandbox)
        gate = Gate(setting.rows, setting.queue)
        self.service = Service(
            Models(kitchen, self.threads),
            setting,
            gate,
            Telemetry(self.batcher, gate),
            Draws(),
            fingerprint(setting, rollout, base),
            lambda: self.batcher.alive,
            key,
        )
        config = uvicorn.Config(
            application(self.service),
            http=impatient(setting.read_seconds),
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=int(setting.drain_seconds + 0.999),
        )
        self.uvicorn = uvicorn.Server(config)
        self._thread: Thread | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self.socket.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def run(self) -> None:
        """Serve in this thread until SIGTERM or Ctrl-C, then end what is under way (`drain_seconds` at most)."""
        with Stop():  # uvicorn raises the signal again when it has ended
            try:
                self.uvicorn.run(sockets=[self.socket])
            finally:
                self._close()

    def __enter__(self) -> Server:
        self._thread = Thread(target=self._serve, name="server", daemon=True)
        self._thread.start()
        return self

    def _serve(self) -> None:
        asyncio.run(self.uvicorn.serve(sockets=[self.socket]))

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        """As SIGTERM: end what is under way, and then the server."""
        self.uvicorn.should_exit = True
        if self._thread is not None:
            self._thread.join()
        self._close()

    def _close(self) -> None:
        """Whoever was to be answered has been, or has had `drain_seconds`."""
        self.socket.close()
        self.batcher.close(LAST_SECONDS)
        self.threads.shutdown(cancel_futures=True)


def _key(setting: ServeConfig) -> str | None:
    if setting.key_variable is None:
        return None
    key = os.environ.get(setting.key_variable)
    if not key:
        raise ServeError(
            f"serve.key_variable: the environment has no {setting.key_variable}; set it, or set the key to null to "
            "let everybody in"
        )
    return key


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        one = socket.socket(family, socket.SOCK_STREAM)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((host, port))
        one.listen(BACKLOG)
    except OSError as error:
        raise ServeError(f"serve.host {host}, serve.port {port}: {error.strerror or error}; take others") from error
    return one


def fingerprint(setting: ServeConfig, rollout: RolloutConfig, base: PretrainedModel) -> str:
    """A word that changes with anything that decides an answer's bits beside the request: the weights, the tokenizer
    and its template, the shapes, the server's own temperature, the versions, the kind of device."""

    def sums(leaf: jax.Array) -> tuple[float, float]:
        wide = leaf.astype(jnp.float32)
        return float(jnp.sum(wide)), float(jnp.sum(jnp.abs(wide)))

    device = jax.devices()[0]
    known: list[Any] = [base.digest, jax.tree.leaves(jax.tree.map(sums, base.params)), base.model.shape]
    known += [base.model.compute_config, setting.temperature, setting.rows, setting.samples, setting.chunk]
    known += [rollout.max_prompt, rollout.bucket, rollout.max_new]
    known += [jax.__version__, device.platform, device.device_kind, platform.machine()]
    return "semrep-" + hashlib.sha256(repr(known).encode()).hexdigest()[:12]
