"""Steps, and how two programs differ in one, told as a person would write them.

sequence_text([["new", "Box", ["t", 3]], ["get", "size"]])      # "instance = Box(3); instance.size"
contrast(expected, seen)                                        # "is 4, got 5"
"""

from __future__ import annotations

from collections.abc import Sequence

from semrep_jax.python.trace import Seen, Step
from semrep_jax.sandbox.writing import written

NO_END = "got no end"
OPERATORS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


def call_text(step: Step) -> str:
    """A step as one would write it."""
    what, name, *call = step
    if not call:
        return f"instance.{name}"
    given = written(call[0])
    given = given[1:-1].removesuffix(",") if call[0][0] == "t" else given
    match what:
        case "set":
            return f"instance.{name} = {given}"
        case "env":
            return f"os.environ[{name!r}] = {given}"
        case "argv":
            return f"sys.argv[1:] = [{given}]"
        case "op":
            return f"instance {OPERATORS[name]} {given}" if name in OPERATORS else "bool(instance)"
        case "hash":
            return f"hash(instance), beside {name}({given})"
        case "with":
            return f"with instance: {f'raise {given}' if given else 'pass'}"
        case "member":
            return f"instance = {name}[{given}]"
    return {"new": "instance = ", "ask": "instance."}.get(what, "") + f"{name}({given})"


def sequence_text(steps: Sequence[Step]) -> str:
    """Steps as one would write them."""
    return "; ".join(map(call_text, steps))


def expected_text(outcome: Seen) -> str:
    """What was seen of a step, as the first half of a sentence."""
    if outcome.how == "returned":
        return f"is {written(outcome.value)}"
    return f"raises {outcome.how}" + ("" if outcome.value is None else f" with {written(outcome.value)}")


def contrast(expected: Seen | None, seen: Seen) -> str:
    """What was expected and what came instead."""
    assert expected is not None
    text = expected_text(expected)
    if seen.how == "slow":
        return f"{text}, {NO_END}"
    if seen.how != "returned":
        got = seen.message or seen.how
        if seen.how != expected.how:
            return f"{text}, got {got}"
        return f"{text}, got {written(seen.value)}" if expected.value != seen.value else f"{text} with other effects"
    if expected.how != "returned" or expected.value != seen.value or written(expected.value) != written(seen.value):
        return f"{text}, got {written(seen.value)}"
    if (expected.output, expected.errors) != (seen.output, seen.errors):
        return f"prints {expected.output + expected.errors!r}, got {seen.output + seen.errors!r}"
    if expected.after != seen.after:
        return f"leaves its arguments {written(expected.after)}, got {written(seen.after)}"
    if list(expected.files) != list(seen.files):
        return f"leaves the files {dict(expected.files)!r:.150}, got {dict(seen.files)!r:.150}"
    if list(expected.shared) != list(seen.shared):
        return f"{text}, and so is the other, but objects in it or in the arguments are shared otherwise"
    return f"{text}, got other changes to its arguments or other output"
