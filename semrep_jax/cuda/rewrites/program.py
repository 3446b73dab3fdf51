"""A CUDA program as rules see it: device code as a tree, the launch list as a dictionary, the text around them.

program = parse_program(text)                              # None where the text is no such program
program.kernels[0].name, program.launch_list["launch"][0]["grid"]
program.with_edits([replace(node, "1.0f")]).text
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from tree_sitter import Node

from semrep_jax.cuda.candidate.blocks import CODE_TAGS, LIST_TAGS
from semrep_jax.cuda.rewrites.edits import Edit, apply_edits
from semrep_jax.cuda.rewrites.nodes import declared, names_in_text
from semrep_jax.cuda.syntax import Function, functions, node_text, parse, walk
from semrep_jax.languages import FENCE

_FREE_NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*")  # no member of something


class CudaProgram:
    """A text with one block of device code and one launch list. It is never changed: `with_edits` makes another.

    text: the whole text. code, launches: the characters (from, to) of the two blocks' bodies.
    """

    def __init__(self, text: str, code: tuple[int, int], launches: tuple[int, int]):
        self.text = text
        self._code_span, self._launch_span = code, launches

    @cached_property
    def code(self) -> str:
        """The device code."""
        return self.text[slice(*self._code_span)]

    @cached_property
    def launch_list(self) -> dict[str, Any]:
        """{"launch": [...], "scratch": {...}}; not to be changed: `with_edits` takes another one."""
        listed = json.loads(self.text[slice(*self._launch_span)])
        return {"launch": listed} if isinstance(listed, list) else listed

    @property
    def scratch(self) -> dict[str, str]:
        """The type and shape of each scratch buffer by its name."""
        return self.launch_list.get("scratch") or {}

    @cached_property
    def root(self) -> Node:
        """The device code's tree."""
        return parse(self.code.encode())

    @cached_property
    def functions(self) -> list[Function]:
        """The functions that rules may look into: without those that use a macro which hides what they do."""
        return [f for f in self.named_functions if not self._hides(f)]

    @cached_property
    def named_functions(self) -> list[Function]:
        """Functions with a body and a plain name, in the order of the text; parameters with a default are left out."""
        named = [f for f in functions(self.root) if f.name.isidentifier()]
        return [replace(f, parameters=tuple(p for p in f.parameters if not p.optional)) for f in named]

    def _hides(self, function: Function) -> bool:
        """Whether it uses a macro with parameters, or one whose text has a name of its own."""
        used = {node_text(n) for n in walk(function.node, "identifier", "type_identifier", "call_expression")}
        if any(node_text(n.child_by_field_name("name")) in used for n in walk(self.root, "preproc_function_def")):
            return True
        texts = [n for n in walk(self.root, "preproc_def") if node_text(n.child_by_field_name("name")) in used]
        hidden = {name for n in texts for name in _FREE_NAME.findall(node_text(n.child_by_field_name("value")))}
        return bool(hidden & {p.name for p in function.parameters} or hidden & declared(function.body))

    @property
    def kernels(self) -> list[Function]:
        """The kernels that are no templates."""
        return [f for f in self.functions if f.is_kernel and f.template is None]

    def launches_of(self, kernel: Function) -> list[int]:
        """The positions of this kernel's launches in the list."""
        return [i for i, launch in enumerate(self.launch_list["launch"]) if launch["kernel"].strip() == kernel.name]

    def arguments(self, kernel: Function, position: int) -> dict[str, str]:
        """What the launch at this position of the list passes for each parameter."""
        passed = self.launch_list["launch"][position]["args"]
        return {p.name: a for p, a in zip(kernel.parameters, passed, strict=True)}

    @cached_property
    def identifiers(self) -> set[str]:
        """Every name in the code and in the launch list."""
        found = {node_text(n) for n in walk(self.root, "identifier", "type_identifier", "field_identifier")}
        found = found.union(*(names_in_text(n) for n in walk(self.root, "preproc_arg")))
        arguments = [a for launch in self.launch_list["launch"] for a in launch["args"]]
        return found | {a for a in arguments if ":" not in a} | set(self.scratch)

    def unused_name(self, *wanted: str) -> str:
        """The first of `wanted`, or it with a number, that the program does not use."""
        numbered = (name + (str(i) if i else "") for i in range(10_000) for name in wanted)
        return next(name for name in numbered if name not in self.identifiers)

    def with_launches(self, changes: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
        """The launch list with other values in the launches at these positions."""
        launches = [launch | dict(changes.get(i, {})) for i, launch in enumerate(self.launch_list["launch"])]
        return self.launch_list | {"launch": launches}

    def with_edits(self, edits: Iterable[Edit] = (), launch_list: dict[str, Any] | None = None) -> CudaProgram:
        """The program with these changes of its code, and another launch list where one is given."""
        code = apply_edits(self.code.encode(), 0, edits)
        launches = self.text[slice(*self._launch_span)] if launch_list is None else f"{json.dumps(launch_list)}\n"
        text, spans, end = "", {}, 0
        for span, body in sorted([(self._code_span, code), (self._launch_span, launches)]):
            text += self.text[end : span[0]]
            spans[span] = (len(text), len(text) + len(body))
            text, end = text + body, span[1]
        return CudaProgram(text + self.text[end:], spans[self._code_span], spans[self._launch_span])


def parse_program(text: str) -> CudaProgram | None:
    """The program in a text with one block of code and one launch list; None for any other text, or broken code."""
    blocks = [(match[1].lower(), match.span(2)) for match in FENCE.finditer(text)]
    code = [span for tag, span in blocks if tag in CODE_TAGS]
    launches = [span for tag, span in blocks if tag in LIST_TAGS]
    if len(code) != 1 or len(launches) != 1:
        return None
    program = CudaProgram(text, code[0], launches[0])
    return program if is_well_formed(program) else None


def is_well_formed(program: CudaProgram) -> bool:
    """Whether the code parses and every launch names a kernel of it, with as many arguments as that has parameters."""
    try:
        launches = program.launch_list["launch"]
        if program.root.has_error or not launches:
            return False
        parameters = {f.name: len(f.parameters) for f in program.named_functions if f.is_kernel}
        return all(parameters[one["kernel"].partition("<")[0].strip()] == len(one["args"]) for one in launches)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False
