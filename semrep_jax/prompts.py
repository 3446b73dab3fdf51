"""Task to prompt, completion to program.

A `Prompt` says what is asked; how it is worded is the model's matter. The compact wording is the one the nano base was
warm-started on, every marker one token of its tokenizer; an instruct model is asked in chat messages.

    stage 1          <|rewrite|>C_src<|program|>                                       -> C_rep<|end|>
    direct           <|edit|>I<|source|>C_src<|program|>                               -> C_tgt<|end|>
    with a rewrite   <|edit|>I<|source|>C_src<|equivalent|>C_rep<|program|>            -> C_tgt<|end|>
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from semrep_jax import forms
from semrep_jax.programs import Language, Program

PAD, END = "<|pad|>", "<|end|>"
REWRITE, EDIT, SOURCE, EQUIVALENT, PROGRAM = "<|rewrite|>", "<|edit|>", "<|source|>", "<|equivalent|>", "<|program|>"
MARKERS = (PAD, END, REWRITE, EDIT, SOURCE, EQUIVALENT, PROGRAM)

Message = dict[str, str]
_SYSTEM = "You transform code. You answer with one ```python block that holds the whole program, and nothing else."
_FENCE = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)


@dataclass(frozen=True)
class Prompt:
    """What is asked: an equivalent of C_src (no instruction), or C_tgt by the instruction I, perhaps with a C_rep at hand."""

    source: str
    instruction: str | None = None
    equivalent: str | None = None

    @property
    def compact(self) -> str:
        """The wording with markers."""
        if self.instruction is None:
            return f"{REWRITE}{self.source}{PROGRAM}"
        middle = "" if self.equivalent is None else f"{EQUIVALENT}{self.equivalent}"
        return f"{EDIT}{self.instruction}{SOURCE}{self.source}{middle}{PROGRAM}"

    @property
    def messages(self) -> list[Message]:
        """The wording for a chat model."""
        program = f"```python\n{self.source.strip()}\n```"
        if self.instruction is None:
            asked = (
                "Rewrite this program so that it is written differently and behaves exactly the same: the same name and arguments, "
                f"the same results, errors and output. Renaming alone does not count.\n\n{program}"
            )
        elif self.equivalent is None:
            asked = f"Change this program. Instruction: {self.instruction}\n\n{program}"
        else:
            rewritten = f"```python\n{self.equivalent.strip()}\n```"
            asked = (
                f"Change this program. Instruction: {self.instruction}\n\n{program}\n\n"
                f"The same program, written differently, to help you see what it does:\n\n{rewritten}"
            )
        return [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": asked}]


def rewrite(source: str) -> Prompt:
    """Prompt of stage 1: write an equivalent of C_src."""
    return Prompt(source)


def transform(source: str, instruction: str, equivalent: str | None = None) -> Prompt:
    """Prompt of stage 2 (with C_rep) or of the direct transformation (`equivalent` is None)."""
    return Prompt(source, instruction, equivalent)


def extract(text: str, language: Language = Language.PYTHON) -> tuple[Program | None, str]:
    """The program a completion holds (all of it, or its first fenced block), or None and the reason why it holds none."""
    source = text.removesuffix(END).strip("\n")
    if not source.strip():
        return None, "the completion is empty"
    if any(marker in source for marker in MARKERS):
        return None, "the completion holds a prompt marker instead of one program"
    if forms.parse(source) is not None:
        return Program(language, source), ""
    fenced = _FENCE.search(source)
    if fenced is None:
        return None, "the completion is not valid Python"
    inner = fenced[1].strip("\n")
    if not inner.strip():
        return None, "the code block is empty"
    if forms.parse(inner) is None:
        return None, "the code block is not valid Python"
    return Program(language, inner), ""
