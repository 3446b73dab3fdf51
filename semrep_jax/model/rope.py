"""The wavelengths of rotary position embeddings, plain or stretched over longer texts as a `rope_scaling` asks.

    scaling = read({"rope_type": "yarn", "factor": 4.0}, context=32768, origin="m")
    frequencies(theta=1e6, head_dim=128, scaling=scaling)      # radians a position for each pair, [64]
    scaling.attention_factor                                   # what cosines and sines are multiplied by

Each kind is a class in `KINDS` that computes what `transformers` does under its name (modeling_rope_utils.py); any
other kind is refused. `dynamic` changes nothing up to the model's context and depends on the text's length past it,
where `Dynamic.check` stops: a token's keys would have to change while its completion is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from semrep_jax.model import values
from semrep_jax.model.shape import ModelError

PLAIN = "default"  # rope_type of no scaling
# What every kind may state, used or not.
COMMON = frozenset(("rope_theta", "rope_type", "type", "original_max_position_embeddings"))


class RopeScaling(Protocol):
    """A way to stretch the wavelengths. `kind` and `keys` are its rope_type and its fields' names in config.json."""

    kind: ClassVar[str]
    keys: ClassVar[Mapping[str, str]]

    @property
    def attention_factor(self) -> float:
        """What cosines and sines are multiplied by."""

    def stretched(self, plain: np.ndarray, theta: float) -> np.ndarray:
        """The frequencies [H/2] made of the plain ones, whose base is theta."""

    def check(self, length: int, context: int) -> None:
        """Raise ModelError where a text of `length` tokens can't be computed by a model of this context."""


@dataclass(frozen=True)
class _Unscaled:
    """What kinds have in common that scale no attention and compute texts of any length."""

    @property
    def attention_factor(self) -> float:
        return 1.0

    def check(self, length: int, context: int) -> None:
        pass


@dataclass(frozen=True)
class Linear(_Unscaled):
    """Every wavelength is `factor` times as long."""

    factor: float

    kind: ClassVar[str] = "linear"
    keys: ClassVar[Mapping[str, str]] = {"factor": "factor"}

    def stretched(self, plain: np.ndarray, theta: float) -> np.ndarray:
        """The frequencies [H/2] made of the plain ones."""
        return plain / self.factor


@dataclass(frozen=True)
class Dynamic(_Unscaled):
    """NTK-aware scaling that grows with the text past the model's context; up to it, none."""

    factor: float

    kind: ClassVar[str] = "dynamic"
    keys: ClassVar[Mapping[str, str]] = {"factor": "factor"}

    def stretched(self, plain: np.ndarray, theta: float) -> np.ndarray:
        """The plain frequencies [H/2]: those of texts within the context."""
        return plain

    def check(self, length: int, context: int) -> None:
        """Raise ModelError past the context."""
        if length > context:
            raise ModelError(
                f"rope scaling 'dynamic' is computed up to max_position_embeddings = {context} tokens, not for "
                f"{length}: lower rollout.max_prompt or rollout.max_new, or use a model with yarn"
            )


@dataclass(frozen=True)
class Llama3(_Unscaled):
    """Llama 3: long wavelengths are stretched, short ones kept, those between blended.

    factor: of the long ones. low, high: rotations over `original` tokens below which a wavelength is long, above which
    it is short.
    """

    factor: float
    low: float
    high: float
    original: int

    kind: ClassVar[str] = "llama3"
    keys: ClassVar[Mapping[str, str]] = {
        "factor": "factor",
        "low_freq_factor": "low",
        "high_freq_factor": "high",
        "original_max_position_embeddings": "original",
    }

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise ModelError(
                f"rope scaling 'llama3': low_freq_factor = {self.low} has to be below high_freq_factor = {self.high}; "
                "mend the model's config.json"
            )

    def stretched(self, plain: np.ndarray, theta: float) -> np.ndarray:
        """The frequencies [H/2] made of the plain ones."""
        rotations = self.original * plain / (2 * np.pi)  # over the original context
        blend = np.clip((rotations - self.low) / (self.high - self.low), 0.0, 1.0)
        return plain * (blend + (1 - blend) / self.factor)


@dataclass(frozen=True)
class Yarn:
    """YaRN (arXiv 2309.00071): as `Llama3`, blended over dimensions, with the attention made sharper.

    factor: of the long wavelengths. original: the context before stretching. attention_factor: on cosines and sines.
    beta_fast, beta_slow: rotations over the original context from which a wavelength is kept, below which it is
    stretched. truncate: whether the dimensions where that begins and ends are whole numbers.
    """

    factor: float
    original: int
    attention_factor: float
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    truncate: bool = True

    kind: ClassVar[str] = "yarn"
    keys: ClassVar[Mapping[str, str]] = {
        "factor": "factor",
        "original_max_position_embeddings": "original",
        "attention_factor": "attention_factor",
        "beta_fast": "beta_fast",
        "beta_slow": "beta_slow",
        "truncate": "truncate",
    }

    def stretched(self, plain: np.ndarray, theta: float) -> np.ndarray:
        """The frequencies [H/2] made of the plain ones, whose base is theta."""
        size = 2 * len(plain)

        def dimension(rotations: float) -> float:
            """Where a wavelength turns so often over the original context."""
            return size * math.log(self.original / (rotations * 2 * math.pi)) / (2 * math.log(theta))

        first, last = dimension(self.beta_fast), dimension(self.beta_slow)
        if self.truncate:
            first, last = math.floor(first), math.ceil(last)
        first, last = max(first, 0), min(last, size - 1)
        if first == last:
            last += 0.001
        stretch = np.clip((np.arange(len(plain)) - first) / (last - first), 0.0, 1.0)
        return plain * (1 - stretch) + plain / self.factor * stretch

    def check(self, length: int, context: int) -> None:
        """Texts of any length are computed."""


KINDS: dict[str, type[Any]] = {one.kind: one for one in (Linear, Dynamic, Llama3, Yarn)}
ALL_ROTATED = ("partial_rotary_factor", 1.0)  # every dimension is rotated, as here
# Kinds that state the context they stretch; a config may state it outside of them.
STRETCHES_FROM = (Llama3.kind, Yarn.kind)
# Of YaRN, beside its own: what an absent attention_factor follows from.
MSCALE = ("mscale", "mscale_all_dim")
# Of YaRN, too: what has a default.
OPTIONAL = ("beta_fast", "beta_slow", "truncate")
# Of YaRN, too: what changes nothing; older models say that they were trained on it.
HARMLESS = ("finetuned",)
# What the values have to be; numbers above 0 where nothing else is said.
VALUES: dict[str, values.Kind] = {
    "original_max_position_embeddings": values.WHOLE,
    "truncate": values.SWITCH,
    **dict.fromkeys(MSCALE, values.NOT_NEGATIVE),
}


def read(rope: Mapping[str, Any], context: int, origin: str) -> RopeScaling | None:
    """The scaling that config.json's `rope_scaling` or `rope_parameters` asks for, or None.

    rope: that mapping. context: the model's max_position_embeddings. origin: where the config lies, for messages.
    Raises ModelError for a kind we don't compute, and for what its kind does not know: it may change what the model
    computes.
    """
    given = {key: value for key, value in rope.items() if value is not None or key == "factor"}
    name = values.require(values.TEXT, "rope_type", given.get("rope_type", given.get("type", PLAIN)), origin)
    if name != PLAIN and name not in KINDS:
        known = ", ".join(KINDS)
        raise ModelError(f"{origin}: rope scaling {name!r} is not supported; supported are none, {known}")
    keys = KINDS[name].keys if name != PLAIN else {}
    known_keys = {*COMMON, *keys, *((*MSCALE, *HARMLESS) if name == Yarn.kind else ())}
    for key, value in given.items():
        if key in known_keys or (key, value) == ALL_ROTATED:
            pass
        elif key == ALL_ROTATED[0] or isinstance(value, Mapping):
            what = "other wavelengths for each kind of layer" if isinstance(value, Mapping) else f"{key} other than 1.0"
            raise ModelError(f"{origin}: rope scaling has {key} = {value!r:.80}, and {what} is not supported")
        else:
            raise ModelError(
                f"{origin}: rope scaling of rope_type {name!r} has {key} = {value!r}, which it does not know; state "
                "the rope_type that it belongs to, or remove it"
            )
        if value is not None and key in (*keys, *VALUES):
            values.require(VALUES.get(key, values.POSITIVE), f"{key} of rope scaling {name!r}", value, origin)
    if name == PLAIN:
        return None
    original = given.setdefault("original_max_position_embeddings", context)
    if name == Yarn.kind:
        given = _yarn(given, context / original)
    for key in keys:
        value = given.get(key)
        if value is None and key not in OPTIONAL:
            raise ModelError(f"{origin}: rope scaling {name!r} lacks {key}; add it to config.json")
    try:
        return KINDS[name](**{ours: given[theirs] for theirs, ours in keys.items() if theirs in given})
    except ModelError as error:
        raise ModelError(f"{origin}: {error}") from error


def _yarn(given: dict[str, Any], ratio: float) -> dict[str, Any]:
    """YaRN's settings with what follows from others: a null factor is the ratio of the contexts."""
    if "factor" in given and given["factor"] is None:
        given = given | {"factor": ratio}
    if "attention_factor" in given or "factor" not in given:
        return given
    scale, of_all = (given.get(key) for key in MSCALE)
    factor = float(given["factor"])
    sharper = _sharper(factor, scale) / _sharper(factor, of_all) if scale and of_all else _sharper(factor, 1.0)
    return given | {"attention_factor": sharper}


def _sharper(factor: float, scale: float) -> float:
    return 1.0 if factor <= 1 else 0.1 * scale * math.log(factor) + 1.0


def write(scaling: RopeScaling) -> dict[str, Any]:
    """config.json's `rope_scaling` of a scaling; `read` gives the scaling back."""
    return {"rope_type": scaling.kind} | {theirs: getattr(scaling, ours) for theirs, ours in scaling.keys.items()}


def frequencies(theta: float, head_dim: int, scaling: RopeScaling | None) -> np.ndarray:
    """Radians a position for each pair of dimensions, float32 [H/2].

    theta: the base of the wavelengths. head_dim: H. scaling: what stretches them; None for nothing. Raises ModelError
    where they are no numbers, as those of YaRN with a base of 1.
    """
    half, found = head_dim // 2, np.full(1, np.nan)
    with np.errstate(all="ignore"), suppress(ArithmeticError, ValueError):
        plain = theta ** (-np.arange(half) / half)
        found = (plain if scaling is None else scaling.stretched(plain, theta)).astype(np.float32)
    if not np.isfinite(found).all():
        asked = "" if scaling is None else f" with {write(scaling)}"
        raise ModelError(f"rope_theta = {theta:g}{asked} gives wavelengths that are no numbers; mend config.json")
    return found
