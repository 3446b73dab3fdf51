"""Supervised pairs, packed: generated examples -> tokens -> rows with segment ids -> batches, by Grain.

Each example gives three sequences, interleaved: a rewrite (C_src -> C_rep), a direct edit (C_src, I -> C_tgt), an edit
guided by an equivalent (C_src, I, C_rep -> C_tgt). Completion tokens carry weight
1, prompt tokens `prompt_weight`. First-fit packing keeps the
waste below 5 %; the iterator's state is a JSON-able dict that restores it exactly.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import grain
import numpy as np
from grain.experimental import FirstFitPackIterDataset

from semrep_jax import prompts
from semrep_jax.model.tokenizer import Tokenizer
from semrep_jax.programs import Language, Program, TaskError
from semrep_jax.tasks.generated import Example, Generator

FORMATS = ("rewrite", "direct", "guided")


def text_of(example: Example, form: str) -> tuple[str, str]:
    """Prompt and completion of an example in one of FORMATS."""
    source = Program(Language.PYTHON, example.source)
    if form == "rewrite":
        return prompts.rewrite(source).compact, example.rewrite + prompts.END
    equivalent = example.rewrite if form == "guided" else None
    return prompts.transform(source, example.instruction, equivalent).compact, example.target + prompts.END


class PairSource:
    """Random access to tokenised pairs; item i is format i mod 3 of example i div 3 (a Grain RandomAccessDataSource)."""

    def __init__(self, generator: Generator, tokenizer: Tokenizer, size: int, row_length: int, prompt_weight: float = 0.0):
        self.generator, self.tokenizer, self.size, self.row_length = generator, tokenizer, size, row_length
        self.prompt_weight = prompt_weight
        self._example = lru_cache(maxsize=64)(generator.example)

    def __len__(self) -> int:
        return self.size

    def __repr__(self) -> str:
        return f"PairSource({self.generator.identity}, {self.size})"

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        example = self._example(index // len(FORMATS))
        prompt, completion = text_of(example, FORMATS[index % len(FORMATS)])
        head, tail = self.tokenizer.encode(prompt), self.tokenizer.encode(completion)
        if len(head) + len(tail) > self.row_length:
            raise TaskError(f"pair {index} has {len(head) + len(tail)} tokens and a row {self.row_length}: raise supervised.row_length")
        weight = np.array([self.prompt_weight] * len(head) + [1.0] * len(tail), np.float32)
        return {"tokens": np.array(head + tail, np.int32), "weight": weight}


def stream(source: PairSource, rows: int, row_length: int) -> grain.DatasetIterator:
    """An iterator of batches {"tokens", "weight", "segments", "positions"}, each [rows, row_length]."""
    lengths = {"tokens": row_length, "weight": row_length}
    read = grain.ReadOptions(num_threads=1, prefetch_buffer_size=64)
    packed: Any = FirstFitPackIterDataset(
        grain.MapDataset.source(source).to_iter_dataset(read), length_struct=lengths, num_packing_bins=4 * rows
    )
    return iter(packed.batch(rows, drop_remainder=True).map(_rename))


def _rename(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        "tokens": batch["tokens"],
        "weight": batch["weight"],
        "segments": batch["tokens_segment_ids"],
        "positions": batch["tokens_positions"],
    }
