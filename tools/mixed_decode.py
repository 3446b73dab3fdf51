"""Completions of different lengths, by our two engines and by those of others: a part of bench_model.py.

8 prompts of 128 tokens, groups of 8; lengths are drawn from a long-tailed distribution (median 32, longest 256 tokens).
Ours: a batch that decodes until its longest has ended, and continuous batching over 16 rows. Others: transformers'
continuous batching with the same weights, and llama.cpp's server with 16 slots and the .gguf file as it is.
"""

from __future__ import annotations

import json
import math
import os
import socket
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

PROMPT_TOKENS = 128
GROUP = 8
TOKEN_IDS = (100, 20_000)  # prompts are drawn from these
PROMPTS, ROWS = 8, 16  # 64 completions, 16 side by side
MEDIAN_NEW, LONGEST = 32, 8  # tokens, and how many times that the longest has
SECONDS_TO_START = 60


def median(function: Callable[[], Any], rounds: int) -> float:
    """Seconds of `function`, the median of `rounds` after one round to warm up."""
    times = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def lengths_and_prompts(vocabulary: int) -> tuple[list[int], Any]:
    """The length of each completion, and the prompts [PROMPTS, PROMPT_TOKENS] of ids below `vocabulary`."""
    import numpy as np

    rng = np.random.default_rng(0)
    drawn = sorted(rng.normal(size=PROMPTS * GROUP))
    spread = math.log(LONGEST) / drawn[-1]
    lengths = [max(1, round(MEDIAN_NEW * math.exp(spread * value))) for value in drawn]
    prompts = rng.integers(TOKEN_IDS[0], min(TOKEN_IDS[1], vocabulary), (PROMPTS, PROMPT_TOKENS))
    return [int(length) for length in rng.permutation(lengths)], prompts


def ours(source: str, rounds: int) -> dict[str, Any]:
    """Seconds of a batch until its longest has ended, and of continuous batching."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from semrep_jax.model import pretrained, sharding
    from semrep_jax.model.decoder import ComputeConfig
    from semrep_jax.rollout.continuous import CHUNK
    from semrep_jax.rollout.decoding import Ask, Decoding
    from semrep_jax.rollout.local import decode
    from semrep_jax.rollout.slots import Slots

    compute = ComputeConfig(compute=jnp.bfloat16 if jax.default_backend() == "gpu" else jnp.float32)
    loaded = pretrained.load(source, sharding.build(), compute)
    lengths, shown = lengths_and_prompts(loaded.tokenizer.vocab_size)
    prompts, size, live = shown.astype(np.int32), np.full(PROMPTS, PROMPT_TOKENS), np.ones(PROMPTS, bool)
    longest = LONGEST * MEDIAN_NEW
    shape = {"max_prompt": PROMPT_TOKENS, "bucket": PROMPT_TOKENS, "max_new": longest, "chunk": CHUNK}
    slots = Slots(Decoding(loaded.model, loaded.params, 0, rows=ROWS, **shape), ())

    def static() -> None:
        how = {"model": loaded.model, "group": GROUP, "max_new": longest, "end_ids": (-1,), "pad_id": 0}
        jax.block_until_ready(decode(loaded.params, prompts, size, live, jnp.float32(1.0), jax.random.key(0), **how))

    def continuous() -> None:
        for number, length in enumerate(lengths):
            slots.submit(Ask(tuple(shown[number // GROUP].tolist()), (0, number), length), lambda piece: None)
        while slots.busy:
            slots.round()

    found = {"static": median(static, rounds), "continuous": median(continuous, rounds)}
    return found | {"tokens": sum(lengths), "median": statistics.median(lengths), "longest": max(lengths)}


def transformers(directory: str, rounds: int) -> dict[str, Any]:
    """Seconds of transformers' continuous batching."""
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    device, dtype = ("cuda", torch.bfloat16) if torch.cuda.is_available() else ("cpu", torch.float32)
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=dtype).to(device)
    lengths, shown = lengths_and_prompts(model.config.vocab_size)
    setting = GenerationConfig(do_sample=True, temperature=1.0, top_k=0, eos_token_id=-1, pad_token_id=0)

    def continuous() -> None:
        with model.continuous_batching_context_manager(generation_config=setting) as manager:
            for number, length in enumerate(lengths):
                manager.add_request(shown[number // GROUP].tolist(), max_new_tokens=length)
            done = 0
            while done < len(lengths):
                result = manager.get_result(timeout=600)
                if result is None:
                    raise RuntimeError("transformers' continuous batching gave nothing in 10 minutes")
                done += result.is_finished()

    return {"continuous": median(continuous, rounds)}


def llama_cpp(server: str, source: str, rounds: int) -> dict[str, Any]:
    """Seconds of llama.cpp's server. server: the program `llama-server`. source: a .gguf file."""
    lengths, shown = lengths_and_prompts(TOKEN_IDS[1])

    def ask(url: str, number: int) -> None:
        wanted = {"prompt": shown[number // GROUP].tolist(), "n_predict": lengths[number], "ignore_eos": True}
        how = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "cache_prompt": True}
        body = json.dumps(wanted | how).encode()
        request = urllib.request.Request(f"{url}/completion", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=600) as answer:
            drawn = json.load(answer)["tokens_predicted"]
        if drawn != lengths[number]:
            raise RuntimeError(f"llama.cpp drew {drawn} tokens where {lengths[number]} were asked for")

    with running(server, source) as url, ThreadPoolExecutor(len(lengths)) as clients:

        def continuous() -> None:
            list(clients.map(lambda number: ask(url, number), range(len(lengths))))

        return {"continuous": median(continuous, rounds)}


@contextmanager
def running(server: str, source: str) -> Iterator[str]:
    """llama.cpp's server on a free port: its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = ROWS * (PROMPT_TOKENS + LONGEST * MEDIAN_NEW)
    size = ["-np", str(ROWS), "-c", str(places), "-t", str(len(os.sched_getaffinity(0)))]
    command = [server, "-m", source, "--port", str(port), *size, "--no-webui"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(f"{url}/health", process)
            yield url
        finally:
            process.terminate()


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Until the server answers. Raises RuntimeError where it ends, or does not within SECONDS_TO_START."""
    for _ in range(SECONDS_TO_START):
        if process.poll() is not None:
            raise RuntimeError(f"llama.cpp's server ended with {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(1)
    raise RuntimeError(f"llama.cpp's server did not answer within {SECONDS_TO_START} s")
