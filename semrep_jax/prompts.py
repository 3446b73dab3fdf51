"""Task to prompt text, completion to program.

The compact style is the one the nano base was warm-started on; every marker is one token of its tokenizer:

    stage 1          <|rewrite|>C_src<|program|>                                       -> C_rep<|end|>
    direct           <|edit|>I<|source|>C_src<|program|>                               -> C_tgt<|end|>
    with a rewrite   <|edit|>I<|source|>C_src<|equivalent|>C_rep<|program|>            -> C_tgt<|end|>
"""

from __future__ import annotations

from semrep_jax import forms
from semrep_jax.programs import Language, Program

PAD, END = "<|pad|>", "<|end|>"
REWRITE, EDIT, SOURCE, EQUIVALENT, PROGRAM = "<|rewrite|>", "<|edit|>", "<|source|>", "<|equivalent|>", "<|program|>"
MARKERS = (PAD, END, REWRITE, EDIT, SOURCE, EQUIVALENT, PROGRAM)


def rewrite(source: str) -> str:
    """Prompt of stage 1: write an equivalent of C_src."""
    return f"{REWRITE}{source}{PROGRAM}"


def transform(source: str, instruction: str, equivalent: str | None = None) -> str:
    """Prompt of stage 2 (with C_rep) or of the direct transformation (`equivalent` is None)."""
    middle = "" if equivalent is None else f"{EQUIVALENT}{equivalent}"
    return f"{EDIT}{instruction}{SOURCE}{source}{middle}{PROGRAM}"


def extract(text: str, language: Language = Language.PYTHON) -> tuple[Program | None, str]:
    """The program a completion holds, or None and the reason why it holds none."""
    source = text.removesuffix(END).strip("\n")
    if not source.strip():
        return None, "the completion is empty"
    if any(marker in source for marker in MARKERS):
        return None, "the completion holds a prompt marker instead of one program"
    if forms.parse(source) is None:
        return None, "the completion is not valid Python"
    return Program(language, source), ""
