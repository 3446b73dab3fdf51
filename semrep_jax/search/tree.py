"""The tree of one search: its nodes in the order they were written, what is known already, which of them a turn starts
from.

    tree = Tree(problem.task, w1=0.5, w2=0.5)
    tree.beam(4)            # the best four by (score, value, novelty): what the next turn starts from
    tree.best               # the best of all
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from semrep_jax.core.programs import Duplicate, Objective, Program, Task, Verdict
from semrep_jax.languages import distance, duplicate, form_of
from semrep_jax.rewards import equivalent
from semrep_jax.search.node import Kind, Node
from semrep_jax.search.problem import Assessed


class Tree:
    """Nodes of a search on one task, node 0 being C_src.

    w1, w2: of Score(c). source: what is known of C_src, where somebody has looked; by definition it passes U_sem and
    fails U_edit.
    """

    def __init__(self, task: Task, w1: float, w2: float, source: Assessed | None = None):
        self.task, self.w1, self.w2 = task, w1, w2
        self.rounds = 0
        self.copies = 0
        self.nodes: list[Node] = []
        self._forms: dict[str, int] = {}
        text = task.source.source
        root = Node(0, None, Kind.SOURCE, program=text, step="C_src", compiled=True, status="ok" if source else "")
        root.preserve = (len(task.preserve), len(task.preserve))
        root.edit = (0, len(task.edit))
        root.score = self._score(root)
        if source is not None:
            self.judge(root, source, ())
        self.nodes.append(root)
        self._forms[self._form(text)] = 0

    def program(self, node: int) -> Program:
        """The program of a node that holds one."""
        text = self.nodes[node].program
        assert text is not None
        return replace(self.task.source, source=text)

    def known(self, text: str) -> int | None:
        """The node that was judged already and is the same program in canonical form; None where there is none."""
        found = self._forms.get(self._form(text))
        if found is None and duplicate(self.task.source, replace(self.task.source, source=text)) is not Duplicate.NONE:
            return 0
        return found

    def remember(self, node: Node) -> None:
        """From now on a program like this node's is a copy of it."""
        assert node.program is not None
        self._forms[self._form(node.program)] = node.id

    def forget(self, node: Node) -> None:
        """Nothing is known of this node's program."""
        assert node.program is not None
        self._forms.pop(self._form(node.program), None)

    def add(self, nodes: Sequence[Node]) -> None:
        """Close a round with the nodes that were written in it."""
        self.nodes += nodes
        self.rounds += 1
        self.copies += sum(node.copy_of is not None for node in nodes)
        for node in nodes:
            if node.judged:
                self._forms.setdefault(self._form(node.program or ""), node.id)

    def judge(self, node: Node, assessed: Assessed, beam: Sequence[Node]) -> None:
        """Write what is known of a node's program into it.

        assessed: of the program. beam: what the turn began with; novelty is the distance to the nearest of it.
        """
        verdict = assessed.verdict
        node.status, node.compiled, node.feedback = str(verdict.status), verdict.compiled, verdict.feedback
        node.preserve = (verdict.preserve.passed, verdict.preserve.total)
        node.edit = (verdict.edit.passed, verdict.edit.total)
        node.facts, node.value = dict(verdict.facts), assessed.value
        node.seconds += assessed.seconds
        node.score = self._score(node, verdict)
        if node.score > 0 and node.kind is not Kind.SOURCE:
            program = replace(self.task.source, source=node.program or "")
            near = [self.task.source, *(self.program(held.id) for held in beam)]
            node.novelty = round(min(distance(program, other) for other in near), 6)

    def repeat(self, node: Node, original: Node) -> None:
        """Write what is known of a node into a copy of it."""
        node.copy_of = original.id
        names = ("status", "compiled", "preserve", "edit", "feedback", "facts", "value", "score")
        for name in names:
            setattr(node, name, getattr(original, name))

    def _score(self, node: Node, verdict: Verdict | None = None) -> float:
        """Score(c) = w1 [c is equivalent to C_src on U_sem] + w2 [c passes U_edit] (arXiv 2603.13640); 0 for one of
        which nothing is known, by a fault of ours."""
        if verdict is not None and not verdict.judged:
            return 0.0
        same = node.equivalent if verdict is None else equivalent(verdict)
        edited = node.compiled and node.edit[0] == node.edit[1]
        return self.w1 * same + self.w2 * edited

    def _form(self, text: str) -> str:
        return form_of(replace(self.task.source, source=text))

    @property
    def candidates(self) -> list[Node]:
        """What was judged, C_src too, copies left out."""
        return [node for node in self.nodes if node.judged]

    def beam(self, size: int) -> list[Node]:
        """The best `size` candidates that score, best first. C_src, which passes U_sem, is one of them where too few
        others are better."""
        scoring = [node for node in self.candidates if node.score > 0]
        return sorted(scoring, key=lambda node: node.rank, reverse=True)[:size] or [self.nodes[0]]

    @property
    def best(self) -> Node:
        """The best candidate of all."""
        return max(self.candidates, key=lambda node: node.rank)

    @property
    def solved(self) -> bool:
        """Whether nothing is left to look for: a right program, of a task that rewards nothing beyond being right."""
        if self.task.objective is not Objective.CORRECTNESS:
            return False
        return any(node.judged and node.id and self.is_solution(node) for node in self.nodes)

    def is_solution(self, node: Node) -> bool:
        """Whether a node has the full score."""
        return node.score >= self.w1 + self.w2 and node.correct
