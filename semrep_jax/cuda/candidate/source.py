"""The device code of a candidate: cleaned, refused where it reaches for what it may not have, its kernels' signatures read.

Comments go and lines stay where they were, so that a compiler's line numbers are the writer's. `#include` lines go too: what they
name is there already, or is not available and the candidate is told so.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tree_sitter import Node

from semrep_jax.core.errors import SemRepError
from semrep_jax.cuda.canonical import parser

HEADERS = """
    cuda_runtime.h cuda.h cuda_runtime_api.h device_launch_parameters.h cuda_fp16.h cuda_bf16.h cooperative_groups.h
    cooperative_groups/reduce.h math.h cmath math_constants.h float.h cfloat limits.h climits limits stdint.h cstdint stdio.h cstdio
    assert.h cassert type_traits stddef.h cstddef vector_types.h torch/extension.h torch/types.h c10/cuda/CUDAException.h
    ATen/cuda/CUDAContext.h
""".split()  # noqa: SIM905
LONGEST = 60_000


class InvalidCandidate(SemRepError):
    """The text is no device code that we run. `banned` tells reaching for the forbidden from a mere mistake of form."""

    def __init__(self, message: str, banned: bool = False):
        super().__init__(message)
        self.banned = banned


_TOKENS = re.compile(
    r"""(?<!\w)\.?\d(?:'\w|[eEpP][+-]|[\w.])*|//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.DOTALL
)
_DIRECTIVE = re.compile(r"^[ \t]*#[ \t]*(\w*)[ \t]*(\w*)", re.MULTILINE)
_DIRECTIVES = frozenset(
    ["define", "undef", "if", "ifdef", "ifndef", "elif", "else", "endif", "pragma", "error", "include"]
) | {""}
_PRAGMAS = frozenset(
    ["unroll", "nounroll", "once", "nv_diag_suppress", "nv_diag_default", "diag_suppress", "diag_default"]
)
_PRAGMA = re.compile(r"^[ \t]*#[ \t]*pragma\b(.*)$", re.MULTILINE)
_KEPT_PRAGMA = re.compile(r"^[ \t]*SEMREP_PRAGMA\b(.*)$", re.MULTILINE)
_PREPROCESS = ("g++", "-E", "-undef", "-nostdinc", "-w", "-std=c++20", "-D__CUDA_ARCH__=900", "-x", "c++", "-")
_INCLUDE = re.compile(r"^[ \t]*#[ \t]*include\b[ \t]*(.*)$", re.MULTILINE)
_ALIGN = re.compile(r"__align__\s*\(\s*\d+\s*\)")
_DYNAMIC = re.compile(
    r"\b(?:extern\s+__shared__|__shared__\s+extern)\s+(?:__align__\s*\(\s*\d+\s*\)\s*)?(?:volatile\s+)?"
    r"([A-Za-z_][\w:]*(?:\s+(?:char|int|short|long))*(?:\s*<[^;<>]*>)?)\s+(?:__align__\s*\(\s*\d+\s*\)\s*)?([A-Za-z_]\w*)\s*\[\s*\]\s*;"
)
_STATIC_SHARED = re.compile(r"\bstatic\s+__shared__\s|\b__shared__\s+static\s")
_BANNED = {
    r"\basm\b|\b__asm(?:__)?\b": "inline assembly is not allowed; use intrinsics",
    r"\blong\s+double\b|\bdouble\s+long\b": "long double is double on a GPU; write double",
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
        text = _STATIC_SHARED.sub("__shared__ ", self.text)
        # a variable that every launch sets: one at file scope is made before there is a launch
        return _DYNAMIC.sub(r"static \1* \2; static ::semrep::Dynamic semrep_\2((void**)&\2);", text)

    @property
    def writable_globals(self) -> bool:
        """Whether it keeps `__device__` variables, which outlive a launch."""
        tree = parser().parse(self.text.encode())
        return any(
            n.type == "declaration" and b"__device__" in n.text.split(b"(")[0]
            for n in tree.root_node.children
            if n.text
        )


def clean(text: str) -> Device:
    """The device code of a candidate. Raises InvalidCandidate with the line and what to do."""
    if len(text) > LONGEST:
        raise InvalidCandidate(f"the program has {len(text)} characters; at most {LONGEST} are taken")
    text = text.replace("\r\n", "\n")
    odd = re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text)  # a form feed is white space to a compiler, and no \[ \\t] to us
    if odd:
        raise InvalidCandidate(f"line {_line(text, odd.start())}: the program holds the control character {odd[0]!r}")
    text = _splice(text)
    bare = _TOKENS.sub(lambda m: _blank(m[0]) if m[0].startswith("/") else m[0], text)
    lexical = _lexical(bare)
    for found in _DIRECTIVE.finditer(lexical):
        if found[1] not in _DIRECTIVES or (found[1] == "pragma" and found[2] not in _PRAGMAS):
            raise InvalidCandidate(
                f"line {_line(lexical, found.start())}: {found[0].strip()!r}: this directive is not allowed",
                banned=True,
            )
    _refuse_banned(lexical)
    for found in _INCLUDE.finditer(bare):
        name = found[1].strip().strip('<>"')
        if name not in HEADERS:
            raise InvalidCandidate(
                f"line {_line(bare, found.start())}: #include {found[1].strip()} is not available; what cuda_runtime, "
                "cuda_fp16, cuda_bf16, cooperative_groups and math declare is there without an #include",
                banned=True,
            )
    device = Device(_preprocessed(_INCLUDE.sub("", bare)))
    if not device.kernels:
        raise InvalidCandidate("there is no __global__ function in the CUDA block")
    return device


def _lexical(text: str) -> str:
    """The text without what stands in comments, strings and characters."""
    return _TOKENS.sub(lambda m: _blank(m[0]) if m[0][0] in "/\"'" else m[0], text)


def _refuse_banned(lexical: str) -> None:
    for pattern, why in _BANNED.items():
        found = re.search(pattern, lexical)
        if found:
            raise InvalidCandidate(f"line {_line(lexical, found.start())}: {found[0]!r}: {why}", banned=True)


def _preprocessed(text: str) -> str:
    """The text with its macros expanded and its conditions decided where no compiler's macro is defined.

    NVRTC and the emulator's compiler get one and the same text: a program can't be right in one and another in the other by `#ifdef`.
    """
    if not re.search(r"^[ \t]*#[ \t]*(?!pragma)\w", text, re.MULTILINE):
        return text
    kept = _PRAGMA.sub(r"SEMREP_PRAGMA\1", text)
    limited = ["/bin/sh", "-c", 'ulimit -t 5; ulimit -v 1048576; ulimit -f 4096; exec "$0" "$@"', *_PREPROCESS]
    try:
        done = subprocess.run(limited, input=kept, capture_output=True, text=True, timeout=10)
    except (subprocess.TimeoutExpired, UnicodeError) as error:
        raise InvalidCandidate("the preprocessor takes too long, or the text is no UTF-8") from error
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "error" in line] or [
            "the preprocessor ended without a word"
        ]
        raise InvalidCandidate(re.sub(r"^<stdin>:(\d+):\d+: ", r"line \1: ", errors[0])[:300])
    if len(done.stdout) > 10 * LONGEST:
        raise InvalidCandidate("its macros expand to too much text")
    lines, at = [], 1
    for line in done.stdout.splitlines():
        marker = re.match(r'# (\d+) "<stdin>"', line)
        if marker:
            lines += [""] * (int(marker[1]) - at)
            at = max(at, int(marker[1]))
        elif not line.startswith("# "):
            lines.append(line)
            at += 1
    found = _KEPT_PRAGMA.sub(r"#pragma\1", "\n".join(lines) + "\n")
    _refuse_banned(_lexical(found))
    return found


def _splice(text: str) -> str:
    """Logical lines in place of lines continued with a backslash, as many newlines as before."""
    lines: list[str] = []
    kept, count = "", 0
    for line in text.split("\n"):
        stripped = line.rstrip(" \t")
        if stripped.endswith("\\"):
            kept, count = kept + stripped[:-1], count + 1
        else:
            lines.append(kept + line + "\n" * count)
            kept, count = "", 0
    return "\n".join(lines + ([kept + "\n" * (count - 1)] if count else []))


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
        raise InvalidCandidate(f"line {definition.start_point[0] + 1}: this __global__ function's head can't be read")
    parameters = declarator.child_by_field_name("parameters")
    wanted = ("parameter_declaration", "optional_parameter_declaration")
    read = [_parameter(p) for p in (parameters.named_children if parameters else []) if p.type in wanted]
    return Kernel(
        node_text(declarator.child_by_field_name("declarator")), template, tuple(read), definition.start_point[0] + 1
    )


@dataclass(frozen=True)
class Function:
    """A function of a text: `device` where it is marked for the GPU."""

    node: Node
    device: bool


def functions(code: str) -> list[Function]:
    """The function definitions at the top of a text."""
    found = []
    for node in parser().parse(_ALIGN.sub(lambda m: " " * len(m[0]), code).encode()).root_node.children:
        inner = (
            [c for c in node.children if c.type == "function_definition"]
            if node.type == "template_declaration"
            else [node]
        )
        for definition in inner:
            if definition.type == "function_definition":
                found.append(
                    Function(definition, any(c.type in ("__global__", "__device__") for c in definition.children))
                )
    return found


def blank(code: str, node: Node) -> str:
    """The text with a node's characters made blank, newlines kept."""
    raw = code.encode()
    return (
        raw[: node.start_byte] + re.sub(rb"[^\n]", b" ", raw[node.start_byte : node.end_byte]) + raw[node.end_byte :]
    ).decode()


def node_text(node: Node | None) -> str:
    """A node's text; nothing for none."""
    return node.text.decode() if node is not None and node.text is not None else ""


def _parameter(node: Node) -> Parameter:
    declarator: Any = node.child_by_field_name("declarator")
    pointer = False
    while declarator is not None and declarator.type in (
        "pointer_declarator",
        "reference_declarator",
        "array_declarator",
    ):
        pointer = pointer or declarator.type in ("pointer_declarator", "array_declarator")
        inner = declarator.child_by_field_name("declarator")
        declarator = (
            inner if inner is not None else declarator.named_children[-1] if declarator.named_children else None
        )
    before = [c for c in node.children if c.type == "type_qualifier"]
    const = any(node_text(c) == "const" for c in before)
    return Parameter(
        node_text(declarator), " ".join(node_text(node.child_by_field_name("type")).split()), pointer, const
    )
