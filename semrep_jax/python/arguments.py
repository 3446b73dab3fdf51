"""A call that is drawn: its arguments, what can be changed about them, and where it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from semrep_jax.python.strategies import NEARLY_ONE, form
from semrep_jax.python.trace import Step


@dataclass(frozen=True)
class Target:
    """Where a call goes: what a step does with which name, after which steps."""

    what: str
    name: str
    before: tuple[Step, ...] = ()

    def step(self, call: Any) -> Step:
        """The step of a call."""
        return [self.what, self.name, call]


@dataclass
class Arguments:
    """A call as values: by place and by name."""

    args: list[Any] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)

    def form(self) -> Any:
        """Its wire form."""
        if not self.kwargs:
            return ["t", *map(form, self.args)]
        return ["call*", [form(x) for x in self.args], [[name, form(x)] for name, x in self.kwargs.items()]]

    def changed(self, change: Callable[[Any], Any], rng: Random) -> Arguments:
        """The same with one value changed."""
        places: list[int | str] = [*range(len(self.args)), *self.kwargs]
        if not places:
            return self
        place = rng.choice(places)
        args, kwargs = list(self.args), dict(self.kwargs)
        if isinstance(place, int):
            args[place] = change(args[place])
        else:
            kwargs[place] = change(kwargs[place])
        return Arguments(args, kwargs)


def _could_hold(one: Any, other: Any) -> bool:
    """Whether a value is a filled container of values such as the other."""
    return isinstance(one, list | tuple | set | dict) and any(type(x) is type(other) for x in one)


def related(call: Arguments, rng: Random) -> Arguments:
    """The call with one argument that hangs on the others by place: the same, a part, a sum, one that a container
    among them holds, or two exchanged."""
    args = list(call.args)
    held = [(i, j) for i, x in enumerate(args) for j, y in enumerate(args) if _could_hold(x, y)]
    if held and rng.random() < 0.5:
        i, j = rng.choice(held)
        fitting = [x for x in args[i] if type(x) is type(args[j])]
        args[j] = next((x for x in fitting if x != x), rng.choice(fitting))  # a NaN is in a list, and equals nothing
        return Arguments(args, call.kwargs)
    pairs = [(i, j) for i in range(len(args)) for j in range(len(args)) if i != j and type(args[i]) is type(args[j])]
    if not pairs:
        return call
    i, j = rng.choice(pairs)
    one = args[i]
    if rng.random() < 0.4:
        args[i], args[j] = args[j], args[i]
    elif type(one) in (int, float):
        others = [x for k, x in enumerate(args) if k != j and type(x) is type(one)]
        args[j] = rng.choice([one, sum(others), one - sum(others[1:]), -one])
        if type(one) is float and rng.random() < 0.2:
            args[i] = args[j] = float("nan")  # one object, which does not equal itself
    elif isinstance(one, str) and rng.random() < 0.2:
        args[i], args[j] = rng.choice(NEARLY_ONE)
    elif type(one) in (str, list, tuple) and one:
        k = rng.randrange(len(one))
        near = [one, one[k:], one[:k], one[k:] + one[:k], one[::-1]]
        if isinstance(one, str):
            near += [one.swapcase(), one.upper(), one.casefold(), one.strip()]
        args[j] = rng.choice(near)
    return Arguments(args, call.kwargs)
