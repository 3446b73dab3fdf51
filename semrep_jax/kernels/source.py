"""The device code of a candidate: cleaned, refused where it reaches for what it may not have, its kernels' signatures read.

Comments go and lines stay where they were, so that a compiler's line numbers are the writer's. `#include` lines go too: what they
name is there already, or is not available and the candidate is told so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tree_sitter import Node

from semrep_jax.forms.cuda import parser
from semrep_jax.programs import SemRepError

HEADERS = """
    cuda_runtime.h cuda.h cuda_runtime_api.h device_launch_parameters.h cuda_fp16.h cuda_bf16.h cooperative_groups.h
    cooperative_groups/reduce.h math.h cmath math_constants.h float.h cfloat limits.h climits limits stdint.h cstdint stdio.h cstdio
    assert.h cassert type_traits stddef.h cstddef vector_types.h torch/extension.h torch/types.h c10/cuda/CUDAException.h
    ATen/cuda/CUDAContext.h
""".split()  # noqa: SIM905
LONGEST = 60_000


class Refused(SemRepError):
    """The text is no device code that we run. `banned` tells reaching for the forbidden from a mere mistake of form."""

    def __init__(self, message: str, banned: bool = False):
        super().__init__(message)
        self.banned = banned


_TOKENS = re.compile(r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.DOTALL)
_INCLUDE = re.compile(r"^[ \t]*#[ \t]*include\b[ \t]*(.*)$", re.MULTILINE)
_ALIGN = re.compile(r"__align__\s*\(\s*\d+\s*\)")
_DYNAMIC = re.compile(
    r"\b(?:extern\s+__shared__|__shared__\s+extern)\s+(?:__align__\s*\(\s*\d+\s*\)\s*)?(?:volatile\s+)?"
    r"([A-Za-z_][\w:]*(?:\s+(?:char|int|short|long))*(?:\s*<[^;<>]*>)?)\s+(?:__align__\s*\(\s*\d+\s*\)\s*)?([A-Za-z_]\w*)\s*\[\s*\]\s*;"
)
_BANNED = {
    r"\basm\b|\b__asm(?:__)?\b": "inline assembly is not allowed; use intrinsics",
    r"<<<": "a kernel can't launch kernels; put every launch into the launch list",
    r"%:|\?\?=": "digraphs and trigraphs are not allowed",
    r'\bu?8?[uUL]?R"': "raw strings are not allowed",
    r"#[ \t]*(?:include_next|embed|line)\b|\b__has_(?:include|embed)\b|\b_Pragma\b": "this directive is not allowed",
    r"\bsemrep\w*": "names that begin with semrep are ours",
    r"\b__start_\w*|\b__stop_\w*|\b__attribute__\b|\b__builtin_\w*(?:address|frame|longjmp|setjmp|apply|return)\w*": "this is not CUDA",
    r"\b(?:cudaMalloc|cudaFree|cudaMemcpy\w*|cudaLaunch\w*|cudaStream\w*|cudaGraph\w*|cudaEvent\w*|cudaDevice\w*)\b": (
        "host calls are not allowed; declare scratch buffers and launches in the launch list"
    ),
}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kernel: the element type it points at or the scalar's type, `const` where it may not be written through."""

    name: str
    type: str
    pointer: bool
    const: bool


@dataclass(frozen=True)
class Kernel:
    """A `__global__` function: its name, template parameters' names, parameters, and the line it begins at (from 1)."""

    name: str
    template: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    line: int


@dataclass(frozen=True)
class Device:
    """Cleaned device code. `text` has the lines of the original."""

    text: str

    @cached_property
    def kernels(self) -> dict[str, Kernel]:
        """The `__global__` functions by name."""
        tree = parser().parse(_ALIGN.sub(lambda m: " " * len(m[0]), self.text).encode())
        return {k.name: k for k in _kernels(tree.root_node)}

    @property
    def emulated(self) -> str:
        """The text for an ordinary C++ compiler: dynamic shared memory is a pointer there."""
        return _DYNAMIC.sub(r"\1* const \2 = reinterpret_cast<\1*>(::semrep::dynamic_shared());", self.text)

    @property
    def writable_globals(self) -> bool:
        """Whether it keeps `__device__` variables, which outlive a launch."""
        tree = parser().parse(self.text.encode())
        return any(n.type == "declaration" and b"__device__" in n.text.split(b"(")[0] for n in tree.root_node.children if n.text)


def clean(text: str) -> Device:
    """The device code of a candidate. Raises Refused with the line and what to do."""
    if len(text) > LONGEST:
        raise Refused(f"the program has {len(text)} characters; at most {LONGEST} are taken")
    if "\0" in text:
        raise Refused("the program holds a NUL character")
    text = _splice(text)
    bare = _TOKENS.sub(lambda m: _blank(m[0]) if m[0].startswith("/") else m[0], text)
    lexical = _TOKENS.sub(lambda m: _blank(m[0]), text)
    for pattern, why in _BANNED.items():
        found = re.search(pattern, lexical)
        if found:
            raise Refused(f"line {_line(lexical, found.start())}: {found[0]!r}: {why}", banned=True)
    for found in _INCLUDE.finditer(bare):
        name = found[1].strip().strip('<>"')
        if name not in HEADERS:
            raise Refused(
                f"line {_line(bare, found.start())}: #include {found[1].strip()} is not available; what cuda_runtime, "
                "cuda_fp16, cuda_bf16, cooperative_groups and math declare is there without an #include",
                banned=True,
            )
    device = Device(_INCLUDE.sub("", bare))
    if not device.kernels:
        raise Refused("there is no __global__ function in the CUDA block")
    return device


def _splice(text: str) -> str:
    """Logical lines in place of lines continued with a backslash, as many newlines as before."""
    text = text.replace("\r\n", "\n")
    return re.sub(r"(?:[^\n]*\\[ \t]*\n)+[^\n]*", lambda m: re.sub(r"\\[ \t]*\n", "", m[0]) + "\n" * m[0].count("\n"), text)


def _blank(text: str) -> str:
    if text[0] in "\"'":
        return text[0] + " " * (len(text) - 2) + text[0]
    return re.sub(r"[^\n]", " ", text)


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _kernels(node: Node, template: tuple[str, ...] = ()) -> list[Kernel]:
    found: list[Kernel] = []
    for child in node.children:
        if child.type == "template_declaration":
            found += _kernels(child, tuple(_template_names(child)))
        elif child.type == "function_definition" and any(c.type == "__global__" for c in child.children):
            found.append(_kernel(child, template))
        elif child.type in ("linkage_specification", "declaration_list", "namespace_definition"):
            found += _kernels(child, template)
    return found


def _template_names(declaration: Node) -> list[str]:
    (parameters,) = [c for c in declaration.children if c.type == "template_parameter_list"][:1] or [declaration]
    return [node_text(c).split("=")[0].split()[-1] for c in parameters.named_children]


def _kernel(definition: Node, template: tuple[str, ...]) -> Kernel:
    declarator = definition.child_by_field_name("declarator")
    while declarator is not None and declarator.type != "function_declarator":
        declarator = declarator.child_by_field_name("declarator")
    if declarator is None:
        raise Refused(f"line {definition.start_point[0] + 1}: this __global__ function's head can't be read")
    parameters = declarator.child_by_field_name("parameters")
    wanted = ("parameter_declaration", "optional_parameter_declaration")
    read = [_parameter(p) for p in (parameters.named_children if parameters else []) if p.type in wanted]
    return Kernel(node_text(declarator.child_by_field_name("declarator")), template, tuple(read), definition.start_point[0] + 1)


@dataclass(frozen=True)
class Function:
    """A function of a text: `device` where it is marked for the GPU."""

    node: Node
    device: bool


def functions(code: str) -> list[Function]:
    """The function definitions at the top of a text."""
    found = []
    for node in parser().parse(_ALIGN.sub(lambda m: " " * len(m[0]), code).encode()).root_node.children:
        inner = [c for c in node.children if c.type == "function_definition"] if node.type == "template_declaration" else [node]
        for definition in inner:
            if definition.type == "function_definition":
                found.append(Function(definition, any(c.type in ("__global__", "__device__") for c in definition.children)))
    return found


def blank(code: str, node: Node) -> str:
    """The text with a node's characters made blank, newlines kept."""
    raw = code.encode()
    return (raw[: node.start_byte] + re.sub(rb"[^\n]", b" ", raw[node.start_byte : node.end_byte]) + raw[node.end_byte :]).decode()


def node_text(node: Node | None) -> str:
    """A node's text; nothing for none."""
    return node.text.decode() if node is not None and node.text is not None else ""


def _parameter(node: Node) -> Parameter:
    declarator: Any = node.child_by_field_name("declarator")
    pointer = False
    while declarator is not None and declarator.type in ("pointer_declarator", "reference_declarator", "array_declarator"):
        pointer = pointer or declarator.type in ("pointer_declarator", "array_declarator")
        inner = declarator.child_by_field_name("declarator")
        declarator = inner if inner is not None else declarator.named_children[-1] if declarator.named_children else None
    before = [c for c in node.children if c.type == "type_qualifier"]
    const = any(node_text(c) == "const" for c in before)
    return Parameter(node_text(declarator), " ".join(node_text(node.child_by_field_name("type")).split()), pointer, const)
