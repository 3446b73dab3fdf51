"""Pairs and tokens a second of the loader on one core, beside PyTorch's DataLoader and Grain's own packing.

    pip install -e ".[bench]" && python tools/get_smollm2.py
    python tools/bench_data.py                        # about three minutes, most of it making the data set
    python tools/bench_data.py --source nano --row-length 256
    python tools/bench_data.py --source nano --examples 100 --copies 2 --seconds 0.5 --rounds 1     # a look

Builds a data set of generated examples (each written several times under other ids, so that it is larger than the
caches), tokenises it, then reads batches of 16 rows on one core: shuffled, packed by first fit, with segment ids,
weights and positions. A rate is real tokens (padding not counted) per processor second of the whole process, threads
included, so that it is the rate per core used on a busy machine too; the rate by the clock is printed beside it. The
peers read the same pairs on the same core: a DataLoader that reads, tokenises and pads (plain), one that only pads what
was tokenised before, and Grain's FirstFitPackIterDataset on that.

What one H100 eats is computed, not measured: 989e12 FLOP/s of bfloat16 at 40 % utilisation, 6 FLOPs a parameter and
token, 134.5e6 parameters (SmolLM2-135M), which is 490,000 tokens a second. Prints every figure, packing_waste and
ratio_to_train_step beside their bars; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import checkout  # first: the package beside this file is the one that runs
import grain
import numpy as np
from figures import Bar, report
from get_smollm2 import FILE, required
from grain.experimental import FirstFitPackIterDataset

from semrep_jax.core.shards import Shards, Writer
from semrep_jax.data.loader import Blocks, Loader
from semrep_jax.data.records import PROMPT_FORMATS, generated_records, prompt_and_completion
from semrep_jax.data.sources import Generated, Stored
from semrep_jax.data.tokens import tokenised
from semrep_jax.model.pretrained import resolve
from semrep_jax.model.tokenizer import Tokenizer
from semrep_jax.tasks.generated.generator import Generator

ROWS = 16  # of a batch
GENERATED_BLOCK = 256  # generated pairs packed together: drawing 1024 takes longer than a round
PEAK_FLOPS = 989e12
UTILISATION = 0.4
PARAMETERS = 134.5e6
TRAIN_STEP_TOKENS_PER_S = PEAK_FLOPS * UTILISATION / (6 * PARAMETERS)
ASSUMPTION = f"{PEAK_FLOPS:g} FLOP/s x {UTILISATION} / (6 x {PARAMETERS:g} parameters)"
BARS = {"packing_waste": Bar(0.05, at_most=True), "ratio_to_train_step": Bar(10)}


class Counts(NamedTuple):
    """Of one batch."""

    tokens: int  # padding not counted
    pairs: int
    all_tokens: int


@dataclass(frozen=True)
class Rate:
    """Tokens and pairs per processor second, tokens per second by the clock, the share of tokens that are padding."""

    tokens: float
    pairs: float
    by_clock: float
    waste: float


def rate(batches: Iterator[Counts], seconds: float, rounds: int) -> Rate:
    """The median of `rounds` of `seconds` each, after one batch to warm up."""
    next(batches)
    found = []
    for _ in range(rounds):
        counted, cpu, clock = np.zeros(3), time.process_time(), time.perf_counter()
        while time.perf_counter() - clock < seconds:
            counted += next(batches)
        cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
        tokens, pairs, all_tokens = counted
        found.append((tokens / cpu, pairs / cpu, tokens / clock, 1 - tokens / all_tokens))
    return Rate(*np.median(found, axis=0).tolist())


def packed(segments: np.ndarray) -> Counts:
    """Counts of a packed batch, by its segment ids (0 where there is padding)."""
    return Counts(int(np.count_nonzero(segments)), int(segments.max(1).sum()), segments.size)


def our_batches(loader: Loader) -> Iterator[Counts]:
    """What our loader gives."""
    for batch in loader:
        yield packed(batch.segments)


def grain_batches(stored: Stored, row_length: int) -> Iterator[Counts]:
    """What Grain gives that shuffles and packs pairs tokenised before."""
    kept, flat = stored.tokens, stored.flat

    def pair(index: int) -> dict[str, np.ndarray]:
        tokens = flat[kept.offsets[index] : kept.offsets[index + 1]].astype(np.int32)
        in_prompt = np.arange(len(tokens)) < kept.prompt_lengths[index]
        return {"tokens": tokens, "weight": np.where(in_prompt, 0.0, 1.0).astype(np.float32)}

    fitting = np.flatnonzero(kept.lengths <= row_length)
    pairs = grain.MapDataset.source(fitting).seed(0).shuffle().repeat().map(pair)
    read = pairs.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=64))
    lengths = {"tokens": row_length, "weight": row_length}
    rows = FirstFitPackIterDataset(read, length_struct=lengths, num_packing_bins=4 * ROWS)
    for batch in rows.batch(ROWS):
        yield packed(batch["tokens_segment_ids"])


def torch_batches(stored: Stored, size: int, encode: Callable[[int], tuple[Any, int]]) -> Iterator[Counts]:
    """What a DataLoader gives: shuffled and padded batches of `size` pairs.

    encode: (number of a pair) -> its token ids as a tensor, and how many of them are the prompt's.
    """
    import torch

    torch.set_num_threads(1)

    class Pairs(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(stored.tokens)

        def __getitem__(self, index: int) -> tuple[Any, Any]:
            ids, prompt_length = encode(index)
            return ids, torch.where(torch.arange(len(ids)) < prompt_length, 0.0, 1.0)

    def collate(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
        ids, weights = (torch.nn.utils.rnn.pad_sequence(list(x), batch_first=True) for x in zip(*pairs, strict=True))
        lengths = torch.tensor([len(i) for i, _ in pairs])
        return {"tokens": ids, "weight": weights, "mask": torch.arange(ids.shape[1])[None] < lengths[:, None]}

    loader = torch.utils.data.DataLoader(Pairs(), batch_size=size, shuffle=True, collate_fn=collate, drop_last=True)
    while True:
        for batch in loader:
            yield Counts(int(batch["mask"].sum()), size, batch["tokens"].numel())


def read_and_encode(stored: Stored, tokenizer: Tokenizer) -> Callable[[int], tuple[Any, int]]:
    """For `torch_batches`: a record is read and its texts tokenised when a pair is asked for."""
    import torch

    def encode(index: int) -> tuple[Any, int]:
        record = stored.shards[int(stored.tokens.record[index])]
        prompt_format = PROMPT_FORMATS[stored.tokens.prompt_format[index]]
        prompt, completion = (
            tokenizer.encode(text) for text in prompt_and_completion(record, prompt_format, tokenizer)
        )
        return torch.tensor(prompt + completion), len(prompt)

    return encode


def already_encoded(stored: Stored) -> Callable[[int], tuple[Any, int]]:
    """For `torch_batches`: pairs tokenised before."""
    import torch

    kept, flat = stored.tokens, stored.flat

    def encode(index: int) -> tuple[Any, int]:
        ids = flat[kept.offsets[index] : kept.offsets[index + 1]].astype(np.int64)
        return torch.from_numpy(ids), int(kept.prompt_lengths[index])

    return encode


@dataclass(frozen=True)
class Bench:
    """A data set that is written and tokenised, and how to measure."""

    stored: Stored
    tokenizer: Tokenizer
    row_length: int
    block: int
    seconds: float
    rounds: int

    def ours(self) -> dict[str, float]:
        """The loader's rate, and how long it takes to go on from a state."""
        loader = Loader(Blocks([self.stored], 0, self.row_length, self.block), ROWS)
        found = rate(our_batches(loader), self.seconds, self.rounds)
        resume_seconds = self._resume(loader)
        loader.close()
        return {
            "tokens_per_s_per_core": found.tokens,
            "tokens_per_s_by_the_clock": found.by_clock,
            "pairs_per_s": found.pairs,
            "packing_waste": found.waste,
            "train_step_tokens_per_s": TRAIN_STEP_TOKENS_PER_S,
            "ratio_to_train_step": found.tokens / TRAIN_STEP_TOKENS_PER_S,
            "resume_s": resume_seconds,
        }

    def _resume(self, loader: Loader) -> float:
        """Seconds until another loader with this one's state has its next batch, which must be the same."""
        began = time.perf_counter()
        other = Loader(loader.blocks, ROWS)
        other.set_state(json.loads(json.dumps(loader.get_state())))
        resumed = next(other)
        seconds = time.perf_counter() - began
        other.close()
        if not all(np.array_equal(a, b) for a, b in zip(next(loader), resumed, strict=True)):
            raise SystemExit("the resumed loader gave another batch: the figures would mean nothing")
        return seconds

    def generated(self) -> dict[str, float]:
        """The rate of examples that are drawn from the grammar when they are asked for."""
        source = Generated(Generator(), self.tokenizer)
        loader = Loader(Blocks([source], 0, self.row_length, GENERATED_BLOCK), ROWS)
        found = rate(our_batches(loader), self.seconds, 1)
        loader.close()
        return {"generated_tokens_per_s_per_core": found.tokens}

    def grains(self) -> dict[str, float]:
        """Grain's rate."""
        found = rate(grain_batches(self.stored, self.row_length), self.seconds, self.rounds)
        return {"grain_first_fit_tokens_per_s": found.tokens, "grain_first_fit_waste": found.waste}

    def torchs(self, ours: float) -> dict[str, float]:
        """The DataLoaders' rates, and how many times as fast `ours` is; none where torch is not installed."""
        try:
            encoders = {
                "torch_plain": read_and_encode(self.stored, self.tokenizer),
                "torch_tokenised": already_encoded(self.stored),
            }
        except ImportError as error:
            print(f"torch: not measured: {checkout.reason(error)}", file=sys.stderr)
            return {}
        size = max(1, round(ROWS * self.row_length / self.stored.tokens.lengths.mean()))
        figures: dict[str, float] = {}
        for name, encode in encoders.items():
            found = rate(torch_batches(self.stored, size, encode), self.seconds, self.rounds)
            figures[f"{name}_tokens_per_s"] = found.tokens
            figures[f"{name}_waste"] = found.waste
            figures[f"ratio_to_{name}"] = ours / found.tokens
        return figures


def write(directory: Path, examples: int, copies: int) -> tuple[Shards, float]:
    """The data set of so many examples, each written `copies` times, and records written a second."""
    records: list[dict[str, Any]] = []
    index = 0
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


def measure(tokenizer: Tokenizer, directory: Path, options: argparse.Namespace) -> dict[str, float]:
    """Every figure."""
    shards, written = write(directory / "data", options.examples, options.copies)
    began = time.perf_counter()
    tokens = tokenised(shards, tokenizer, directory / "cache")
    figures = {
        "records_written_per_s": written,
        "pairs_tokenised_per_s": len(tokens) / (time.perf_counter() - began),
        "pairs": len(tokens),
        "tokens_a_pair": float(tokens.lengths.mean()),
    }
    stored = Stored(shards, tokens, tokenizer, seed=0)
    bench = Bench(stored, tokenizer, options.row_length, options.block, options.seconds, options.rounds)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # threads begun from here on stay there
    figures |= bench.ours()
    figures |= bench.generated()
    figures |= bench.grains()
    figures |= bench.torchs(figures["tokens_per_s_per_core"])
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default=str(FILE), help="whose tokenizer (model.source)")
    parser.add_argument("--row-length", type=int, default=2048, help="tokens in a row")
    parser.add_argument("--block", type=int, default=1024, help="pairs packed together")
    parser.add_argument("--examples", type=int, default=1500, help="different examples; each gives four pairs")
    parser.add_argument("--copies", type=int, default=20, help="how often each is written")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; the median counts")
    options = parser.parse_args()
    tokenizer = resolve(required(options.source)).tokenizer()
    with tempfile.TemporaryDirectory() as directory:
        figures = measure(tokenizer, Path(directory), options)
    report(
        "data",
        f"cpu, 1 of {os.cpu_count()} cores",
        figures,
        BARS,
        ["grain", "array-record", "numpy", "tokenizers", "torch"],
        assumption=f"train_step_tokens_per_s is computed: {ASSUMPTION}",
        settings={
            "tokenizer": Path(options.source).name,
            "row_length": options.row_length,
            "rows": ROWS,
            "block": options.block,
        },
    )


if __name__ == "__main__":
    main()
