"""What a chat asks for: the program to be changed and the instruction, out of messages that people and tools write.

    asked = read([{"role": "user", "content": "Instruction: add 3 instead.\n\n```python\ndef f(x): return x + 1\n```"}])
    asked.program, asked.instruction                    # "def f(x): return x + 1", "add 3 instead."

The program, from the last message of the user, the first of these that is there:

1. the first code block after the last heading "Current program", as OpenEvolve and ShinkaEvolve write it;
2. the last code block that holds a statement (a block with a comment alone is a place to fill in);
3. all of the text, or all after its first empty line, where that is Python.

Where the program marks what may change by EVOLVE-BLOCK-START and EVOLVE-BLOCK-END, only that is the program, and the
rest stands around the answer again.

The instruction, the first of these that is there: what follows "Instruction:" in that message, up to an empty line or
a code block; the same in the system's message; the first sentence under the last heading "Task" (OpenEvolve's); the
message's own words around the program.

    # Current Program                      program: what stands in the block
    ```python
    ...
    ```
    # Task                                 instruction: "Rewrite the program to improve its FITNESS SCORE."
    Rewrite the program to improve its FITNESS SCORE.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass

from semrep_jax.core import sources
from semrep_jax.python import PYTHON, canonical

# Possessive where two parts could share a run of characters: what strangers send must not take quadratic time.
OPENING = re.compile(r"```[ \t]*+[\w+-]*+[^\n`]*+\n")
CLOSING = "```"
DEEPER = 3  # columns that a closing fence may be indented beyond the opening one, as in Markdown
CURRENT = re.compile(r"^#+[ \t]*(?:the[ \t]+)?current[ \t]+program[ \t]*+:?[ \t]*+$", re.IGNORECASE | re.MULTILINE)
TASK = re.compile(r"^#+[ \t]*task[ \t]*+:?[ \t]*+$", re.IGNORECASE | re.MULTILINE)
MARKED = re.compile(r"\binstruction:[ \t]*(.+?)(?=\n\s*\n|\n?```|\Z)", re.IGNORECASE | re.DOTALL)
SENTENCE = re.compile(r".+?(?:[.!?](?=\s|$)|\Z)", re.DOTALL)
START, END = "EVOLVE-BLOCK-START", "EVOLVE-BLOCK-END"


@dataclass(frozen=True)
class Said:
    """One message of a chat: who said it ("system", "user", "assistant") and what."""

    role: str
    content: str


@dataclass(frozen=True)
class Asked:
    """What a chat asks for: C_src, I or None where none is said, and the text before and after the program that the
    answer gets again."""

    program: str
    instruction: str | None
    before: str = ""
    after: str = ""

    def answer(self, program: str) -> str:
        """A program in its surroundings, in the one code block that tools look for."""
        whole = f"{self.before}{program.strip(chr(10))}{self.after}"
        return f"```{PYTHON}\n{whole.strip(chr(10))}\n```"


def read(messages: Sequence[Said]) -> Asked | None:
    """What the messages ask for; None where the last one of the user holds no program."""
    told = [said.content for said in messages if said.role == "user"]
    if not told:
        return None
    text = told[-1]
    text = sources.unmarked(text.replace("\r\n", "\n"))
    found = _program(text)
    if found is None:
        return None
    program, words = sources.unmarked(found[0]), found[1]
    system = "\n\n".join(said.content for said in messages if said.role in ("system", "developer"))
    instruction = _instruction(text, words, system)
    lines = program.splitlines(keepends=True)
    begin = next((place for place, line in enumerate(lines) if START in line), len(lines))
    end = next((place for place in range(begin + 1, len(lines)) if END in lines[place]), None)
    if end is None:
        return Asked(program.strip("\n"), instruction)
    inner = "".join(lines[begin + 1 : end]).strip("\n")
    return Asked(inner, instruction, "".join(lines[: begin + 1]), "\n" + "".join(lines[end:]))


@dataclass(frozen=True)
class _Block:
    """A fenced block: where it begins and ends in the text, fences included, and what stands between them."""

    start: int
    end: int
    body: str


def _blocks(text: str) -> list[_Block]:
    """The fenced blocks of a text. A fence that is indented deeper, as in the documentation of a program, ends none
    unless no other does."""
    found: list[_Block] = []
    at, loose = 0, False
    while (opening := OPENING.search(text, at)) is not None:
        column = opening.start() - (text.rfind("\n", 0, opening.start()) + 1)
        close = -1 if loose else _closing(text, opening.end(), column)
        if close < 0:  # once, so that what strangers send takes no quadratic time
            loose, close = True, text.find(CLOSING, opening.end())
        if close < 0:
            break
        at = close + len(CLOSING)
        found.append(_Block(opening.start(), at, text[opening.end() : close]))
    return found


def _closing(text: str, begin: int, column: int) -> int:
    """Where the fence is that closes a block; -1 for none. begin: of the block's text. column: of its opening."""
    place = text.find(CLOSING, begin)
    while place >= 0:
        before = text[text.rfind("\n", 0, place) + 1 : place]
        if before.strip() or len(before) <= column + DEEPER:
            return place
        place = text.find(CLOSING, place + len(CLOSING))
    return -1


def _outside(text: str) -> str:
    """The text without its blocks."""
    blocks = _blocks(text)
    begins = [0, *(block.end for block in blocks)]
    ends = [*(block.start for block in blocks), len(text)]
    return "".join(text[a:b] for a, b in zip(begins, ends, strict=True))


def _program(text: str) -> tuple[str, str] | None:
    """The program in a text, and the words around it; None where there is none."""
    blocks, outside = _blocks(text), _outside(text)
    heading = max((match.end() for match in CURRENT.finditer(text)), default=None)
    if heading is not None:
        block = next((block for block in blocks if block.start >= heading), None)
        if block is not None:
            return block.body, outside
    for block in reversed(blocks):
        if _has_statement(block.body):
            return block.body, outside
    if blocks:
        return None
    if _has_statement(text, bare=True):
        return text, ""
    words, _, rest = text.partition("\n\n")
    return (rest, words) if _has_statement(rest, bare=True) else None


def _has_statement(text: str, bare: bool = False) -> bool:
    """Whether a text is Python that does something. bare: not in a code block, where one word parses as Python too."""
    tree = canonical.parse(sources.unmarked(text))
    return tree is not None and any(not (bare and isinstance(node, ast.Expr)) for node in tree.body)


def _instruction(text: str, words: str, system: str) -> str | None:
    outside = _outside(text)
    for said in (outside, system):
        marked = MARKED.search(said)
        if marked is not None:
            return _one_line(marked.group(1))
    task = max((match.end() for match in TASK.finditer(outside)), default=None)
    if task is not None and (sentence := SENTENCE.match(outside[task:].strip())) is not None:
        return _one_line(sentence.group())
    return _one_line(words) or None


def _one_line(text: str) -> str:
    return " ".join(text.split())
