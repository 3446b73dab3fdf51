"""Decode, update and a whole GRPO step of SmolLM2-135M, beside transformers, plain torch and TRL on the same work.

    pip install -e ".[bench]" && python tools/get_smollm2.py
    python tools/bench_model.py                     # 2 CPU cores: about half an hour, most of it TRL's
    python tools/bench_model.py --peers none        # ours alone
    python tools/bench_model.py --peers none --source nano --rounds 1       # a look: a minute

The work is GRPO's: 4 prompts of 128 tokens, groups of 8, 64 new tokens each (32 sequences of 192), float32 on a CPU.
`mixed_decode` is 8 such groups whose lengths are drawn from a long-tailed distribution (mixed_decode.py): continuous
batching beside a batch that decodes until its longest has ended, beside transformers' continuous batching and, where
--llama-server names one, beside llama.cpp's server, which takes the .gguf file's few bits as they are.
Every part runs in a process of its own, warmed up, and reports its median. On a GPU ours runs in bfloat16, and MBU
(decode) and MFU (update) are printed too. Prints rates and their ratios beside the bars; the last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import checkout  # first: the package beside this file is the one that runs
import mixed_decode
from figures import Bar, report
from get_smollm2 import FILE, required
from mixed_decode import GROUP, PROMPT_TOKENS, TOKEN_IDS, median

PROMPTS = 4
NEW_TOKENS = 64
SEQUENCES = PROMPTS * GROUP
DECODED_TOKENS = SEQUENCES * NEW_TOKENS
UPDATE_TOKENS = SEQUENCES * (PROMPT_TOKENS + NEW_TOKENS)
MICRO_BATCH = 8  # sequences in one forward and backward of torch and TRL; all 32 at once take 10 GB and are slower
BARS = {
    "decode_ratio_to_transformers": Bar(2.5),
    "update_ratio_to_torch": Bar(1.8),
    "grpo_step_ratio_to_trl": Bar(1.8),
    "mixed_decode_ratio_to_static": Bar(1.8),
    "decode_mbu": Bar(0.6),
    "train_mfu": Bar(0.3),
}
EXPORT = """
import pathlib, sys
from semrep_jax.model import pretrained, sharding
loaded = pretrained.load(sys.argv[1], sharding.build())
pretrained.export(pathlib.Path(sys.argv[2]), loaded.model, loaded.params, loaded.tokenizer)
"""


BANDWIDTHS = {"H100": 3.35e12, "H200": 4.8e12, "A100": 2.04e12}  # of a GPU's memory, bytes/s


def ours(source: str, rounds: int) -> dict[str, Any]:
    """Our decode, update and step: seconds of each, and on a GPU what its peaks make of them."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from semrep_jax.model import pretrained, sharding
    from semrep_jax.model.decoder import ComputeConfig
    from semrep_jax.rollout.local import decode
    from semrep_jax.train.batch import RolloutBatch
    from semrep_jax.train.optimiser import initial_state
    from semrep_jax.train.settings import Layout, TrainConfig
    from semrep_jax.train.update import compiled_update, optimiser_of

    on_gpu = jax.default_backend() == "gpu"
    compute = ComputeConfig(compute=jnp.bfloat16 if on_gpu else jnp.float32)
    loaded = pretrained.load(source, sharding.build(), compute)
    model, params = loaded.model, loaded.params
    top = min(TOKEN_IDS[1], loaded.tokenizer.vocab_size)
    prompts = np.random.default_rng(0).integers(TOKEN_IDS[0], top, (PROMPTS, PROMPT_TOKENS)).astype(np.int32)
    lengths, live = np.full(PROMPTS, PROMPT_TOKENS, np.int32), np.ones(PROMPTS, bool)
    prompts, lengths, live = model.sharding.batch((prompts, lengths, live))
    settings = TrainConfig(layout=Layout.SHARED)
    state = initial_state(model, optimiser_of(settings), params)
    _, frozen = model.split(params)
    update = compiled_update(model, settings, 1.0)

    def sample(params: Any) -> Any:
        how = {"model": model, "group": GROUP, "max_new": NEW_TOKENS, "end_ids": (-1,), "pad_id": 0}
        out = decode(params, prompts, lengths, live, jnp.float32(1.0), jax.random.key(0), **how)
        return jax.block_until_ready(out)

    def learn(tokens: Any, logprobs: Any) -> None:
        nonlocal state
        counts, advantage = jnp.ones(tokens.shape, bool), jnp.array(advantages(np.asarray(tokens)))
        batch = RolloutBatch(prompts, lengths, tokens, counts, logprobs, advantage)
        state, _ = jax.block_until_ready(update(state, frozen, batch))

    def advantages(tokens: Any) -> Any:
        reward = np.array([[len(set(row.tolist())) for row in group] for group in tokens], np.float32)
        return (reward - reward.mean(1, keepdims=True)) / (reward.std(1, keepdims=True) + 1e-6)

    sampled = sample(params)
    found: dict[str, Any] = {
        "decode": median(lambda: sample(params), rounds),
        "update": median(lambda: learn(*sampled), rounds),
        "step": median(lambda: learn(*sample(model.join(state["params"], frozen))), rounds),
        "device": jax.devices()[0].device_kind,
    }
    if on_gpu:
        size = sum(x.size for x in jax.tree.leaves(params))
        found |= utilisation(found["device"], size, found["decode"], found["update"])
    return found


def utilisation(device: str, parameters: int, decode: float, update: float) -> dict[str, float]:
    """MBU of a decode and MFU of an update that took so many seconds; {} for a device whose peaks are not known."""
    from semrep_jax.model.peaks import peak_flops

    words = re.findall(r"\w+", device)
    bandwidth = next((bandwidth for name, bandwidth in BANDWIDTHS.items() if name in words), None)
    flops = peak_flops(device)
    if bandwidth is None or flops is None:
        return {}
    positions = PROMPTS * PROMPT_TOKENS + DECODED_TOKENS  # of an update that sees each prompt once
    return {
        "decode_mbu": 2 * parameters * NEW_TOKENS / decode / bandwidth,
        "train_mfu": 6 * parameters * positions / update / flops,
    }


def torch_parts(directory: str, rounds: int) -> dict[str, Any]:
    """Seconds of transformers' generate, and of a plain torch update on the same sequences."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    device, dtype = ("cuda", torch.bfloat16) if torch.cuda.is_available() else ("cpu", torch.float32)
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=dtype).to(device)
    torch.manual_seed(0)
    prompts = torch.randint(*TOKEN_IDS, (PROMPTS, PROMPT_TOKENS), device=device).repeat_interleave(GROUP, 0)
    lengths = {"min_new_tokens": NEW_TOKENS, "max_new_tokens": NEW_TOKENS}
    settings = {"do_sample": True, "temperature": 1.0, "top_k": 0, "pad_token_id": 0} | lengths

    def sample() -> Any:
        with torch.inference_mode():
            return model.generate(prompts, attention_mask=torch.ones_like(prompts), **settings)

    decode = median(sample, rounds)
    sequences = sample().clone()  # outside of inference mode, so that autograd may have it
    advantage = torch.randn(SEQUENCES, 1, device=device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-6)

    def learn() -> None:
        for rows, gain in zip(sequences.split(MICRO_BATCH), advantage.split(MICRO_BATCH), strict=True):
            logits = model(rows.clone(), logits_to_keep=NEW_TOKENS + 1).logits[:, :-1].float()
            logp = torch.log_softmax(logits, -1).gather(-1, rows[:, -NEW_TOKENS:, None])[..., 0]
            loss = -(torch.exp(logp - logp.detach()) * gain).sum() / DECODED_TOKENS
            loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        if device == "cuda":
            torch.cuda.synchronize()

    return {"decode": decode, "update": median(learn, rounds)}


def trl_step(directory: str, rounds: int) -> dict[str, Any]:
    """Seconds of an optimiser step of TRL's GRPOTrainer: the same prompts, group and lengths in one batch."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    on_gpu = torch.cuda.is_available()
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    generator = torch.Generator().manual_seed(0)
    ids = [torch.randint(1000, TOKEN_IDS[1], (PROMPT_TOKENS,), generator=generator) for _ in range(PROMPTS)]
    prompts = [tokenizer.decode(prompt) for prompt in ids]
    steps = rounds + 1  # the first warms up
    seconds: list[float] = []

    class Stopwatch(TrainerCallback):
        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            self.began = time.perf_counter()

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            seconds.append(time.perf_counter() - self.began)
            print(f"trl: a step in {seconds[-1]:.0f} s", file=sys.stderr, flush=True)

    def reward(completions: list[str], **kwargs: Any) -> list[float]:
        return [float(len(set(text))) for text in completions]

    with tempfile.TemporaryDirectory() as scratch:
        arguments = GRPOConfig(
            output_dir=scratch,
            max_steps=steps,
            num_iterations=1,
            per_device_train_batch_size=MICRO_BATCH,
            gradient_accumulation_steps=SEQUENCES // MICRO_BATCH,
            gradient_checkpointing=False,
            num_generations=GROUP,
            generation_batch_size=SEQUENCES,
            generation_kwargs={"min_new_tokens": NEW_TOKENS},
            max_completion_length=NEW_TOKENS,
            temperature=1.0,
            beta=0.0,
            learning_rate=1e-6,
            use_cpu=not on_gpu,
            bf16=on_gpu,
            fp16=False,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
        )
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=reward,
            args=arguments,
            train_dataset=Dataset.from_dict({"prompt": prompts * steps}),
            processing_class=tokenizer,
            callbacks=[Stopwatch()],
        )
        trainer.train()
    return {"step": statistics.median(seconds[1:])}


PARTS = {
    "ours": ours,
    "mixed": mixed_decode.ours,
    "torch": torch_parts,
    "mixed_transformers": mixed_decode.transformers,
    "trl": trl_step,
}


def in_process(part: str, source: str, rounds: int) -> dict[str, Any]:
    """One part in a process of its own; {} with the reason on standard error where it can't run."""
    command = [sys.executable, __file__, "--part", part, "--source", source, "--rounds", str(rounds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    lines = done.stdout.strip().splitlines()
    found = json.loads(lines[-1]) if lines else {}
    if done.returncode or "error" in found or not found:
        ended = "it was killed; is there memory enough?" if done.returncode < 0 else f"exit code {done.returncode}"
        print(f"{part}: not measured: {found.get('error', ended)}", file=sys.stderr)
        return {}
    return found


def part_or_reason(part: str, source: str, rounds: int) -> dict[str, Any]:
    """What a part measures; {"error": one line} where it can't run for a reason that a person can mend."""
    try:
        return PARTS[part](source, rounds)
    except Exception as error:
        line = checkout.reason(error)
        if line is None:
            raise
        return {"error": line}


def measure(source: str, rounds: int, peers: str, llama_server: str | None) -> tuple[str, dict[str, float]]:
    """The device, and every figure. llama_server: the program, or None. Ends the script where ours can't run."""
    mine = in_process("ours", source, rounds)
    if not mine:
        raise SystemExit(1)
    lengths = in_process("mixed", source, rounds)
    theirs: dict[str, Any] = {}
    their_lengths: dict[str, Any] = {}
    trl: dict[str, Any] = {}
    if peers != "none":
        with tempfile.TemporaryDirectory() as directory:
            export(source, directory)
            theirs = in_process("torch", directory, rounds)
            their_lengths = in_process("mixed_transformers", directory, rounds)
            trl = in_process("trl", directory, max(1, rounds - 1)) if peers == "all" else {}
    figures = {
        "decode_tokens_per_s": DECODED_TOKENS / mine["decode"],
        "update_tokens_per_s": UPDATE_TOKENS / mine["update"],
        "step_s": mine["step"],
    }
    figures |= {name: mine[name] for name in ("decode_mbu", "train_mfu") if name in mine}
    if lengths:
        figures |= {
            "mixed_decode_tokens_per_s": lengths["tokens"] / lengths["continuous"],
            "mixed_decode_ratio_to_static": lengths["static"] / lengths["continuous"],
        }
    if lengths and their_lengths:
        figures["mixed_decode_ratio_to_transformers"] = their_lengths["continuous"] / lengths["continuous"]
    if lengths and llama_server:
        try:
            seconds = mixed_decode.llama_cpp(llama_server, source, rounds)["continuous"]
            figures["mixed_decode_ratio_to_llama_cpp"] = seconds / lengths["continuous"]
        except (RuntimeError, OSError) as error:
            print(f"llama.cpp: not measured: {error}", file=sys.stderr)
    if theirs:
        figures |= {
            "transformers_decode_tokens_per_s": DECODED_TOKENS / theirs["decode"],
            "torch_update_tokens_per_s": UPDATE_TOKENS / theirs["update"],
            "decode_ratio_to_transformers": theirs["decode"] / mine["decode"],
            "update_ratio_to_torch": theirs["update"] / mine["update"],
        }
    if trl:
        figures |= {"trl_step_s": trl["step"], "grpo_step_ratio_to_trl": trl["step"] / mine["step"]}
    return mine["device"], figures


def export(source: str, directory: str) -> None:
    """The model as a directory that the peers load."""
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", EXPORT, source, directory], env=environment)
    if done.returncode:
        raise SystemExit(
            f"error: {source} can't be exported for the peers (see above); --peers none measures ours alone"
        )


def main() -> None:
    """Run every part and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default=str(FILE), help="the model (model.source)")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds of each part; TRL takes one less")
    parser.add_argument("--peers", choices=["all", "torch", "none"], default="all", help="what to measure beside ours")
    parser.add_argument("--llama-server", help="llama.cpp's program of that name, to be measured on a .gguf file")
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        print(json.dumps(part_or_reason(options.part, options.source, options.rounds)))
        return
    if options.llama_server and not options.source.endswith(".gguf"):
        raise SystemExit(f"error: --llama-server reads .gguf files, and --source is {options.source}")
    if options.llama_server and shutil.which(options.llama_server) is None:
        raise SystemExit(f"error: --llama-server: there is no program {options.llama_server}")
    required(options.source)
    device, figures = measure(options.source, options.rounds, options.peers, options.llama_server)
    report("model", f"{device}, {os.cpu_count()} cores", figures, BARS, ["jax", "flax", "torch", "transformers", "trl"])


if __name__ == "__main__":
    main()
