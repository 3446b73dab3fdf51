"""Decode, update and a whole GRPO step of SmolLM2-135M, beside transformers, plain torch and TRL on the same work in the same run.

    pip install -e ".[bench]" && python tools/get_smollm2.py
    python tools/bench_model.py                     # 2 CPU cores: about half an hour, most of it TRL's
    python tools/bench_model.py --peers none        # ours alone

The work is GRPO's: 4 prompts of 128 tokens, groups of 8, 64 new tokens each (32 sequences of 192), float32 on a CPU. Every part runs in
a process of its own, warmed up, and reports its median. On a GPU ours runs in bfloat16 and MBU (decode) and MFU (update) are printed
too. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROMPTS, PROMPT, GROUP, NEW = 4, 128, 8, 64
MICRO = 8  # sequences in one forward and backward of torch and TRL; all 32 at once take 10 GB and are slower
SEQUENCES, TOKENS = PROMPTS * GROUP, PROMPTS * GROUP * (PROMPT + NEW)
BARS = {
    "decode_ratio_to_transformers": 1.8,
    "update_ratio_to_torch": 1.8,
    "grpo_step_ratio_to_trl": 1.8,
    "decode_mbu": 0.6,
    "train_mfu": 0.3,
}
PEAKS = {"H100": (989e12, 3.35e12), "H200": (989e12, 4.8e12), "A100": (312e12, 2.04e12)}  # dense bf16 FLOP/s, bytes/s
SMOLLM2 = Path("~/.cache/semrep_jax/SmolLM2-135M-Instruct.Q4_1.gguf").expanduser()


def median(function: Callable[[], Any], rounds: int) -> float:
    """Seconds of `function`, the median of `rounds` after one round to warm up."""
    times = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def ours(source: str, rounds: int) -> dict[str, Any]:
    """Our decode, update and step: seconds of each, and what a GPU's peaks make of them."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from semrep_jax.model import pretrained, sharding
    from semrep_jax.model.decoder import ComputeConfig
    from semrep_jax.rollout.local import decode
    from semrep_jax.train import trainer
    from semrep_jax.train.optimiser import initial_state
    from semrep_jax.train.settings import Layout, TrainConfig

    gpu = jax.default_backend() == "gpu"
    loaded = pretrained.load(source, sharding.build(), ComputeConfig(compute=jnp.bfloat16 if gpu else jnp.float32))
    model, rng = loaded.model, np.random.default_rng(0)
    prompts = rng.integers(100, 20_000, (PROMPTS, PROMPT)).astype(np.int32)
    prompt, length, live = model.sharding.batch((prompts, np.full(PROMPTS, PROMPT, np.int32), np.ones(PROMPTS, bool)))
    state, setting = {}, TrainConfig(layout=Layout.SHARED)
    state["now"] = initial_state(model, trainer._optimiser(setting), loaded.params)
    _, frozen = model.split(loaded.params)
    update = trainer.compiled_update(model, setting, 1.0)

    def sample(params: Any) -> Any:
        how = {"model": model, "group": GROUP, "max_new": NEW, "end_ids": (-1,), "pad_id": 0}
        out = decode(params, prompt, length, live, jnp.float32(1.0), jax.random.key(0), **how)
        return jax.block_until_ready(out)

    def learn(tokens: Any, logprobs: Any) -> None:
        reward = np.array([[len(set(row.tolist())) for row in group] for group in np.asarray(tokens)], np.float32)
        advantage = (reward - reward.mean(1, keepdims=True)) / (reward.std(1, keepdims=True) + 1e-6)
        batch = {
            "prompt": prompt,
            "length": length,
            "completion": tokens,
            "sampled": logprobs,
            "advantage": jnp.array(advantage),
        }
        batch["mask"] = jnp.ones(tokens.shape, bool)
        state["now"], _ = jax.block_until_ready(update(state["now"], frozen, batch))

    drawn = sample(loaded.params)
    found: dict[str, Any] = {
        "decode": median(lambda: sample(loaded.params), rounds),
        "update": median(lambda: learn(*drawn), rounds),
        "step": median(lambda: learn(*sample(model.join(state["now"]["params"], frozen))), rounds),
        "device": jax.devices()[0].device_kind,
    }
    peak = next((peaks for name, peaks in PEAKS.items() if name in found["device"]), None)
    if gpu and peak is not None:
        size = sum(x.size for x in jax.tree.leaves(loaded.params))
        positions = PROMPTS * PROMPT + SEQUENCES * NEW
        found["decode_mbu"] = 2 * size * NEW / found["decode"] / peak[1]
        found["train_mfu"] = 6 * size * positions / found["update"] / peak[0]
    return found


def torch_parts(directory: str, rounds: int) -> dict[str, Any]:
    """transformers' generate, and a plain torch update on the same sequences."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = AutoModelForCausalLM.from_pretrained(
        directory, dtype=torch.float32 if device == "cpu" else torch.bfloat16
    ).to(device)
    torch.manual_seed(0)
    prompts = torch.randint(100, 20_000, (PROMPTS, PROMPT), device=device).repeat_interleave(GROUP, 0)
    settings = {
        "do_sample": True,
        "temperature": 1.0,
        "top_k": 0,
        "min_new_tokens": NEW,
        "max_new_tokens": NEW,
        "pad_token_id": 0,
    }

    def sample() -> Any:
        with torch.inference_mode():
            return model.generate(prompts, attention_mask=torch.ones_like(prompts), **settings)

    found = {"decode": median(sample, rounds)}
    sequences = sample().clone()  # outside of inference mode, so that autograd may have it
    advantage = torch.randn(SEQUENCES, 1, device=device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-6)

    def learn() -> None:
        for rows, gain in zip(sequences.split(MICRO), advantage.split(MICRO), strict=True):
            logits = model(rows.clone(), logits_to_keep=NEW + 1).logits[:, :-1].float()
            logp = torch.log_softmax(logits, -1).gather(-1, rows[:, -NEW:, None])[..., 0]
            loss = -(torch.exp(logp - logp.detach()) * gain).sum() / (SEQUENCES * NEW)
            loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        if device == "cuda":
            torch.cuda.synchronize()

    found["update"] = median(learn, rounds)
    return found


def trl_step(directory: str, rounds: int) -> dict[str, Any]:
    """Seconds of an optimiser step of TRL's GRPOTrainer: the same prompts, group and lengths in one batch."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    on_gpu = torch.cuda.is_available()
    model, words = (
        AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32),
        AutoTokenizer.from_pretrained(directory),
    )
    draw = torch.Generator().manual_seed(0)
    texts = [words.decode(torch.randint(1000, 20_000, (PROMPT,), generator=draw)) for _ in range(PROMPTS)]
    marks: list[float] = []

    class Marks(TrainerCallback):
        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            marks.append(time.perf_counter())

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            marks.append(time.perf_counter())
            print(f"trl: a step in {marks[-1] - marks[-2]:.0f} s", file=sys.stderr, flush=True)

    def reward(completions: list[str], **kwargs: Any) -> list[float]:
        return [float(len(set(text))) for text in completions]

    with tempfile.TemporaryDirectory() as scratch:
        arguments = GRPOConfig(
            output_dir=scratch, per_device_train_batch_size=MICRO, gradient_accumulation_steps=SEQUENCES // MICRO, num_generations=GROUP,
            generation_batch_size=SEQUENCES, max_completion_length=NEW, beta=0.0, num_iterations=1, max_steps=rounds + 1,
            use_cpu=not on_gpu, bf16=on_gpu, fp16=False, learning_rate=1e-6, report_to=[], save_strategy="no", temperature=1.0,
            generation_kwargs={"min_new_tokens": NEW}, gradient_checkpointing=False, disable_tqdm=True,
        )  # fmt: skip
        data = Dataset.from_dict({"prompt": texts * (rounds + 1)})
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=reward,
            args=arguments,
            train_dataset=data,
            processing_class=words,
            callbacks=[Marks()],
        )
        trainer.train()
    return {"step": statistics.median(marks[i + 1] - marks[i] for i in range(2, len(marks), 2))}


PARTS = {"ours": ours, "torch": torch_parts, "trl": trl_step}


def child(part: str, source: str, rounds: int) -> dict[str, Any]:
    """One part in a process of its own; {} with the reason on standard error where it can't run."""
    command = [sys.executable, __file__, "--part", part, "--source", source, "--rounds", str(rounds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        print(
            f'{part}: not measured (exit code {done.returncode}); its packages come with pip install -e ".[bench]"',
            file=sys.stderr,
        )
        return {}
    return json.loads(lines[-1])


def main() -> None:
    """Run every part and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default=str(SMOLLM2), help="the model (model.source)")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds of each part; TRL takes one less")
    parser.add_argument("--peers", choices=["all", "torch", "none"], default="all", help="what to measure beside ours")
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        print(json.dumps(PARTS[options.part](options.source, options.rounds)))
        return
    with tempfile.TemporaryDirectory() as directory:
        mine = child("ours", options.source, options.rounds)
        if not mine:
            raise SystemExit(1)
        theirs: dict[str, Any] = {}
        trl: dict[str, Any] = {}
        if options.peers != "none":
            export(options.source, directory)
            theirs = child("torch", directory, options.rounds)
            trl = child("trl", directory, max(1, options.rounds - 1)) if options.peers == "all" else {}
    decoded = SEQUENCES * NEW
    figures = {
        "decode_tokens_per_s": decoded / mine["decode"],
        "update_tokens_per_s": TOKENS / mine["update"],
        "step_s": mine["step"],
    }
    figures |= {k: mine[k] for k in ("decode_mbu", "train_mfu") if k in mine}
    if theirs:
        figures["transformers_decode_tokens_per_s"] = decoded / theirs["decode"]
        figures["torch_update_tokens_per_s"] = TOKENS / theirs["update"]
        figures["decode_ratio_to_transformers"] = theirs["decode"] / mine["decode"]
        figures["update_ratio_to_torch"] = theirs["update"] / mine["update"]
    if trl:
        figures |= {"trl_step_s": trl["step"], "grpo_step_ratio_to_trl": trl["step"] / mine["step"]}
    for name, value in figures.items():
        bar = f"   bar {BARS[name]}: {'met' if value >= BARS[name] else 'MISSED'}" if name in BARS else ""
        print(f"{name:34s} {value:10.2f}{bar}")
    rounded = {name: round(value, 3) for name, value in figures.items()}
    print(
        json.dumps(
            {
                "bench": "model",
                "device": f"{mine['device']}, {os.cpu_count()} cores",
                "versions": versions(),
                "figures": rounded,
            }
        )
    )


def export(source: str, directory: str) -> None:
    """The model as a directory that the peers load."""
    code = (
        "import sys, pathlib; from semrep_jax.model import pretrained, sharding; loaded = pretrained.load(sys.argv[1], sharding.build()); "
        "pretrained.export(pathlib.Path(sys.argv[2]), loaded.model, loaded.params, loaded.tokenizer)"
    )
    subprocess.run(
        [sys.executable, "-c", code, source, directory], check=True, env=os.environ | {"JAX_PLATFORMS": "cpu"}
    )


def versions() -> dict[str, str]:
    """Of everything measured."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for name in ("semrep-jax", "jax", "flax", "torch", "transformers", "trl"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            pass
    return found


if __name__ == "__main__":
    main()
