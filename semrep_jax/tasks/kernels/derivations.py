"""How a faster kernel follows from C_src, step by step: by rules of `cuda/rewrites` where they lead, by hand where not.

    for step in derive("softmax"):
        print(step.how, step.what)              # C_src; by hand: ...; by rule: to_cached_load; ...
        judge.judge(find("softmax"), step.text)

The paper's story of the mean squared error on ten operators: a C_rep that does the same by simple kernels comes first,
what fuses them last. Nothing here says that a step is faster: that a GPU has to measure. `tools/derive_kernels.py`
judges every step and writes what `notebooks/rewrite_gallery.ipynb` shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from semrep_jax.core.errors import TaskError
from semrep_jax.cuda.candidate.candidate import from_file
from semrep_jax.cuda.rewrites import RULES
from semrep_jax.cuda.rewrites.program import CudaProgram, is_well_formed, parse_program
from semrep_jax.tasks.kernels.catalogue import FASTER, find

BETWEEN = Path(__file__).parent / "between"


class How(StrEnum):
    """Where the program of a step comes from."""

    SOURCE = "C_src"
    RULE = "by rule"
    HAND = "by hand"


@dataclass(frozen=True)
class ByRule:
    """One application of a rule: the `site`th program that it offers."""

    rule: str
    site: int = 0


@dataclass(frozen=True)
class ByHand:
    """A program that a person wrote. what: changed. file: its path."""

    what: str
    file: Path


@dataclass(frozen=True)
class Derived:
    """A step's program. what: the rule's name, or what a person changed; of C_src the instruction."""

    how: How
    what: str
    text: str


def _between(file: str, what: str) -> ByHand:
    return ByHand(what, BETWEEN / f"{file}.cu")


def _last(name: str, what: str) -> ByHand:
    return ByHand(what, FASTER / f"{name}.cu")


DERIVATIONS: dict[str, tuple[ByRule | ByHand, ...]] = {
    "mse_loss": (
        _between("mse_loss_1", "squares by all threads, into memory; one thread adds them up"),
        _between("mse_loss_2", "256 threads add up, one adds their sums"),
        _last("mse_loss", "squares and sums in one kernel, by warps and blocks; the squares never reach memory"),
    ),
    "softmax": (
        _between("softmax_1", "the largest of a row and the sum once a row, not once an element"),
        _between("softmax_2", "a warp for each row, its lanes side by side in memory"),
        _last("softmax", "one kernel, a block for each row: nothing between goes through memory"),
    ),
    "layer_norm": (
        _between("layer_norm_1", "mean and variance once a row, not once an element"),
        ByRule("to_cached_load"),
        _last("layer_norm", "one kernel, a block for each row"),
    ),
    "attention": (
        _between("attention_1", "three kernels, for scores, softmax and mixture: each score once, not once a column"),
        _last("attention", "one kernel, a block for each query; scores stay in shared memory, 128 at a time"),
    ),
    "row_sum": (
        ByRule("unroll_by_4"),
        _between("row_sum_1", "a warp for each row, its lanes side by side in memory"),
        _last("row_sum", "a block for each row"),
    ),
    "matmul": (
        ByRule("tile_product"),
        _last("matmul", "tiles of 64 x 64, and 4 x 4 results in a thread's registers"),
    ),
    "conv_2d": (
        ByRule("unroll_wholly", 1),
        _between("conv_2d_1", "what a block sees of an input channel lies in shared memory; no division"),
        _last("conv_2d", "eight output channels for each value that is read, weights in shared memory"),
    ),
    "transpose": (
        _between("transpose_1", "two-dimensional blocks: no division, reads side by side"),
        _between("transpose_2", "by way of a tile in shared memory: writes side by side too"),
        _last("transpose", "rows of the tile one longer, against bank conflicts; four rows a thread"),
    ),
    "gelu": (
        ByRule("extract_function"),
        ByRule("vectorise"),
        _last("gelu", "the remainder beside the groups of four, in one pass"),
    ),
    "apart_scale_bias_relu": (
        ByRule("fuse_kernels"),
        ByRule("fuse_kernels"),
        ByRule("inline_name"),
        ByRule("vectorise"),
    ),
}


def derive(name: str) -> list[Derived]:
    """C_src and the program after each step. Raises TaskError where none is known, or a rule does not apply."""
    if name not in DERIVATIONS:
        raise TaskError(f"no derivation of {name!r}; there are {', '.join(DERIVATIONS)}")
    task = find(name)
    found = [Derived(How.SOURCE, task.instruction.removeprefix("Make it faster: "), task.source)]
    for step in DERIVATIONS[name]:
        if isinstance(step, ByHand):
            found.append(Derived(How.HAND, step.what, from_file(step.file.read_text())))
        else:
            found.append(Derived(How.RULE, step.rule, _applied(name, found[-1].text, step)))
    return found


def _applied(name: str, text: str, step: ByRule) -> str:
    """The text after one application of a rule."""
    program = parse_program(text)
    offers = [] if program is None else [o for o in RULES[step.rule].offers(program) if _is_other(o, program)]
    if step.site >= len(offers):
        raise TaskError(
            f"derivation of {name}: {step.rule} offers {len(offers)} programs, and {step.site} is asked for"
        )
    return offers[step.site].text


def _is_other(offer: CudaProgram, program: CudaProgram) -> bool:
    return offer.text != program.text and is_well_formed(offer)
