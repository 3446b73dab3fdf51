"""The budget of one search: tokens, seconds of judging, seconds on the clock. `Budget.spend` is the one place that
spends.

    budget = Budget(Limits(tokens=100))
    budget.spend("tokens", 60)     # True: it is paid for
    budget.spend("tokens", 60)     # False: beyond the budget, and whoever asked throws away what it would have bought
    budget.spend("tokens", 1)      # False: what was overrun once stays exhausted

Nothing is bought in part and nothing is free: what does not fit in what is left is counted under `beyond`, its result
is used by nobody, and the search ends. So `spent` never exceeds a limit, and two strategies of equal limits had at most
the same. What was paid for with tokens before they ran out is still judged.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from semrep_jax.core.errors import SemRepError

Resource = Literal["tokens", "verifier_seconds", "wall_seconds"]


class BudgetError(SemRepError):
    """A budget that can't be kept."""


@dataclass(frozen=True)
class Limits:
    """The most of each that may be spent; None is no limit."""

    tokens: int | None = None
    verifier_seconds: float | None = None
    wall_seconds: float | None = None


@dataclass
class Spent:
    """An amount of each: tokens, seconds of judging, seconds on the clock."""

    tokens: int = 0
    verifier_seconds: float = 0.0
    wall_seconds: float = 0.0


@dataclass
class Budget:
    """Limits, what was spent within them, what was asked for beyond them, and of what there is no more."""

    limits: Limits = Limits()
    spent: Spent = field(default_factory=Spent)
    beyond: Spent = field(default_factory=Spent)
    overrun: list[str] = field(default_factory=list)

    def spend(self, resource: Resource, amount: float) -> bool:
        """Pay for something; False where it does not fit in what is left, now and ever after.

        resource: tokens (prompt and completion together), seconds of judging, or seconds on the clock. amount: of it.
        """
        limit, had = getattr(self.limits, resource), getattr(self.spent, resource)
        if limit is not None and had + amount > limit and resource not in self.overrun:
            self.overrun.append(resource)
        account = self.beyond if resource in self.overrun else self.spent
        setattr(account, resource, getattr(account, resource) + amount)
        return resource not in self.overrun

    @property
    def exhausted(self) -> bool:
        """Whether something was asked for that was not left."""
        return bool(self.overrun)

    def to_json(self) -> dict[str, Any]:
        """What was spent and what lay beyond, as plain JSON."""
        return {"spent": asdict(self.spent), "beyond": asdict(self.beyond), "overrun": self.overrun}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `to_json` gave. Raises KeyError or TypeError for what is none."""
        self.spent, self.beyond = Spent(**state["spent"]), Spent(**state["beyond"])
        self.overrun = list(state["overrun"])
