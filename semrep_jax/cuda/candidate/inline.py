"""Answers in the style of PyTorch's `load_inline`: their kernels are kept, their host function is read for its launches and dropped.

What is read: parameters that are tensors (the task's inputs, in order), `numel` and `size`, integer arithmetic, dim3, `empty_like`,
`empty` and `zeros`, launches on the default stream, and one returned tensor. Any other host code makes the answer `format`, with the line
that was too much: nothing of the host is ever run.
"""

from __future__ import annotations

import re

from tree_sitter import Node

from semrep_jax.cuda.candidate.launches import Launch, Scratch
from semrep_jax.cuda.candidate.source import Device, InvalidCandidate, blank, clean, functions, node_text
from semrep_jax.cuda.spec import KernelTask

Dims = tuple[str, ...]
_STRINGS = re.compile(r'[rRuU]{0,2}("""|\'\'\')(.*?)\1', re.DOTALL)
_SIZES = {"float": 4, "int": 4, "double": 8, "half": 2, "__half": 2, "unsigned int": 4, "long long": 8, "char": 1}
_IGNORED = re.compile(
    r"^(?:TORCH_CHECK\w*|AT_\w+|CHECK_\w+|C10_CUDA\w*|assert|cudaGetLastError|cudaDeviceSynchronize)\b"
)
_POINTER = re.compile(
    r"(?:\([\w\s*]+\)|(?:reinterpret|static)_cast<[^>]*>\()?\s*(\w+)\.(?:data_ptr|mutable_data_ptr|const_data_ptr|data)(?:<[^>]*>)?\(\s*\)\)?"
)
FILL = "fill_with_zeros"
_FILL = f"""
__global__ void {FILL}(float* p, long long n) {{
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (i < n) p[i] = 0.0f;
}}
"""


def code_of(text: str) -> str | None:
    """The C++ of an answer that launches kernels itself: a Python file's string literals, or the text; None where there is none."""
    literals = [body for _, body in _STRINGS.findall(text) if "__global__" in body or "<<<" in body]
    code = "\n".join(literals) if literals else text
    return code if "<<<" in code and "__global__" in code else None


def convert(code: str, task: KernelTask) -> tuple[Device, tuple[Launch, ...], dict[str, Scratch]]:
    """Device code, launches and scratch of such an answer. Raises InvalidCandidate with what could not be read."""
    hosts = [f for f in functions(code) if not f.device and "<<<" in node_text(f.node)]
    if len(hosts) != 1:
        raise InvalidCandidate(
            f"one host function must make all launches; found {len(hosts)}. Or write a ```cuda block and a ```json launch block"
        )
    host = _Host(task, hosts[0].node)
    launches = tuple(host.launches)
    for function in functions(code):
        if not function.device:
            code = blank(code, function.node)
    code = re.sub(r"^[ \t]*(?:PYBIND11_MODULE|TORCH_LIBRARY)\b[^{;]*\{.*?^\}", "", code, flags=re.DOTALL | re.MULTILINE)
    code = re.sub(r"^[ \t]*(?:torch|at)::Tensor\b[^;{]*;", "", code, flags=re.MULTILINE)
    if any(launch.kernel == FILL for launch in launches):
        code += _FILL
    return clean(code), launches, host.scratch


class _Host:
    """A reading of one host function: what its names mean, and the launches in their order."""

    def __init__(self, task: KernelTask, function: Node):
        self.task = task
        self.tensors: dict[str, str] = {}  # C++ name -> buffer
        self.dims: dict[str, Dims] = {a.name: a.shape for a in task.arrays}
        self.values: dict[str, str] = {}
        self.grids: dict[str, tuple[str, ...]] = {}
        self.made: dict[str, Dims] = {}  # tensors that the function makes, not yet known to be output or scratch
        self.zeroed: set[str] = set()
        self.calls: list[tuple[str, tuple[str, ...], tuple[str, ...], str, list[str]]] = []
        self._parameters(function)
        body = function.child_by_field_name("body")
        returned = ""
        for statement in body.named_children if body is not None else []:
            returned = self._statement(statement) or returned
        if len(task.outputs) != 1 or returned not in self.made:
            raise InvalidCandidate(
                f"the host function must return the one output tensor that it made, not {returned or 'nothing'!r}"
            )
        self.tensors[returned] = task.outputs[0].name
        self.scratch: dict[str, Scratch] = {}
        for name, dims in self.made.items():
            if name != returned:
                self.tensors[name] = buffer = f"made_{name}"
                self.scratch[buffer] = Scratch("f32", _product(dims))
        zeros = [self._zero(self.tensors[n], _product(self.made[n])) for n in self.made if n in self.zeroed]
        self.launches = zeros + [
            Launch(
                k,
                grid,
                block,
                shared,
                tuple(self.tensors.get(a.removeprefix("@"), a) if a.startswith("@") else a for a in args),
            )
            for k, grid, block, shared, args in self.calls
        ]

    def _zero(self, buffer: str, count: str) -> Launch:
        return Launch(FILL, (f"ceil_div({count}, 256)",), (256,), 0, (buffer, f"i64:{count}"))

    def _refuse(self, node: Node) -> InvalidCandidate:
        line = node.start_point[0] + 1
        return InvalidCandidate(
            f"line {line}: this host code can't be converted: {node_text(node)[:80]!r}; write a ```json launch block instead"
        )

    def _parameters(self, function: Node) -> None:
        declarator = function.child_by_field_name("declarator")
        while declarator is not None and declarator.type != "function_declarator":
            declarator = declarator.child_by_field_name("declarator")
        parameters = declarator.child_by_field_name("parameters") if declarator is not None else None
        given = [
            p
            for p in (parameters.named_children if parameters is not None else [])
            if p.type == "parameter_declaration"
        ]
        if len(given) != len(self.task.inputs) or not all(
            "Tensor" in node_text(p.child_by_field_name("type")) for p in given
        ):
            names = ", ".join(a.name for a in self.task.inputs)
            raise InvalidCandidate(
                f"line {function.start_point[0] + 1}: the host function must take the task's inputs as tensors: {names}"
            )
        for parameter, array in zip(given, self.task.inputs, strict=True):
            self.tensors[re.findall(r"\w+", node_text(parameter))[-1]] = array.name

    def _statement(self, node: Node) -> str | None:
        """Take one statement in; the name after `return`."""
        if node.type == "return_statement":
            return node_text(node).removeprefix("return").strip(" ;")
        if node.type == "comment" or _IGNORED.match(node_text(node)):
            return None
        if node.type == "declaration":
            self._declaration(node)
            return None
        if node.type == "expression_statement" and node.named_children and self._launch(node.named_children[0]):
            return None
        raise self._refuse(node)

    def _declaration(self, node: Node) -> None:
        kind = node_text(node.child_by_field_name("type"))
        for declarator in (c for c in node.named_children if c.type in ("init_declarator", "function_declarator")):
            name = node_text(declarator.child_by_field_name("declarator"))
            value = declarator.child_by_field_name("value") or declarator.child_by_field_name("parameters")
            if value is None:
                raise self._refuse(node)
            text = node_text(value)
            if kind == "dim3" or re.match(r"dim3\s*\(", text):
                self.grids[name] = self._dims(value)
            elif match := re.fullmatch(r"(?:torch|at)::(empty|zeros)_like\(\s*(\w+)\s*(?:,.*)?\)", text, re.DOTALL):
                self._make(name, self._shape(match[2], node), match[1])
            elif match := re.fullmatch(r"(?:torch|at)::(empty|zeros)\(\s*\{(.*?)\}\s*(?:,.*)?\)", text, re.DOTALL):
                braces = next((c for c in _walk(value) if c.type == "initializer_list"), None)
                self._make(
                    name, tuple(self._value(c) for c in (braces.named_children if braces is not None else [])), match[1]
                )
            else:
                self.values[name] = self._value(value)

    def _make(self, name: str, dims: Dims, how: str) -> None:
        self.made[name] = dims
        if how == "zeros":
            self.zeroed.add(name)

    def _shape(self, tensor: str, node: Node) -> Dims:
        if tensor in self.made:
            return self.made[tensor]
        if tensor not in self.tensors:
            raise self._refuse(node)
        return self.dims[self.tensors[tensor]]

    def _launch(self, node: Node) -> bool:
        syntax = next((c for c in node.named_children if c.type == "kernel_call_syntax"), None)
        arguments = node.child_by_field_name("arguments")
        if node.type != "call_expression" or syntax is None or arguments is None:
            return False
        grid, block, *more = syntax.named_children
        if len(more) > 1 and node_text(more[1]) not in ("0", "nullptr"):
            raise self._refuse(more[1])
        shared = self._value(more[0]) if more else "0"
        kernel = node_text(node.child_by_field_name("function"))
        self.calls.append(
            (
                kernel,
                self._dims(grid),
                self._dims(block),
                shared,
                [self._argument(a, kernel) for a in arguments.named_children],
            )
        )
        return True

    def _dims(self, node: Node) -> tuple[str, ...]:
        if node.type == "identifier" and node_text(node) in self.grids:
            return self.grids[node_text(node)]
        inner = node if node.type in ("argument_list", "parameter_list") else node.child_by_field_name("arguments")
        if node.type in ("argument_list", "parameter_list") or node_text(node).startswith("dim3"):
            return tuple(self._value(c) for c in (inner.named_children if inner is not None else []))
        return (self._value(node),)

    def _argument(self, node: Node, kernel: str) -> str:
        match = _POINTER.fullmatch(node_text(node))
        if match:
            self._shape(match[1], node)
            return "@" + match[1]
        return "?:" + self._value(node)  # the type is the parameter's

    def _value(self, node: Node) -> str:
        """A C++ integer expression as one over the task's axes."""
        text, children = node_text(node), node.named_children
        match node.type:
            case "number_literal":
                return re.sub(r"(?i)(?<=\d)[ul]+$|(?<=[\d.])f$", "", text)
            case "identifier" | "type_identifier" if text in self.values:
                return self.values[text]
            case "parenthesized_expression" if len(children) == 1:
                return self._value(children[0])
            case "parameter_declaration" | "type_descriptor" if len(children) == 1:
                return self._value(children[0])
            case "cast_expression":
                return self._value(children[-1])
            case "binary_expression":
                left, right, sign = (
                    node.child_by_field_name("left"),
                    node.child_by_field_name("right"),
                    node.child_by_field_name("operator"),
                )
                operator = node_text(sign)
                if left is not None and right is not None and operator in ("+", "-", "*", "/", "%", "<<", ">>"):
                    return f"({self._value(left)} {'//' if operator == '/' else operator} {self._value(right)})"
            case "sizeof_expression":
                kind = re.sub(r"^sizeof\s*\(?|\)$", "", text).strip()
                if kind in _SIZES:
                    return str(_SIZES[kind])
            case "call_expression":
                function, arguments = node.child_by_field_name("function"), node.child_by_field_name("arguments")
                given = arguments.named_children if arguments is not None else []
                name = node_text(function)
                if re.fullmatch(r"static_cast<[^>]*>|int|int64_t|size_t", name) and len(given) == 1:
                    return self._value(given[0])
                if name in ("std::min", "std::max", "min", "max") and len(given) == 2:
                    return f"{name[-3:]}({self._value(given[0])}, {self._value(given[1])})"
                tensor, _, method = name.partition(".")
                if method == "numel" and not given:
                    return _product(self._shape(tensor, node))
                if method == "size" and len(given) == 1 and re.fullmatch(r"-?\d+", node_text(given[0])):
                    dims, index = self._shape(tensor, node), int(node_text(given[0]))
                    if -len(dims) <= index < len(dims):
                        return f"({dims[index]})"
        raise self._refuse(node)


def _product(dims: Dims) -> str:
    return "(" + " * ".join(f"({d})" for d in dims or ("1",)) + ")"


def _walk(node: Node) -> list[Node]:
    return [node, *(n for c in node.children for n in _walk(c))]
