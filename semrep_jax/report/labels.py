"""How arms are called and coloured, everywhere a person sees them."""

from __future__ import annotations

COLOURS = {"base": "#888888", "semrep": "#1f6fb2", "finetune": "#d1682b"}
LABELS = {"base": "base", "semrep": "SemRep", "finetune": "fine-tuning only"}
DIFFERENCE = "SemRep − fine-tuning"


def label(arm: str) -> str:
    """An arm's name for a person."""
    return LABELS.get(arm, arm)


def estimate(value: dict[str, float] | None, sign: bool = False) -> str:
    """An estimate of results.json with its interval, "" for None; `sign` for a difference."""
    if value is None:
        return ""
    form = "+.3f" if sign else ".3f"
    return f"{value['value']:{form}} [{value['low']:{form}}, {value['high']:{form}}]"


def sampled_tokens(metrics: dict[str, dict[str, float]], turns: int) -> float:
    """Tokens that evaluation took at T turns, over all suites."""
    return sum(v["value"] for key, v in metrics.items() if key.endswith(f"_tokens/T{turns}"))
