"""What a rule for CUDA C++ is: a name, its inverse's name where it has one, and a function that offers programs.

Preconditions are syntactic and err on the safe side. Each offer differs from the program by one change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from semrep_jax.cuda.rewrites.edits import Edit
from semrep_jax.cuda.rewrites.expression_types import variable_types
from semrep_jax.cuda.rewrites.nodes import can_reformat, matches
from semrep_jax.cuda.rewrites.program import CudaProgram

Offers = Callable[[CudaProgram], Iterator[CudaProgram]]
Change = Callable[..., list[Edit] | None]


@dataclass(frozen=True)
class CudaRule:
    """One rewrite: `offers` gives a program for each site where it applies; `inverse` is the rule that leads back."""

    name: str
    offers: Offers
    inverse: str | None = None


def at_each_match(pattern: str, change: Change) -> Offers:
    """The offers of a change of one node, in the bodies of all functions.

    pattern: a tree-sitter query, `@site` around what is laid out anew. change: is called with its captures by name and
    the `types` of the function's variables; gives the edits, or None where the rule does not apply after all.
    """

    def offers(program: CudaProgram) -> Iterator[CudaProgram]:
        for function in program.functions:
            types = variable_types(function)
            for captures in matches(function.body, pattern):
                edits = change(**captures, types=types) if can_reformat(captures["site"]) else None
                if edits is not None:
                    yield program.with_edits(edits)

    return offers
