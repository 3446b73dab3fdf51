"""How arms are called and coloured, everywhere a person sees them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

KNOWN = ("base", "semrep", "finetune")  # in the order that tables and legends have them
LABELS = {
    "base": "base",
    "semrep": "SemRep",
    "finetune": "fine-tuning only",
    "variants_pooled": "pooled variants",
    "stage1": "stage 1 only",
}
PAIR = ("semrep", "finetune")  # that differences are taken of where results name no other
MORE_COLOURS = 6  # for arms of other names, and for runs that are compared


def label(arm: str) -> str:
    """An arm's name for a person; of a study's with several settings, "arm/setting"."""
    name, _, setting = arm.partition("/")
    return ", ".join(filter(None, (LABELS.get(name, name), setting)))


def difference(results: Mapping[str, Any] | None) -> str:
    """What the differences of results.json are taken of: its pair `compared`, ours minus theirs."""
    ours, theirs = (results or {}).get("compared", PAIR)
    return f"{label(ours)} − {label(theirs).removesuffix(' only')}"


def over(results: Mapping[str, Any]) -> str:
    """What the intervals of results.json are over."""
    return "seeds and tasks" if len(results.get("seeds", ())) > 1 else "tasks"


def in_order(arms: Iterable[str]) -> list[str]:
    """Arms that have an order of their own first, the others by name."""
    return sorted(arms, key=lambda arm: (KNOWN.index(arm) if arm in KNOWN else len(KNOWN), arm))


def colours(names: Iterable[str]) -> dict[str, str]:
    """The colour (a name of `svg.PALETTE`) of each arm or run."""
    free = iter(range(1000))
    return {name: name if name in KNOWN else f"other{next(free) % MORE_COLOURS}" for name in names}


def estimate(value: dict[str, float] | None, sign: bool = False) -> str:
    """An estimate of results.json with its interval, "" for None; `sign` for a difference."""
    if value is None:
        return ""
    form = "+.3f" if sign else ".3f"
    return f"{value['value']:{form}} [{value['low']:{form}}, {value['high']:{form}}]"


def sampled_tokens(metrics: dict[str, dict[str, float]], turns: int) -> float:
    """Tokens that evaluation took at T turns, over all suites."""
    return sum(v["value"] for key, v in metrics.items() if key.endswith(f"_tokens/T{turns}"))
