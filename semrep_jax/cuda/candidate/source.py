"""The device code of a candidate: cleaned, refused where it reaches for what it may not have.

    device = clean(text)                        # raises InvalidCandidate with the line and what to do
    device.kernels["scale"].parameters          # signatures, as `cuda.syntax` reads them

Comments go and lines stay where they were, so that a compiler's line numbers are the writer's. `#include` lines go too:
what they name is there already, or is of the host and not needed, or is a library of device code (`Device.libraries`,
which NVRTC knows and the emulator does not), or is not available and the candidate is told so.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from tree_sitter import Node

from semrep_jax.core.errors import SemRepError
from semrep_jax.cuda.syntax import (
    LINKAGE,
    NAMESPACES,
    TEMPLATES,
    Function,
    definitions,
    function_declarator,
    is_kernel,
    node_text,
    parse,
    walk,
)

HEADERS = """
    cuda_runtime.h cuda.h cuda_runtime_api.h device_launch_parameters.h cuda_fp16.h cuda_bf16.h cooperative_groups.h
    cooperative_groups/reduce.h math.h cmath math_constants.h float.h cfloat limits.h climits limits stdint.h cstdint
    stdio.h cstdio assert.h cassert type_traits stddef.h cstddef vector_types.h torch/extension.h torch/types.h
    c10/cuda/CUDAException.h c10/cuda/CUDAGuard.h c10/cuda/CUDAStream.h ATen/ATen.h ATen/cuda/CUDAContext.h
    ATen/cuda/Exceptions.h torch/torch.h torch/all.h cuda_runtime_api.h vector_functions.h device_functions.h
    math_functions.h device_atomic_functions.h sm_30_intrinsics.h helper_cuda.h
""".split()  # noqa: SIM905
# Of the host: without its functions, which no device code can call, there is nothing that they declare
HOST_HEADERS = """
    algorithm array bitset cctype cerrno chrono complex cstdarg cstdlib cstring ctime deque exception functional iomanip
    iostream istream iterator list map memory mutex new numeric optional ostream queue random set sstream stack
    stdexcept string string_view thread tuple typeinfo unordered_map unordered_set utility variant vector version
    initializer_list stdlib.h string.h time.h ctype.h errno.h
""".split()  # noqa: SIM905
LIBRARY = re.compile(
    r"(?:cub|thrust|cuda|cooperative_groups|cute|cutlass)/[\w/]+(?:\.(?:h|hpp|cuh|inl))?"
    r"|mma\.h|curand_kernel\.h|cuda_pipeline(?:_primitives)?\.h|cuda_fp[468]\.h|cuda_awbarrier(?:_primitives)?\.h"
    r"|cuda_texture_types\.h|texture_fetch_functions\.h|cuComplex\.h"
)
MAX_CHARACTERS = 60_000
MAX_EXPANDED_CHARACTERS = 10 * MAX_CHARACTERS


class InvalidCandidate(SemRepError):
    """The text is no device code that we run. `banned` tells reaching for the forbidden from a mere mistake of form."""

    def __init__(self, message: str, banned: bool = False):
        super().__init__(message)
        self.banned = banned


# numbers (a ' in one separates digits), comments, strings, characters
_TOKENS = re.compile(
    r"""(?<!\w)\.?\d(?:'\w|[eEpP][+-]|[\w.])*|//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.DOTALL
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")  # a form feed is white space to a compiler, and no [ \t] to us
_DIRECTIVE = re.compile(r"^[ \t]*#[ \t]*(\w*)[ \t]*(\w*)", re.MULTILINE)
_DIRECTIVES = frozenset(
    ["", "define", "undef", "if", "ifdef", "ifndef", "elif", "else", "endif", "pragma", "error", "include"]
)
_PRAGMAS = frozenset(
    ["unroll", "nounroll", "once", "nv_diag_suppress", "nv_diag_default", "diag_suppress", "diag_default"]
)
_ANY_DIRECTIVE_BUT_PRAGMA = re.compile(r"^[ \t]*#[ \t]*(?!pragma)\w", re.MULTILINE)
_PRAGMA = re.compile(r"^[ \t]*#[ \t]*pragma\b(.*)$", re.MULTILINE)
_HIDDEN_PRAGMA = re.compile(r"^[ \t]*SEMREP_PRAGMA\b(.*)$", re.MULTILINE)
_INCLUDE = re.compile(r"^[ \t]*#[ \t]*include\b[ \t]*(.*)$", re.MULTILINE)
_LINE_MARKER = re.compile(r'# (\d+) "<stdin>"')
_PREPROCESS = ("g++", "-E", "-undef", "-nostdinc", "-w", "-std=c++20", "-D__CUDA_ARCH__=900", "-x", "c++", "-")
_PREPROCESS_LIMITS = 'ulimit -t 5; ulimit -v 1048576; ulimit -f 4096; exec "$0" "$@"'
_ATTRIBUTES = re.compile(r"__(?:align|maxnreg|cluster_dims|block_size)__\s*\([^();{}]*\)")
_DYNAMIC_SHARED = re.compile(
    r"\b(?:extern\s+__shared__|__shared__\s+extern)\s+(?:__align__\s*\(\s*\d+\s*\)\s*)?(?:volatile\s+)?"
    r"([A-Za-z_][\w:]*(?:\s+(?:char|int|short|long))*(?:\s*<[^;<>]*>)?)\s+(?:__align__\s*\(\s*\d+\s*\)\s*)?"
    r"([A-Za-z_]\w*)\s*\[\s*\]\s*;"
)
_STATIC_SHARED = re.compile(r"\bstatic\s+__shared__\s|\b__shared__\s+static\s")
_BARRIER = re.compile(r"__syncthreads(?:_count|_and|_or)?|sync")
_COMPILERS_OWN = (
    r"\b__start_\w*|\b__stop_\w*|\b__attribute__\b|\b__builtin_\w*(?:address|frame|longjmp|setjmp|apply|return)\w*"
)
_HOST_CALLS = r"\b(?:cudaMalloc|cudaFree|cuda(?:Memcpy|Launch|Stream|Graph|Event|Device)\w*)\b"
_BANNED = {
    r"\basm\b|\b__asm(?:__)?\b": "inline assembly is not allowed; use intrinsics",
    r"\blong\s+double\b|\bdouble\s+long\b": "long double is double on a GPU; write double",
    r"<<<": "a kernel can't launch kernels; put every launch into the launch list",
    r"%:|\?\?=": "digraphs and trigraphs are not allowed",
    r'\bu?8?[uUL]?R"': "raw strings are not allowed",
    r"#[ \t]*(?:include_next|embed|line)\b|\b__has_(?:include|embed)\b|\b_Pragma\b": "this directive is not allowed",
    r"\bsemrep\w*": "names that begin with semrep are ours",
    _COMPILERS_OWN: "this is not CUDA",
    _HOST_CALLS: "host calls are not allowed; declare scratch buffers and launches in the launch list",
}


@dataclass(frozen=True)
class Device:
    """Cleaned device code. `text` has the lines of the original; `libraries` are headers that it includes and the
    emulator does not know, `headers` those that it includes and needs no more."""

    text: str
    libraries: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()

    @cached_property
    def kernels(self) -> dict[str, Function]:
        """The `__global__` functions by name. Raises InvalidCandidate where the head of one can't be read."""
        found = {}
        for definition in definitions(tree(self.text), TEMPLATES | LINKAGE | NAMESPACES):
            if is_kernel(definition.node):
                kernel = definition.function()
                if kernel is None:
                    line = definition.node.start_point[0] + 1
                    raise InvalidCandidate(f"line {line}: this __global__ function's head can't be read")
                found[kernel.name] = kernel
        return found

    def kernel(self, name: str) -> Function | None:
        """The kernel that a launch names, with its namespaces or without; None where there is none."""
        plain = name.partition("<")[0].strip().removeprefix("::")
        found = self.kernels.get(plain.rpartition("::")[2].strip())
        return found if found is not None and f"::{found.qualified}".endswith(f"::{plain}") else None

    @property
    def emulated(self) -> str:
        """The text for an ordinary C++ compiler: dynamic shared memory is a pointer there, and static shared memory and
        calls of functions that have barriers are told to the runtime."""
        text = _STATIC_SHARED.sub("__shared__ ", self.text)
        # a variable that every launch sets: one at file scope is made before there is a launch
        text = _DYNAMIC_SHARED.sub(r"static \1* \2; static ::semrep::Dynamic semrep_\2((void**)&\2);", text)
        root = tree(text)
        return _with(text, [*_shared_told(root), *_calls_told(root)])


def clean(text: str) -> Device:
    """The device code of a candidate. Raises InvalidCandidate with the line and what to do."""
    if len(text) > MAX_CHARACTERS:
        raise InvalidCandidate(f"the program has {len(text)} characters; at most {MAX_CHARACTERS} are taken")
    text = text.replace("\r\n", "\n")
    control = _CONTROL.search(text)
    if control:
        line = _line(text, control.start())
        raise InvalidCandidate(f"line {line}: the program holds the control character {control[0]!r}")
    uncommented = _without_comments(_splice(text))
    code = _without_literals(uncommented)
    _refuse_directives(code)
    _refuse_banned(code)
    headers, libraries = _included(uncommented)
    device = Device(_preprocess(_INCLUDE.sub("", uncommented)), libraries, headers)
    if not device.kernels:
        raise InvalidCandidate("there is no __global__ function in the CUDA block")
    return device


def tree(text: str) -> Node:
    """The root of a text's tree; attributes that the grammar does not know are made blank."""
    return parse(_ATTRIBUTES.sub(lambda match: " " * len(match[0]), text).encode())


def _with(text: str, additions: list[tuple[int, str]]) -> str:
    """The text with additions, each before the byte of its number; those of one byte in their order."""
    code, done = text.encode(), 0
    pieces = []
    for at, added in sorted(additions, key=lambda addition: addition[0]):
        pieces += [code[done:at], added.encode()]
        done = at
    return b"".join([*pieces, code[done:]]).decode()


def _shared_told(root: Node) -> Iterator[tuple[int, str]]:
    """A call behind each declaration of static shared memory that tells the runtime where it lies: g++ gives a
    template's static variables no section of their own."""
    for declaration in walk(root, "declaration"):
        local = declaration.parent is not None and declaration.parent.type == "compound_statement"
        if not local or all(node_text(child) != "__shared__" for child in declaration.children):
            continue
        declared = declaration.children_by_field_name("declarator")
        names = [node_text(next(walk(one, "identifier"), None)) for one in declared]
        yield declaration.end_byte, "".join(f" ::semrep::shared(&{name}, sizeof {name});" for name in names if name)


def _calls_told(root: Node) -> Iterator[tuple[int, str]]:
    """Around each call of a function or lambda that has a barrier, itself or by what it calls, a word to the runtime: a
    barrier that is reached by two calls is two. Functions are known by their names, whatever they belong to."""
    calls: dict[str, list[Node]] = {}  # by what is called
    for call in walk(root, "call_expression"):
        calls.setdefault(_last_name(call.child_by_field_name("function")), []).append(call)
    waiting = [name for name in calls if _BARRIER.fullmatch(name)]
    told: set[str] = set()
    while waiting:
        for call in calls.get(waiting.pop(), ()):
            names = set(_names_around(call)) - told
            told |= names
            waiting += names
    for name in told:
        for call in calls.get(name, ()):
            if any(_names_around(call)):
                yield call.start_byte, "((void)::semrep::Call(), "
                yield call.end_byte, ")"


def _last_name(function: Node | None) -> str:
    """The name that a call or a definition is known by, without what it belongs to and its template's arguments."""
    while function is not None and function.child_count:
        field = "field" if function.type == "field_expression" else "name"
        function = function.child_by_field_name(field)
    return node_text(function)


def _names_around(node: Node) -> Iterator[str]:
    """The names of the functions and lambdas that a node stands in, from the inside; "" for one without a name."""
    inside, outside = node, node.parent
    while outside is not None:
        if outside.type == "function_definition":
            declarator = function_declarator(outside)
            yield _last_name(declarator.child_by_field_name("declarator") if declarator is not None else None)
        elif outside.type == "init_declarator" and inside.type == "lambda_expression":
            yield node_text(outside.child_by_field_name("declarator"))
        inside, outside = outside, outside.parent


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


def _without_comments(text: str) -> str:
    return _TOKENS.sub(lambda token: _blank(token[0]) if token[0].startswith("/") else token[0], text)


def _without_literals(text: str) -> str:
    """The text without what stands in comments, strings and characters."""
    return _TOKENS.sub(lambda token: _blank(token[0]) if token[0][0] in "/\"'" else token[0], text)


def _blank(text: str) -> str:
    if text[0] in "\"'":
        return text[0] + " " * (len(text) - 2) + text[0]
    return re.sub(r"[^\n]", " ", text)


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _refuse_directives(code: str) -> None:
    for found in _DIRECTIVE.finditer(code):
        if found[1] not in _DIRECTIVES or (found[1] == "pragma" and found[2] not in _PRAGMAS):
            line = _line(code, found.start())
            raise InvalidCandidate(f"line {line}: {found[0].strip()!r}: this directive is not allowed", banned=True)


def _refuse_banned(code: str) -> None:
    for pattern, why in _BANNED.items():
        found = re.search(pattern, code)
        if found:
            raise InvalidCandidate(f"line {_line(code, found.start())}: {found[0]!r}: {why}", banned=True)


def _included(uncommented: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The headers and the libraries that a text includes, each once. Raises InvalidCandidate for one of no kind that we
    know."""
    headers: dict[str, None] = {}
    libraries: dict[str, None] = {}
    for found in _INCLUDE.finditer(uncommented):
        name = found[1].strip()
        header = name.strip('<>"')
        if header in HEADERS or header in HOST_HEADERS:
            headers[header] = None
        elif LIBRARY.fullmatch(header) and ".." not in header:
            libraries[header] = None
        else:
            raise InvalidCandidate(
                f"line {_line(uncommented, found.start())}: #include {name} is not available; what cuda_runtime, "
                "cuda_fp16, cuda_bf16, cooperative_groups and math declare is there without an #include",
                banned=True,
            )
    return tuple(headers), tuple(libraries)


def _preprocess(text: str) -> str:
    """The text with its macros expanded and its conditions decided where no compiler's macro is defined.

    NVRTC and the emulator's compiler get one and the same text: a program can't be right in one and another in the
    other by `#ifdef`. What a macro has put together is looked at again.
    """
    if not _ANY_DIRECTIVE_BUT_PRAGMA.search(text):
        return text
    expanded = _expand(_PRAGMA.sub(r"SEMREP_PRAGMA\1", text))
    if len(expanded) > MAX_EXPANDED_CHARACTERS:
        raise InvalidCandidate("its macros expand to too much text")
    found = _HIDDEN_PRAGMA.sub(r"#pragma\1", "\n".join(_lines_in_place(expanded)) + "\n")
    _refuse_banned(_without_literals(found))
    return found


def _expand(text: str) -> str:
    """What the preprocessor, within limits, makes of a text."""
    command = ["/bin/sh", "-c", _PREPROCESS_LIMITS, *_PREPROCESS]
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=10)
    except (subprocess.TimeoutExpired, UnicodeError) as error:
        raise InvalidCandidate("the preprocessor takes too long, or the text is no UTF-8") from error
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "error" in line]
        first = errors[0] if errors else "the preprocessor ended without a word"
        raise InvalidCandidate(re.sub(r"^<stdin>:(\d+):\d+: ", r"line \1: ", first)[:300])
    return done.stdout


def _lines_in_place(expanded: str) -> list[str]:
    """The preprocessor's lines at the numbers that its markers say."""
    lines: list[str] = []
    number = 1
    for line in expanded.splitlines():
        marker = _LINE_MARKER.match(line)
        if marker:
            lines += [""] * (int(marker[1]) - number)
            number = max(number, int(marker[1]))
        elif not line.startswith("# "):
            lines.append(line)
            number += 1
    return lines
