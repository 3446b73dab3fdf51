"""The server under 64 clients at once: requests of mixed lengths, some cancelled half-way, some malformed.

    pip install -e ".[dev]" && python tools/bench_serve.py            # about a minute on two cores

A server of its own with the nano base. First every request is sent one at a time, then all of them by 64 clients side
by side. `throughput_ratio` is tokens a second side by side over tokens a second one at a time, of the same requests on
the same server; `ratio_to_one_row` over those of a server that decodes one row at a time, which wastes nothing on rows
that are empty. `lost`: requests without the answer that was due (a completion, a refusal with the right status, or a
cancelled stream). `mixed_up`: answers that differ from the one to the same request alone, in any character or log-prob.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import checkout  # noqa: F401  (first: the package beside this file is the one that runs)
import openai
from figures import Bar, report

from semrep_jax.core.progress import bar
from semrep_jax.sandbox.pool import Sandbox

BARS = {"throughput_ratio": Bar(3), "lost": Bar(0, at_most=True), "mixed_up": Bar(0, at_most=True)}
CLIENTS = 64
MAX_PROMPT, MAX_NEW = 192, 88
PROGRAM = """def run(xs):
    res = []
    s = {k}
    for a in xs:
        s = max(s, a - {n})
        res.append(s)
    return res"""


@dataclass(frozen=True)
class Job:
    """One request. kind: whole, stream, leaves (a stream that is left after its first words) or malformed."""

    kind: str
    body: dict[str, Any]
    status: int = 200


@dataclass(frozen=True)
class Answered:
    """What came of it. said: text and log-probs; None where none are due. seconds: wall time. right: as was due."""

    said: Any
    tokens: int
    seconds: float
    right: bool


def jobs(count: int) -> list[Job]:
    """Requests for 4 to 88 tokens, the median near 20; every eighth leaves, every eighth is malformed."""
    rng, made = random.Random(0), []
    for number in range(count):
        program = PROGRAM.format(k=rng.randint(0, 9), n=rng.randint(2, 9))
        long = min(MAX_NEW, max(4, int(rng.lognormvariate(3.0, 0.8))))
        body: dict[str, Any] = {
            "model": rng.choice(["direct", "semrep-rewrite"]),
            "messages": [
                {"role": "user", "content": f"Instruction: use the sum instead\n\n```python\n{program}\n```"}
            ],
            "max_tokens": long, "temperature": rng.choice([0.0, 0.7, 1.5]), "seed": number, "extra_body": {"repeat": 0},
            "logprobs": True,
        }  # fmt: skip
        if number % 8 == 3:
            made.append(Job("leaves", body | {"max_tokens": MAX_NEW, "temperature": 2.0}))
        elif number % 8 == 6:
            wrong = [({"model": "none"}, 404), ({"temperature": -1}, 400), ({"messages": []}, 400), ({"n": 10**6}, 400)]
            change, status = wrong[rng.randrange(len(wrong))]
            made.append(Job("malformed", body | change, status))
        else:
            made.append(Job("stream" if number % 8 == 1 else "whole", body))
    return made


async def answered(client: openai.AsyncOpenAI, job: Job) -> Answered:
    """Send one request and hear it to its end, or to where its client leaves."""
    began = time.perf_counter()

    def after(said: Any, tokens: int, right: bool) -> Answered:
        return Answered(said, tokens, time.perf_counter() - began, right)

    try:
        if job.kind in ("whole", "malformed"):
            answer = await client.chat.completions.create(**job.body)
            choice = answer.choices[0]
            logprobs = [entry.logprob for entry in choice.logprobs.content]
            return after([choice.message.content, logprobs], len(logprobs), job.kind == "whole")
        text, logprobs, finish = "", [], None
        stream = await client.chat.completions.create(**job.body, stream=True)
        async with stream:
            async for piece in stream:
                choice = piece.choices[0]
                text += choice.delta.content or ""
                logprobs += [entry.logprob for entry in choice.logprobs.content] if choice.logprobs else []
                finish = choice.finish_reason or finish
                if job.kind == "leaves" and logprobs:
                    return after(None, len(logprobs), True)
        return after([text, logprobs], len(logprobs), finish is not None)
    except openai.APIStatusError as error:
        return after(None, 0, error.status_code == job.status)
    except openai.APIError:
        return after(None, 0, False)


async def run(url: str, work: list[Job], clients: int, name: str) -> tuple[list[Answered], float]:
    """All requests by so many clients, each sending its next when its last is answered; the answers, and seconds."""
    found: dict[int, Answered] = {}
    waiting = iter(enumerate(work))
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="-", max_retries=0, timeout=300) as client:
        with bar(name, len(work)) as progress:

            async def one_client() -> None:
                for number, job in waiting:
                    found[number] = await answered(client, job)
                    progress.advance()

            began = time.perf_counter()
            await asyncio.gather(*(one_client() for _ in range(clients)))
            seconds = time.perf_counter() - began
    return [found[number] for number in range(len(work))], seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=128, help="how many are sent in each round (default 128)")
    parser.add_argument("--rows", type=int, default=32, help="completions decoded side by side (default 32)")
    options = parser.parse_args()
    work = jobs(options.requests)
    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox(1))
        from semrep_jax.model import pretrained, sharding
        from semrep_jax.rollout.settings import RolloutConfig
        from semrep_jax.serve.batcher import idle
        from semrep_jax.serve.server import Server
        from semrep_jax.serve.settings import ServeConfig

        base = pretrained.load("nano", sharding.build())
        rollout = RolloutConfig(max_prompt=MAX_PROMPT, bucket=MAX_PROMPT, max_new=MAX_NEW)

        def measured(rows: int, clients: int, name: str) -> tuple[list[Answered], float]:
            with Server(ServeConfig(port=0, rows=rows, queue=10_000), rollout, base, sandbox) as server:
                asyncio.run(run(server.url, work[:8], 1, "warm up"))
                answers = asyncio.run(run(server.url, work, clients, name))
                if not idle(server.batcher, 60):
                    raise SystemExit("completions went on after their clients had gone: rows are not given back")
                return answers

        alone, alone_seconds = measured(options.rows, 1, "one at a time")
        together, seconds = measured(options.rows, CLIENTS, f"{CLIENTS} clients")
        single, single_seconds = measured(1, 1, "one at a time, one row")
    device = f"{platform.machine()}, {os.cpu_count()} cores, kernel {platform.release()}"
    found = figures(work, alone, alone_seconds, together, seconds, single, single_seconds)
    kinds = {kind: sum(job.kind == kind for job in work) for kind in ("whole", "stream", "leaves", "malformed")}
    packages = ["openai", "starlette", "uvicorn", "jax"]
    report("serve", device, found, BARS, packages, kinds=kinds, load=round(os.getloadavg()[0], 1))


def figures(
    work: list[Job],
    alone: list[Answered],
    alone_seconds: float,
    together: list[Answered],
    seconds: float,
    single: list[Answered],
    single_seconds: float,
) -> dict[str, float]:
    """The figures of three rounds with the same requests: their answers, and how long each round took (s)."""

    def rate(answers: list[Answered], took: float) -> float:
        return sum(answer.tokens for answer in answers) / took

    rates = rate(alone, alone_seconds), rate(together, seconds), rate(single, single_seconds)
    waits = [
        1e3 * answer.seconds for job, answer in zip(work, together, strict=True) if job.kind in ("whole", "stream")
    ]
    pairs = list(zip(alone, together, strict=True))
    return {
        "throughput_ratio": rates[1] / rates[0],
        "ratio_to_one_row": rates[1] / rates[2],
        "tokens_per_s": rates[1],
        "tokens_per_s_one_at_a_time": rates[0],
        "p50_ms": statistics.median(waits),
        "p99_ms": statistics.quantiles(waits, n=100)[98],
        "lost": sum(not answer.right for answers in (alone, together, single) for answer in answers),
        "mixed_up": sum(json.dumps(one.said) != json.dumps(other.said) for one, other in pairs),
    }


if __name__ == "__main__":
    main()
