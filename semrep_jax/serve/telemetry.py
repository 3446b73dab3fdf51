"""What /metrics tells, in the words of Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from semrep_jax.rollout.policy import Usage
from semrep_jax.serve.batcher import Batcher
from semrep_jax.serve.guard import Gate

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Telemetry:
    """Counts of one server. Model ids that nobody serves are counted under `unknown`: strangers can't fill it."""

    def __init__(self, batcher: Batcher, gate: Gate):
        self.registry = CollectorRegistry()
        own = self.registry
        self.requests = Counter("semrep_requests", "Requests answered.", ("endpoint", "model", "status"), registry=own)
        self.seconds = Histogram(
            "semrep_request_seconds", "From request to end.", ("model",), buckets=SECONDS, registry=own
        )
        self.prompt_tokens = Counter("semrep_prompt_tokens", "Tokens of prompts.", ("model",), registry=own)
        self.completion_tokens = Counter("semrep_completion_tokens", "Tokens written.", ("model",), registry=own)
        self.gone = Counter("semrep_clients_gone", "Requests whose client left before the end.", registry=own)
        gauges = {
            "semrep_rows": ("Completions decoded side by side at most.", lambda: batcher.decoding.count),
            "semrep_rows_busy": ("Completions decoded now.", lambda: batcher.load.running),
            "semrep_waiting": ("Completions that wait for a row.", lambda: batcher.load.waiting),
            "semrep_inside": ("Completions of requests that were let in.", lambda: gate.inside),
            "semrep_refused": ("Requests refused because too many wait, since the start.", lambda: gate.refused),
            "semrep_chunks": ("Chunks decoded since the start.", lambda: batcher.load.chunks),
            "semrep_rows_busy_sum": ("Busy rows summed over those chunks.", lambda: batcher.load.busy),
            "semrep_prefills": ("Prompts computed since the start.", lambda: batcher.load.prefills),
        }
        for name, (meaning, value) in gauges.items():
            Gauge(name, meaning, registry=own).set_function(value)

    def answered(self, endpoint: str, model: str, status: int, seconds: float, cost: Usage | None) -> None:
        """Count a request.

        endpoint: its path. model: its id, or "unknown". status: of the answer. seconds: it took. cost: in tokens.
        """
        self.requests.labels(endpoint, model, str(status)).inc()
        self.seconds.labels(model).observe(seconds)
        if cost is not None:
            self.prompt_tokens.labels(model).inc(cost.prompt_tokens)
            self.completion_tokens.labels(model).inc(cost.completion_tokens)

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self.registry)
