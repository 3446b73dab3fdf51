"""Which fenced block of an answer is device code, and which is the launch list."""

from __future__ import annotations

from semrep_jax.languages import Block

CODE_TAGS = ("cuda", "cu", "c++", "cpp", "c")
LIST_TAGS = ("json", "launch")


def is_code(block: Block) -> bool:
    """Whether a block is device code: by its tag, or without one by a kernel in it."""
    return block.tag in CODE_TAGS or (not block.tag and "__global__" in block.body)


def is_launch_list(block: Block) -> bool:
    """Whether a block is a launch list: by its tag, or without one because it begins as JSON does."""
    return block.tag in LIST_TAGS or (not block.tag and block.body.lstrip()[:1] in ("[", "{"))
