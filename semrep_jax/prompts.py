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

from semrep_jax.core.programs import Language, Program
from semrep_jax.python import canonical as forms

PAD, END = "<|pad|>", "<|end|>"
REWRITE, EDIT, SOURCE, EQUIVALENT, PROGRAM = "<|rewrite|>", "<|edit|>", "<|source|>", "<|equivalent|>", "<|program|>"
MARKERS = (PAD, END, REWRITE, EDIT, SOURCE, EQUIVALENT, PROGRAM)

Message = dict[str, str]
_SYSTEM = {
    Language.PYTHON: "You transform code. You answer with one ```python block that holds the whole program, and nothing else.",
    Language.CUDA: (
        "You transform CUDA programs. You answer with one ```cuda block (device code: __global__ and __device__ functions, no host "
        "code) and one ```json block that says how its kernels are launched, one after the other: "
        '{"scratch": {"partial": "f32[ceil_div(N, 256)]"}, "launch": [{"kernel": "name", "grid": ["ceil_div(N, 256)"], "block": [256], '
        '"shared": 0, "args": ["x", "partial", "i32:N"]}]}. An argument is the name of an input, an output or a scratch buffer, or '
        "type:expression for a number. Inputs and outputs keep their names. You write nothing else."
    ),
}
_SAME = {
    Language.PYTHON: "behaves exactly the same: the same name and arguments, the same results, errors and output. "
    "Renaming alone does not count.",
    Language.CUDA: "computes exactly the same outputs from the same inputs. Renaming alone does not count.",
}
_FENCE = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)


@dataclass(frozen=True)
class Prompt:
    """What is asked: an equivalent of C_src (no instruction), or C_tgt by the instruction I, perhaps with a C_rep at hand."""

    source: str
    instruction: str | None = None
    equivalent: str | None = None
    language: Language = Language.PYTHON

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
        program = self._shown(self.source)
        if self.instruction is None:
            asked = f"Rewrite this program so that it is written differently and {_SAME[self.language]}\n\n{program}"
        elif self.equivalent is None:
            asked = f"Change this program. Instruction: {self.instruction}\n\n{program}"
        else:
            asked = (
                f"Change this program. Instruction: {self.instruction}\n\n{program}\n\n"
                f"The same program, written differently, to help you see what it does:\n\n{self._shown(self.equivalent)}"
            )
        return [{"role": "system", "content": _SYSTEM[self.language]}, {"role": "user", "content": asked}]

    def _shown(self, source: str) -> str:
        return source.strip() if self.language is Language.CUDA else f"```{self.language}\n{source.strip()}\n```"


def rewrite(program: Program) -> Prompt:
    """Prompt of stage 1: write an equivalent of C_src."""
    return Prompt(program.source, language=program.language)


def transform(program: Program, instruction: str, equivalent: str | None = None) -> Prompt:
    """Prompt of stage 2 (with C_rep) or of the direct transformation (`equivalent` is None)."""
    return Prompt(program.source, instruction, equivalent, program.language)


def extract(text: str, language: Language) -> tuple[Program | None, str]:
    """The program a completion holds (all of it, or what it fences), or None and the reason why it holds none."""
    source = text.removesuffix(END).strip("\n")
    if not source.strip():
        return None, "the completion is empty"
    if any(marker in source for marker in MARKERS):
        return None, "the completion holds a prompt marker instead of one program"
    if language is Language.CUDA:
        return _kernels(source)
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


def _kernels(text: str) -> tuple[Program | None, str]:
    """A CUDA candidate: its code block and its launch block without the talk around them; an answer of another form as it is."""
    if "__global__" not in text:
        return None, "the completion holds no __global__ function"
    blocks = [block[0].strip() for block in re.finditer(r"```[^\n`]*\n.*?(?:```|\Z)", text, re.DOTALL)]
    return Program(Language.CUDA, "\n".join(blocks) + "\n" if len(blocks) == 2 else text), ""
