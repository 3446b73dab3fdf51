"""Records of data sets as texts: which prompts a record gives, and each of them worded for a model.

    formats_of(record)                                              # ("direct", "guided") of a fix with a rewrite
    prompt_and_completion(record, "direct", tokenizer)

    {"kind": "fix", "source": "def f(a): return a", "instruction": "return 0", "target": "def f(a): return 0", ...}
    -> ("<|edit|>return 0<|source|>def f(a): return a<|program|>", "def f(a): return 0<|end|>")        for the nano base

A prompt format says what is asked:

    rewrite   C_src -> C_rep          direct   C_src, I -> C_tgt
    back      C_rep -> C_src          guided   C_src, I, C_rep -> C_tgt

A record may say its `language`, by the name the language is registered under; without one it is Python.
"""

from __future__ import annotations

from random import Random

from semrep_jax import prompts
from semrep_jax.core.programs import Program
from semrep_jax.core.shards import Record, wire_of
from semrep_jax.languages import LANGUAGES
from semrep_jax.model.tokenizer import Tokenizer
from semrep_jax.python import PYTHON
from semrep_jax.tasks.generated.generator import Example, Generator

PROMPT_FORMATS = ("rewrite", "back", "direct", "guided")
WITH_REWRITE = ("rewrite", "back", "guided")  # those that a C_rep is part of
MAX_FRESH_RULES = 3  # rules applied to make a rewrite on the fly


def record_of(example: Example, name: str) -> Record:
    """A generated example as a record of kind fix with this id, without its tests."""
    return {
        "kind": "fix",
        "id": name,
        "source": example.source,
        "origin": f"generated:{example.family}",
        "entry": example.entry,
        "instruction": example.instruction,
        "target": example.target,
        "rewrite": example.rewrite,
    }


def generated_records(generator: Generator, index: int) -> list[Record]:
    """Example `index` as a pair and a fix with tests, for a Writer; none where no test tells C_src from C_tgt."""
    task = generator.task(index)
    if task is None:
        return []
    tests = {"preserve": wire_of(task.preserve.cases), "edit": wire_of(task.edit.cases)}
    fix = record_of(generator.example(index), task.id) | {"split": task.split} | tests
    pair = {key: fix[key] for key in ("split", "source", "rewrite", "origin", "entry")}
    return [pair | {"kind": "pair", "id": f"{task.id}/pair", "rules": []}, fix]


def formats_of(record: Record, fresh: bool = False) -> tuple[str, ...]:
    """The prompt formats that a record gives; none in the test split. `fresh`: it needs no rewrite of its own."""
    if record.get("split") == "test":
        return ()
    if record["kind"] == "fix":
        return ("direct", "guided") if fresh or record.get("rewrite") is not None else ("direct",)
    return ("rewrite", "back") if fresh or record["kind"] == "pair" else ()


def prompt_and_completion(
    record: Record, prompt_format: str, tokenizer: Tokenizer, rewrite: str | None = None
) -> tuple[str, str]:
    """A record as two texts, in the wording that the tokenizer's model knows.

    prompt_format: one of PROMPT_FORMATS. rewrite: the C_rep in the place of the record's own, for the formats that
    have one.
    """
    language = language_of(record)
    source = Program(language, record["source"])
    if prompt_format == "direct":
        prompt, answer = prompts.transform(source, record["instruction"]), record["target"]
    else:
        rewritten = Program(language, record["rewrite"] if rewrite is None else rewrite)
        if prompt_format == "rewrite":
            prompt, answer = prompts.rewrite(source), rewritten.source
        elif prompt_format == "back":
            prompt, answer = prompts.rewrite(rewritten), source.source
        else:
            prompt, answer = prompts.transform(source, record["instruction"], rewritten.source), record["target"]
    return prompts.text_of(prompt, tokenizer), prompts.answer_of(Program(language, answer), tokenizer)


def fresh_rewrite(record: Record, rng: Random) -> str | None:
    """A C_rep drawn from the language's rules, which nothing has run; the record's own, or None, where none applies."""
    source = Program(language_of(record), record["source"])
    made = LANGUAGES[source.language].rewrite(source, rng, rng.randint(1, MAX_FRESH_RULES), None)
    return record.get("rewrite") if made is None else made.program.source


def language_of(record: Record) -> str:
    """The name of the language of a record's programs."""
    return record.get("language") or PYTHON
