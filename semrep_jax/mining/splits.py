"""Which mined functions are trained on and which are measured on: no program of one side holds a function of the other.

    splits = Splits()
    splits.add("p.m:f@0000001e", "def g(a): ...\n\ndef f(a): return g(a)")
    splits.decide()                  # {"p.m:f@0000001e": "test"}

A program carries the helpers of its function, so a function's own text does not say where it stands. Two programs
that hold one definition, whatever it is called there, are of one component, and a component is of one split: its
smallest number decides. That of a function alone is its own, and a tenth of all are of the test split.
"""

from __future__ import annotations

import ast

from semrep_jax.core import syntax
from semrep_jax.mining.contamination import own_canonical

TEST, TRAIN = "test", "train"
TEST_EVERY = 10


def split_of(number: int) -> str:
    """The split of what has this number."""
    return TEST if number % TEST_EVERY == 0 else TRAIN


def number_in(record_id: str) -> int:
    """A function's number, which ends the id of its record."""
    return int(record_id.rpartition("@")[2], 16)


def definitions(source: str) -> list[str]:
    """The functions and classes at the top of a program, each in a form that does not know its name."""
    found = []
    for node in syntax.module(source).body:
        if isinstance(node, ast.FunctionDef):
            found.append(own_canonical(source, node.name))
        elif isinstance(node, ast.ClassDef):
            node.name = "C"
            found.append(ast.unparse(node))
    return found


class Splits:
    """The components of programs that share definitions."""

    def __init__(self) -> None:
        self._own: dict[str, list[str]] = {}  # the forms in each function's program, by its id
        self._leader: dict[str, str] = {}  # of each form, another of its component; its own leader is the last

    def add(self, record_id: str, source: str) -> None:
        """Add a function's program."""
        self._own[record_id] = forms = definitions(source)
        for form in forms:
            self._leader.setdefault(form, form)
            self._leader[self._last(form)] = self._last(forms[0])

    def decide(self) -> dict[str, str]:
        """The split of each function, by its id."""
        least: dict[str, int] = {}
        for record_id in self._own:
            leader = self._component(record_id)
            least[leader] = min(least.get(leader, number_in(record_id)), number_in(record_id))
        return {record_id: split_of(least[self._component(record_id)]) for record_id in self._own}

    def figures(self, decided: dict[str, str]) -> dict[str, int]:
        """For the manifest: the test functions that training programs hold, as decided and if each function's own text
        had decided."""
        own = {record_id: split_of(number_in(record_id)) for record_id in self._own}
        return {
            "components": len({self._component(record_id) for record_id in self._own}),
            "test_functions": sum(split == TEST for split in decided.values()),
            "test_functions_in_training_programs": self.overlaps(decided),
            "test_functions_in_training_programs_by_own_text": self.overlaps(own),
        }

    def overlaps(self, splits: dict[str, str]) -> int:
        """How many functions of the test split have a definition that stands in a training program too."""
        trained = {form for record_id, forms in self._own.items() if splits[record_id] == TRAIN for form in forms}
        return sum(splits[i] == TEST and not trained.isdisjoint(forms) for i, forms in self._own.items())

    def _component(self, record_id: str) -> str:
        return self._last(self._own[record_id][0])

    def _last(self, form: str) -> str:
        while (leader := self._leader[form]) != form:
            self._leader[form] = self._leader[leader]  # a shorter way for the next time
            form = leader
        return form
