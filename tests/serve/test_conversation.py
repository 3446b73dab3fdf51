"""What a chat asks for, as people write it and as OpenEvolve does; text that grows; refusals of evil regular text."""

from __future__ import annotations

import time

import pytest

from semrep_jax.serve.conversation import Asked, Said, read
from semrep_jax.serve.text import Growing

BLOCK = "```python\ndef f(x):\n    return x + 1\n```"
PROGRAM = "def f(x):\n    return x + 1"
OPENEVOLVE = f"""# Current Program Information
- Fitness: 0.5000

# Program Evolution History
## Attempt 1
```python
def old(x):
    return x
```

# Current Program
{BLOCK}

# Task
Rewrite the program to improve its FITNESS SCORE.
The system maintains diversity across these dimensions: complexity, diversity

```python
# Your rewritten program here
```"""


def said(text, system=None):
    return read([*([Said("system", system)] if system else []), Said("user", text)])


@pytest.mark.parametrize(
    ("text", "instruction"),
    [
        (f"Instruction: add 3 instead\n\n{BLOCK}", "add 3 instead"),
        (f"{BLOCK}\nPlease add 3\ninstead.", "Please add 3 instead."),
        (f"Change this program. Instruction: add 3\n\n{BLOCK}", "add 3"),
        (f"add 3\r\n\r\n{BLOCK}".replace("\n", "\r\n").replace("\r\r", "\r"), "add 3"),
        (f"Add three!\n\n{PROGRAM}", "Add three!"),
        (f"x\n{BLOCK}\nso:\n```\n# here\n```", "x so:"),
        (BLOCK, None),
        (PROGRAM, None),
        ("\ufeff" + PROGRAM, None),
        (BLOCK.replace(PROGRAM, "\ufeff" + PROGRAM), None),
    ],
)
def test_the_program_and_the_instruction_are_found(text, instruction):
    assert said(text) == Asked(PROGRAM, instruction)


def test_an_instruction_in_the_systems_message_counts_where_the_user_marks_none():
    assert said(OPENEVOLVE, "You are good.\n\nInstruction: add 3").instruction == "add 3"
    assert said(f"Instruction: add 4\n{BLOCK}", "Instruction: add 3").instruction == "add 4"
    assert said(BLOCK, "You are good.").instruction is None


def test_of_openevolves_prompt_the_current_program_is_taken_and_the_tasks_first_sentence():
    assert said(OPENEVOLVE) == Asked(PROGRAM, "Rewrite the program to improve its FITNESS SCORE.")


def test_what_stands_around_an_evolve_block_stands_around_the_answer():
    program = f"import math\n# EVOLVE-BLOCK-START\n{PROGRAM}\n# EVOLVE-BLOCK-END\n\nprint(f(2))"
    asked = said(f"Instruction: add 3\n```python\n{program}\n```")
    assert asked.program == PROGRAM
    assert asked.answer(PROGRAM) == f"```python\n{program}\n```"


def test_a_fence_within_a_programs_documentation_does_not_end_it():
    program = 'def f(x):\n    """\n    ```\n    f(1)\n    ```\n    """\n    return x'
    assert said(f"Instruction: add 3\n\n```python\n{program}\n```") == Asked(program, "add 3")
    assert said(f"# Current Program\n```\n{program}\n```\n# Task\nAdd 3.") == Asked(program, "Add 3.")
    assert said(f"add 3\n```python\n{PROGRAM}``` please") == Asked(PROGRAM, "add 3 please")


@pytest.mark.parametrize("text", ["hi", "", "make it faster", "```python\n# nothing\n```", "```\nno python (\n```"])
def test_without_a_program_nothing_is_made_up(text):
    assert said(text) is None
    assert read([Said("assistant", BLOCK)]) is None


@pytest.mark.parametrize(
    ("first", "part"),
    [("", part) for part in ("`", "```\n", "```python\n", "# ", "instruction:", "instruction: ", "\n", "x\n \n")]
    + [("```", " "), ("```", "a"), ("```", "\t a"), ("# current program", " "), ("# task", "\t"), ("#", "#")]
    + [
        ("", "    ```a\n"),
        ("```\n", "     ```\n"),
        ("```\n", "# EVOLVE-BLOCK-START\n"),
        ("instruction: a", "\n x"),
        ("instruction: a\n", " "),
    ],
)
def test_a_text_that_is_meant_to_take_long_does_not(first, part):
    began = time.process_time()
    said(f"{first}{part * (60_000 // len(part))}x")
    said(f"{first}{part * (60_000 // len(part))}x\n```")
    assert time.process_time() - began < 2


def test_text_grows_by_what_no_later_token_changes(nano):
    tokenizer = nano.tokenizer
    for text in ("def f(x):\n    return 'é€😀'", "a\n\nb\n\n\nc"):
        ids = [*tokenizer.encode(text), tokenizer.end_id]
        growing = Growing(tokenizer)
        pieces = [growing.add([one]) for one in ids] + [growing.end()]
        assert "".join(pieces) == text and "\ufffd" not in "".join(pieces)
        stopping = Growing(tokenizer, ["\n\n", "€"])
        pieces = [stopping.add([one]) for one in ids] + [stopping.end()]
        assert stopping.stopped and "".join(pieces) == text.partition("€")[0].partition("\n\n")[0]
