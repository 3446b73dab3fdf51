"""Pairs and tokens a second of the loader on one core, beside PyTorch's DataLoader and Grain's own packing, and what a training step eats.

    pip install -e ".[bench]" && python tools/get_smollm2.py
    python tools/bench_data.py                        # about three minutes, most of it making the data set
    python tools/bench_data.py --source nano --row-length 256

Builds a data set of generated examples (each written several times under other ids, so that it is larger than the caches), tokenises
it, then reads batches of 16 rows on one core: shuffled, packed by first fit, with segment ids, weights and positions. A rate is real
tokens (padding not counted) per processor second of the whole process, threads included, so that it is the rate per core used on a busy
machine too; the rate by the clock is printed beside it. The peers read the same pairs on the same core: a DataLoader that reads, words,
tokenises and pads (plain), one that only pads what was tokenised before, and Grain's FirstFitPackIterDataset on that.

What one H100 eats is computed, not measured: 989e12 FLOP/s of bfloat16 at 40 % utilisation, 6 FLOPs a parameter and token, 134.5e6
parameters (SmolLM2-135M), which is 490,000 tokens a second. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grain
import numpy as np
from grain.experimental import FirstFitPackIterDataset

from semrep_jax.core.shards import Shards, Writer
from semrep_jax.data.loader import Blocks, Loader
from semrep_jax.data.records import PROMPT_FORMATS, generated_records, prompt_and_completion
from semrep_jax.data.sources import Generated, Stored
from semrep_jax.data.tokens import tokenised
from semrep_jax.model.pretrained import resolve
from semrep_jax.model.tokenizer import Tokenizer
from semrep_jax.tasks.generated.generator import Generator

ROWS = 16
PEAK, UTILISATION, PARAMETERS = 989e12, 0.4, 134.5e6
STEP = PEAK * UTILISATION / (6 * PARAMETERS)
BARS = {"packing_waste": (0.05, "at most"), "ratio_to_train_step": (10, "at least")}
SMOLLM2 = Path("~/.cache/semrep_jax/SmolLM2-135M-Instruct.Q4_1.gguf").expanduser()

Counts = tuple[int, int, int]  # real tokens, pairs, all tokens


def rate(batches: Callable[[], Iterator[Counts]], seconds: float, rounds: int) -> dict[str, float]:
    """Tokens and pairs per processor second, the median of `rounds` of `seconds` each; tokens by the clock; the share of empty tokens."""
    stream = batches()
    next(stream)
    found = []
    for _ in range(rounds):
        counted, cpu, clock = np.zeros(3), time.process_time(), time.perf_counter()
        while time.perf_counter() - clock < seconds:
            counted += next(stream)
        cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
        found.append((counted[0] / cpu, counted[1] / cpu, counted[0] / clock, 1 - counted[0] / counted[2]))
    tokens, pairs, by_clock, empty = np.median(found, axis=0)
    return {"tokens": float(tokens), "pairs": float(pairs), "by_clock": float(by_clock), "empty": float(empty)}


def build(directory: Path, examples: int, copies: int) -> tuple[Shards, float]:
    """The data set, and records written a second."""
    records, index = [], 0
    while len(records) < 2 * examples:
        records += generated_records(Generator(), index)
        index += 1
    began = time.perf_counter()
    with Writer(directory, "generated", per_shard=8192) as writer:
        for copy in range(copies):
            for record in records:
                writer.write(record | {"id": f"{record['id']}/{copy}"})
        writer.finish({"generator": Generator().identity, "copies": copies})
    return Shards(directory), len(records) * copies / (time.perf_counter() - began)


def ours(loader: Loader) -> Iterator[Counts]:
    """Counts of our batches."""
    for batch in loader:
        segments = batch.segments
        yield int(np.count_nonzero(segments)), int(segments.max(1).sum()), segments.size


def grains(stored: Stored, row_length: int) -> Iterator[Counts]:
    """Counts of batches that Grain shuffles and packs."""
    kept, flat = stored.tokens, stored.flat

    def pair(index: int) -> dict[str, np.ndarray]:
        tokens = flat[kept.offsets[index] : kept.offsets[index + 1]].astype(np.int32)
        return {
            "tokens": tokens,
            "weight": np.where(np.arange(len(tokens)) < kept.prompt_lengths[index], 0.0, 1.0).astype(np.float32),
        }

    short = np.flatnonzero(kept.lengths <= row_length)
    pairs = grain.MapDataset.source(short).seed(0).shuffle().repeat().map(pair)
    read = pairs.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=64))
    packed = FirstFitPackIterDataset(
        read, length_struct={"tokens": row_length, "weight": row_length}, num_packing_bins=4 * ROWS
    )
    for batch in packed.batch(ROWS):
        segments = batch["tokens_segment_ids"]
        yield int(np.count_nonzero(segments)), int(segments.max(1).sum()), segments.size


def torchs(stored: Stored, batch: int, before: bool) -> Iterator[Counts]:
    """Counts of a DataLoader's batches, tokenised `before` or on the fly."""
    import torch

    torch.set_num_threads(1)
    kept, flat, tokenizer, shards = stored.tokens, stored.flat, stored.tokenizer, stored.shards

    class Pairs(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(kept)

        def __getitem__(self, index: int) -> tuple[Any, Any]:
            if before:
                ids = torch.from_numpy(flat[kept.offsets[index] : kept.offsets[index + 1]].astype(np.int64))
                head = int(kept.prompt_lengths[index])
            else:
                record, asked = shards[int(kept.record[index])], PROMPT_FORMATS[kept.prompt_format[index]]
                texts = prompt_and_completion(record, asked, tokenizer)
                prompt, answer = (tokenizer.encode(text) for text in texts)
                ids, head = torch.tensor(prompt + answer), len(prompt)
            return ids, torch.where(torch.arange(len(ids)) < head, 0.0, 1.0)

    def collate(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
        ids, weights = (torch.nn.utils.rnn.pad_sequence(list(x), batch_first=True) for x in zip(*pairs, strict=True))
        lengths = torch.tensor([len(i) for i, _ in pairs])
        return {"tokens": ids, "weight": weights, "mask": torch.arange(ids.shape[1])[None] < lengths[:, None]}

    while True:
        for found in torch.utils.data.DataLoader(
            Pairs(), batch_size=batch, shuffle=True, collate_fn=collate, drop_last=True
        ):
            yield int(found["mask"].sum()), batch, found["tokens"].numel()


def measure(tokenizer: Tokenizer, directory: Path, options: argparse.Namespace) -> dict[str, float]:
    """Every figure."""
    shards, written = build(directory / "data", options.examples, options.copies)
    began = time.perf_counter()
    kept = tokenised(shards, tokenizer, directory / "cache")
    figures = {"records_written_per_s": written, "pairs_tokenised_per_s": len(kept) / (time.perf_counter() - began)}
    stored = Stored(shards, kept, tokenizer, seed=0)
    figures |= {"pairs": len(kept), "tokens_a_pair": float(kept.lengths.mean())}
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})  # threads begun from here on stay there
    loader = Loader(Blocks([stored], 0, options.row_length, options.block), ROWS)
    mine = rate(lambda: ours(loader), options.seconds, options.rounds)
    figures |= {
        "tokens_per_s_per_core": mine["tokens"],
        "tokens_per_s_by_the_clock": mine["by_clock"],
        "pairs_per_s": mine["pairs"],
    }
    figures |= {
        "packing_waste": mine["empty"],
        "train_step_tokens_per_s": STEP,
        "ratio_to_train_step": mine["tokens"] / STEP,
    }
    began = time.perf_counter()
    other = Loader(loader.blocks, ROWS)
    other.set_state(json.loads(json.dumps(loader.get_state())))
    resumed = next(other)
    figures["resume_s"] = time.perf_counter() - began
    if not all(np.array_equal(x, y) for x, y in zip(next(loader), resumed, strict=True)):
        raise SystemExit("the resumed loader gave another batch: the figures would mean nothing")
    loader.close()
    other.close()
    fresh = Loader(Blocks([Generated(Generator(), tokenizer)], 0, options.row_length, 256), ROWS)
    figures["generated_tokens_per_s_per_core"] = rate(lambda: ours(fresh), options.seconds, 1)["tokens"]
    fresh.close()
    theirs = rate(lambda: grains(stored, options.row_length), options.seconds, options.rounds)
    figures |= {"grain_first_fit_tokens_per_s": theirs["tokens"], "grain_first_fit_waste": theirs["empty"]}
    batch = max(1, round(ROWS * options.row_length / kept.lengths.mean()))
    try:
        import torch  # noqa: F401
    except ImportError:
        print('torch: not measured; it comes with pip install -e ".[bench]"', file=sys.stderr)
        return figures
    for name, before in (("torch_plain", False), ("torch_tokenised", True)):
        theirs = rate(lambda before=before: torchs(stored, batch, before), options.seconds, options.rounds)
        figures |= {f"{name}_tokens_per_s": theirs["tokens"], f"{name}_waste": theirs["empty"]}
        figures[f"ratio_to_{name}"] = mine["tokens"] / theirs["tokens"]
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default=str(SMOLLM2), help="whose tokenizer (model.source)")
    parser.add_argument("--row-length", type=int, default=2048, help="tokens in a row")
    parser.add_argument("--block", type=int, default=1024, help="pairs packed together")
    parser.add_argument("--examples", type=int, default=1500, help="different examples; each gives four pairs")
    parser.add_argument("--copies", type=int, default=20, help="how often each is written")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; the median counts")
    options = parser.parse_args()
    tokenizer = resolve(options.source).tokenizer()
    with tempfile.TemporaryDirectory() as directory:
        figures = measure(tokenizer, Path(directory), options)
    for name, value in figures.items():
        bar, sense = BARS.get(name, (None, ""))
        met = bar is not None and (value <= bar if sense == "at most" else value >= bar)
        print(
            f"{name:34s} {value:14,.3f}"
            + ("" if bar is None else f"   bar {sense} {bar}: {'met' if met else 'MISSED'}")
        )
    said = {
        "bench": "data", "device": f"cpu, 1 of {os.cpu_count()} cores", "versions": versions(),
        "figures": {name: round(value, 4) for name, value in figures.items()},
        "assumption": f"train_step_tokens_per_s is computed: {PEAK:g} FLOP/s x {UTILISATION} / (6 x {PARAMETERS:g} parameters)",
        "settings": {"tokenizer": Path(options.source).name, "row_length": options.row_length, "rows": ROWS, "block": options.block},
    }  # fmt: skip
    print(json.dumps(said))


def versions() -> dict[str, str]:
    """Of everything measured."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for name in ("semrep-jax", "grain", "array-record", "numpy", "tokenizers", "torch"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            pass
    return found


if __name__ == "__main__":
    main()
