"""Python, as everything above the languages meets it: `LANGUAGES["python"]`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from semrep_jax.core.programs import Program, Task
from semrep_jax.languages import Comparer, Judge, Resources, Rewritten, Wording, fenced_blocks
from semrep_jax.python import PYTHON, canonical


class Python:
    """The language's methods; see `languages.Language`. libcst and Hypothesis are imported when first needed."""

    name = PYTHON
    suffixes = (".py",)
    wording = Wording(
        system="You transform code. You answer with one ```python block that holds the whole program, "
        "and nothing else.",
        same="behaves exactly the same: the same name and arguments, the same results, errors and output. "
        "Renaming alone does not count.",
    )

    def extract(self, text: str) -> tuple[Program | None, str]:
        """All of the text where it is Python, else what its first code block holds."""
        if canonical.parse(text) is not None:
            return Program(PYTHON, text), ""
        blocks = fenced_blocks(text)
        if not blocks:
            return None, "the completion is not valid Python"
        inner = blocks[0].body.strip("\n")
        if not inner.strip():
            return None, "the code block is empty"
        if canonical.parse(inner) is None:
            return None, "the code block is not valid Python"
        return Program(PYTHON, inner), ""

    def canonical(self, source: str) -> str | None:
        """See `python.canonical`."""
        return canonical.canonical(source)

    def repeats(self, a: str, b: str) -> bool:
        """See `python.canonical.repeats`."""
        return canonical.repeats(a, b)

    def distance(self, a: str, b: str) -> float:
        """Tree-edit distance of two canonical texts over the size of the larger tree."""
        return canonical.distance(a, b)

    def answer(self, program: Program) -> str:
        """The program in one code block."""
        return f"```python\n{program.source.strip()}\n```"

    def judge(self, resources: Resources) -> Judge:
        """Runs programs in the sandbox."""
        from semrep_jax.python.verifier import PythonJudge

        return PythonJudge(resources.sandbox)

    @property
    def rule_groups(self) -> Mapping[str, Sequence[str]]:
        """Rules on libcst's trees."""
        from semrep_jax.python.rewrites import RULE_GROUPS

        return RULE_GROUPS

    def rewrite(
        self, program: Program, rng: Random, steps: int, rules: Sequence[str] | None = None
    ) -> Rewritten | None:
        """A chain of rules."""
        from semrep_jax.python.rewrites import chain

        return chain.rewrite(program, rng, steps, rules)

    def comparer(self, program: Program, resources: Resources, task: Task | None = None) -> Comparer:
        """Calls of every function at the program's top. Raises InputError where it has none that can be called."""
        from semrep_jax.python.equivalence import Reference

        return Reference(program.source, resources.sandbox, seed=resources.seed)


LANGUAGE = Python()
