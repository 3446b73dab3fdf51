"""Where a pretrained model's tensors come from: a directory with safetensors (one file, or shards with an index).

    source = Directory(path)
    source.settings, source.shapes, source.read("model.norm.weight"), source.tokenizer()

`gguf_tensors.GGUF` is the other source. Both give one tensor at a time under its Hugging Face name and in its Hugging
Face layout, so that a model never lies whole in host memory. What can't be read as the user means it is refused with
its name: quantised weights, two sets of weights side by side, shards that are missing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from safetensors import SafetensorError, safe_open

from semrep_jax.model import tokenizer as tokenizers
from semrep_jax.model.added_tokens import lfs_hint
from semrep_jax.model.shape import ModelError
from semrep_jax.model.tokenizer import Tokenizer

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
CONFIG = "config.json"
READ_TYPES = ("F64", "F32", "F16", "BF16")
# Parts of tensors' names that only quantised weights have.
QUANTISED_PARTS = {
    "qweight": "GPTQ or AWQ",
    "qzeros": "GPTQ or AWQ",
    "g_idx": "GPTQ",
    "weight_packed": "compressed-tensors",
    "weight_scale": "FP8 or int8",
    "weight_scale_inv": "FP8",
    "input_scale": "FP8",
    "scales": "MLX",
    "absmax": "bitsandbytes",
    "quant_map": "bitsandbytes",
    "SCB": "bitsandbytes",
}
# What a directory that is no model may hold instead, or one without weights that we read, and what to do then.
INSTEAD_OF_MODEL = {
    "adapter_config.json": "it is an adapter: merge it into its base model and name the merged one",
    "consolidated*": "it is in its maker's own layout: download the Hugging Face files of the model",
    "*.gguf": "name the .gguf file itself",
    "checkpoint-*/config.json": "it holds checkpoints: name one of them",
    "snapshots/*/config.json": "it is a download's cache: name the directory in its snapshots",
}
INSTEAD_OF_WEIGHTS = INSTEAD_OF_MODEL | {
    "model-*.safetensors": f"it holds shards without their index: download {INDEX}",
    "model.safetensor[s]": "that is a link to a file that is gone, or a directory: download it again",
    "*.safetensors": f"it holds safetensors by another name: call the one file {WEIGHTS}",
    "pytorch_model*.bin": "only safetensors are read: convert the weights",
}
# Of an adapter that lies beside a model.
ADAPTER, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.*"


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A dict of JSON, of which JSON would let the last of several values of one name stand. Raises ValueError."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if found.setdefault(name, value) != value:
            raise ValueError(f"it has {name} twice, as {found[name]!r:.60} and {value!r:.60}")
    return found


class Source(Protocol):
    """A pretrained model on disk. origin: where it lies; described_by: what `settings` were read from."""

    origin: str
    described_by: str

    @property
    def settings(self) -> dict[str, Any]:
        """The model's `config.json`."""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every tensor's shape by name."""

    def read(self, name: str) -> np.ndarray:
        """One tensor, float32 or its stored float type."""

    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer."""


class Renamed:
    """A source whose tensors go by other names. stored_name: the new name -> the one in the source."""

    def __init__(self, source: Source, stored_name: Mapping[str, str]):
        self._source, self._stored_name = source, stored_name
        self.origin, self.described_by, self.settings = source.origin, source.described_by, source.settings
        self.shapes = {name: source.shapes[stored] for name, stored in stored_name.items()}

    def read(self, name: str) -> np.ndarray:
        """One tensor by its new name."""
        return self._source.read(self._stored_name[name])

    def tokenizer(self) -> Tokenizer:
        """The source's own."""
        return self._source.tokenizer()


class Directory:
    """A directory in Hugging Face layout."""

    described_by = CONFIG

    def __init__(self, path: Path):
        self.path, self.origin = path, str(path)
        self._open: dict[str, Any] = {}

    @cached_property
    def settings(self) -> dict[str, Any]:
        """config.json, parsed."""
        path = self.path / CONFIG
        try:
            found = json.loads(path.read_text())
        except (FileNotFoundError, IsADirectoryError) as error:
            raise ModelError(
                f"{self.path} is no model directory: it holds no {CONFIG}{self._advice(INSTEAD_OF_MODEL)}"
            ) from error
        except (ValueError, RecursionError) as error:
            raise ModelError(
                f"{path} is not JSON ({error}); download or export the model again{lfs_hint(path)}"
            ) from error
        if not isinstance(found, dict):
            raise ModelError(f"{path} holds no dict of settings; download or export the model again")
        return found

    @property
    def whole(self) -> bool:
        """Whether its config and all of its weights are there; of a download that was broken off, they are not."""
        if not (self.path / CONFIG).is_file():
            return False
        shards = set(self._index().values())
        return (self.path / WEIGHTS).is_file() or (bool(shards) and all((self.path / s).is_file() for s in shards))

    def _advice(self, instead: Mapping[str, str]) -> str:
        """What to do about the first of `instead` that the directory holds, as the end of a message."""
        return next((f"; {advice}" for pattern, advice in instead.items() if any(self.path.glob(pattern))), "")

    @cached_property
    def _files(self) -> dict[str, str]:
        """Tensor name -> file name."""
        if (self.path / ADAPTER).is_file() and any(self.path.glob(ADAPTER_WEIGHTS)):
            raise ModelError(
                f"{self.path} holds a model and an adapter of it ({ADAPTER}), and whether the one is merged into the "
                f"other is not said: merge it, or remove {ADAPTER} if the weights alone are meant"
            )
        file_of = self._index()
        shards = sorted(set(file_of.values()))
        here = [file for file in shards if (self.path / file).is_file()]
        if (self.path / WEIGHTS).is_file():
            if here and here != [WEIGHTS]:
                raise ModelError(
                    f"{self.path} holds two sets of weights, {WEIGHTS} and the {len(here)} shards of {INDEX}, and "
                    "either may be the old one: remove one of them"
                )
            return dict.fromkeys(self._file(WEIGHTS).keys(), WEIGHTS)  # an index of shards that are gone is nothing
        if not shards:
            advice = self._advice(INSTEAD_OF_WEIGHTS) or "; download the model again"
            raise ModelError(f"{self.path} holds no {WEIGHTS} and no {INDEX}{advice}")
        gone = [file for file in shards if file not in here]
        if gone:
            raise ModelError(
                f"{self.path}: {len(gone)} of the {len(shards)} shards that {INDEX} names are not there, {gone[0]} "
                "first; finish the download"
            )
        held: dict[str, str] = {}
        for file in shards:
            for name in self._file(file).keys():  # noqa: SIM118
                if held.setdefault(name, file) != file:
                    raise ModelError(
                        f"{self.path}: {name} lies in two shards, {held[name]} and {file}, and either may be the old "
                        "one: download all of them again"
                    )
        lacking = next((name for name in file_of if name not in held), None)
        if lacking is not None:
            raise ModelError(
                f"{self.path / file_of[lacking]} lacks {lacking}, which the index names; download it again"
            )
        return held | file_of

    def _index(self) -> dict[str, str]:
        """The index of shards, tensor name -> file name; nothing where there is none."""
        path = self.path / INDEX
        if not path.is_file():
            return {}
        try:
            file_of = dict(json.loads(path.read_text(), object_pairs_hook=_without_twins)["weight_map"])
            odd = next((file for file in file_of.values() if not isinstance(file, str)), None)
            if odd is not None:
                raise TypeError(f"{odd!r:.40} is no file's name")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ModelError(
                f"{path} is not an index of shards ({error}); download the model again{lfs_hint(path)}"
            ) from error
        return file_of

    def _file(self, name: str) -> Any:
        if name not in self._open:
            path = self.path / name
            try:
                self._open[name] = safe_open(path, framework="numpy")
            except (SafetensorError, OSError) as error:
                raise ModelError(
                    f"{path} can't be read ({error}); it is missing or cut short, download or export it again"
                    f"{lfs_hint(path) if path.is_file() else ''}"
                ) from error
        return self._open[name]

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every tensor's shape by name, from the files' headers. Raises ModelError for quantised weights."""
        found = {}
        for name, file in self._files.items():
            try:
                header = self._file(file).get_slice(name)
            except SafetensorError as error:
                raise ModelError(
                    f"{self.path / file} lacks {name}, which the index names; download it again"
                ) from error
            kind, method = header.get_dtype(), next(filter(None, map(QUANTISED_PARTS.get, name.split("."))), None)
            if kind not in READ_TYPES or method is not None:
                raise ModelError(
                    f"{self.path / file} holds {name} of type {kind}: the weights are quantised "
                    f"({method or kind}), which is not supported; name the model they were made of, or a GGUF file"
                )
            found[name] = tuple(header.get_shape())
        return found

    def read(self, name: str) -> np.ndarray:
        """One tensor in its stored type."""
        return self._file(self._files[name]).get_tensor(name)

    def tokenizer(self) -> Tokenizer:
        """tokenizer.json and what lies beside it."""
        return tokenizers.load(self.path)
