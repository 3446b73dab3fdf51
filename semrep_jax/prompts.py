"""Task to prompt to token ids, completion to program.

A `Prompt` says what is asked; how it is worded is the model's matter. The compact wording is the one the nano base was
warm-started on, every marker one token of its tokenizer; an instruct model is asked in chat messages.

    stage 1          <|rewrite|>C_src<|program|>                                       -> C_rep<|end|>
    direct           <|edit|>I<|source|>C_src<|program|>                               -> C_tgt<|end|>
    with a rewrite   <|edit|>I<|source|>C_src<|equivalent|>C_rep<|program|>            -> C_tgt<|end|>
    repair           <|edit|>I (FEEDBACK)<|source|>ATTEMPT<|program|>                  -> C_tgt<|end|>

The nano base has never seen a repair: its feedback stands within the instruction, in words it does not know.
"""

from __future__ import annotations

from dataclasses import dataclass

from semrep_jax.core import sources
from semrep_jax.core.programs import Program
from semrep_jax.languages import LANGUAGES
from semrep_jax.model.tokenizer import EDIT, END, EQUIVALENT, MARKERS, PROGRAM, REWRITE, SOURCE, Message, Tokenizer


@dataclass(frozen=True)
class Prompt:
    """What is asked: an equivalent of C_src (no instruction), or C_tgt by the instruction I, perhaps with a C_rep at
    hand, or with an attempt that failed and the feedback on it."""

    source: str
    instruction: str | None = None
    equivalent: str | None = None
    language: str = "python"
    attempt: str | None = None
    feedback: str = ""

    @property
    def compact(self) -> str:
        """The wording with markers."""
        if self.instruction is None:
            return f"{REWRITE}{self.source}{PROGRAM}"
        if self.attempt is not None:
            return f"{EDIT}{self.instruction} ({self.feedback}){SOURCE}{self.attempt}{PROGRAM}"
        middle = "" if self.equivalent is None else f"{EQUIVALENT}{self.equivalent}"
        return f"{EDIT}{self.instruction}{SOURCE}{self.source}{middle}{PROGRAM}"

    @property
    def messages(self) -> list[Message]:
        """The wording for a chat model."""
        wording, program = LANGUAGES[self.language].wording, self._shown(self.source)
        if self.instruction is None:
            asked = f"Rewrite this program so that it is written differently and {wording.same}\n\n{program}"
        elif self.attempt is not None:
            asked = (
                f"Change this program. Instruction: {self.instruction}\n\n{program}\n\n"
                f"This attempt at it is wrong:\n\n{self._shown(self.attempt)}\n\n"
                f"What was found: {self.feedback}\n\nGive the whole program, mended."
            )
        elif self.equivalent is None:
            asked = f"Change this program. Instruction: {self.instruction}\n\n{program}"
        else:
            asked = (
                f"Change this program. Instruction: {self.instruction}\n\n{program}\n\n"
                "The same program, written differently, to help you see what it does:\n\n"
                + self._shown(self.equivalent)
            )
        return [{"role": "system", "content": wording.system}, {"role": "user", "content": asked}]

    def _shown(self, source: str) -> str:
        text = source.strip()
        return f"```{self.language}\n{text}\n```" if LANGUAGES[self.language].wording.fenced else text


def rewrite(program: Program) -> Prompt:
    """Prompt of stage 1: write an equivalent of C_src."""
    return Prompt(program.source, language=program.language)


def transform(program: Program, instruction: str, equivalent: str | None = None) -> Prompt:
    """Prompt of stage 2 or of the direct transformation.

    program: C_src. instruction: I. equivalent: C_rep, which makes it stage 2's; None for the direct transformation.
    """
    return Prompt(program.source, instruction, equivalent, program.language)


def repair(program: Program, instruction: str, attempt: str, feedback: str) -> Prompt:
    """Prompt to mend an attempt at a transformation.

    program: C_src. instruction: I. attempt: the text that failed. feedback: the one line of the verdict on it, which
    may quote what the attempt said; markers are taken out.
    """
    for marker in MARKERS:
        feedback = feedback.replace(marker, "")
    return Prompt(program.source, instruction, None, program.language, attempt, feedback)


def text_of(prompt: Prompt, tokenizer: Tokenizer) -> str:
    """A prompt in the wording that the tokenizer's model knows."""
    return prompt.compact if tokenizer.compact else tokenizer.chat(prompt.messages)


def encode(prompt: Prompt, tokenizer: Tokenizer) -> list[int]:
    """Token ids of a prompt in the wording that the tokenizer's model knows."""
    return tokenizer.encode(text_of(prompt, tokenizer))


def answer_of(program: Program, tokenizer: Tokenizer) -> str:
    """The completion that gives a program, its end token included."""
    if tokenizer.compact:
        return program.source + END
    return LANGUAGES[program.language].answer(program) + str(tokenizer.backend.id_to_token(tokenizer.end_id))


def extract(text: str, language: str) -> tuple[Program | None, str]:
    """The program a completion holds (all of it, or what it fences), or None and the reason why it holds none."""
    source = sources.unmarked(text.removesuffix(END)).strip("\n")
    if not source.strip():
        return None, "the completion is empty"
    if any(marker in source for marker in MARKERS):
        return None, "the completion holds a prompt marker instead of one program"
    return LANGUAGES[language].extract(source)
