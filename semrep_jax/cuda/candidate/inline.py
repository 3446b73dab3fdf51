"""Answers in the style of PyTorch's `load_inline`: kernels are kept, the host function is read and dropped.

    torch::Tensor relu(torch::Tensor x) {
        auto y = torch::empty_like(x);
        relu_kernel<<<(x.numel() + 255) / 256, 256>>>(x.data_ptr<float>(), y.data_ptr<float>(), x.numel());
        return y;
    }

becomes, for a task with an input "x" of shape (N,) and an output "y",

    Launch("relu_kernel", grid=("((((N)) + 255) // 256)",), block=("256",), shared="0",
           args=(TensorRef("x"), TensorRef("y"), Scalar("i32", "((N))")))

What is read: parameters that are tensors (the task's inputs, in order), `numel` and `size`, integer arithmetic, dim3,
macros and constants that are numbers, `contiguous` (inputs are), pointers to tensors, `empty_like`, `empty` and
`zeros`, launches on the default or the current stream, and one returned tensor. Any other host code makes the answer
`format`, with the line that was too much: nothing of the host is ever run. Where there is a Python side, its `forward`
has to return what the host function returns, and nothing made of it (`python_side`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from tree_sitter import Node

from semrep_jax.cuda.candidate.launches import Argument, Launch, Scalar, Scratch, TensorRef
from semrep_jax.cuda.candidate.scalars import scalar_dtype
from semrep_jax.cuda.candidate.source import Device, InvalidCandidate, clean, tree
from semrep_jax.cuda.spec import KernelTask
from semrep_jax.cuda.syntax import TEMPLATES, Definition, definitions, is_device, node_text, walk

Dims = tuple[str, ...]  # of a tensor, a grid or a block: expressions over the task's axes
_STRINGS = re.compile(r'[rRuU]{0,2}("""|\'\'\')(.*?)\1', re.DOTALL)
_BINDINGS = re.compile(r"^[ \t]*(?:PYBIND11_MODULE|TORCH_LIBRARY)\b[^{;]*\{.*?^\}", re.DOTALL | re.MULTILINE)
_DECLARED_TENSORS = re.compile(r"^[ \t]*(?:torch|at)::Tensor\b[^;{]*;", re.MULTILINE)
_IGNORED = re.compile(
    r"^(?:(?:const\s+)?(?:at|c10)::cuda::(?:Optional)?CUDAGuard"
    r"|TORCH_CHECK\w*|AT_\w+|CHECK_\w+|C10_CUDA\w*|assert|cudaGetLastError|cudaDeviceSynchronize)\b"
)
_POINTER = re.compile(
    r"(?:\([\w\s*]+\)|(?:reinterpret|static)_cast<[^>]*>\()?\s*(\w+)\."
    r"(?:data_ptr|mutable_data_ptr|const_data_ptr|data)(?:<[^>]*>)?\(\s*\)\)?"
)
_DEFINES = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)[ \t]+([\w ()+*/<>%-]+?)[ \t]*$", re.MULTILINE)
_CONTIGUOUS = r"(?:\.(?:contiguous|cuda)\(\s*\))"
_SAME = re.compile(r"(\w+)\s*=\s*\1" + _CONTIGUOUS + r"+\s*;")
_ALIAS = re.compile(r"(\w+)" + _CONTIGUOUS + "*")
_OPTIONS = re.compile(r"(?:torch|at)::TensorOptions\b|\w+\.(?:options|device|dtype|scalar_type)\(")
_STREAM = re.compile(r"(?:at|c10)::cuda::getCurrentCUDAStream\(\s*\)(?:\.stream\(\s*\))?")
_MADE_LIKE = re.compile(r"(?:torch|at)::(empty|zeros)_like\(\s*(\w+)\s*(?:,.*)?\)", re.DOTALL)
_MADE = re.compile(r"(?:torch|at)::(empty|zeros)\(\s*\{(.*?)\}\s*(?:,.*)?\)", re.DOTALL)
_LIKE_SIZES = re.compile(r"(?:torch|at)::(empty|zeros)\(\s*(\w+)\.sizes\(\s*\)\s*(?:,.*)?\)", re.DOTALL)
_SIZES_INDEX = re.compile(r"(\w+)\.sizes\(\s*\)\s*\[\s*(-?\d+)\s*\]")
_ERROR_CHECK = re.compile(r"if\s*\([^;{]*cudaSuccess[^;{]*\)(?!.*(?:<<<|\breturn\b|[^=!<>]=[^=])).*", re.DOTALL)
_BOUND = re.compile(r"""\.def\(\s*"(\w+)"\s*,\s*(?:torch::wrap_pybind_function\()?&?\s*(?:\w+::)*(\w+)""")
_CONVERSION = re.compile(r"static_cast<([^>]*)>|(int|int64_t|size_t|float|double)")
_REAL = ("float", "double")
# in an expression of ours that is not of integers alone
_OF_REALS = re.compile(r"\d\.|\.\d|\de[+-]?\d|float\(|(?<!/)/(?!/)")
_NUMBER_SUFFIX = re.compile(r"(?i)(?<=\d)[ul]+$|(?<=[\d.])f$")
_MINIMUM = ("std::min", "min")
_MAXIMUM = ("std::max", "max")
_OPERATORS = {"+": "+", "-": "-", "*": "*", "/": "//", "%": "%", "<<": "<<", ">>": ">>"}
_SIZES = {"float": 4, "int": 4, "double": 8, "half": 2, "__half": 2, "unsigned int": 4, "long long": 8, "char": 1}
FILL = "fill_with_zeros"
_FILL = f"""
__global__ void {FILL}(float* p, long long n) {{
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (i < n) p[i] = 0.0f;
}}
"""


@dataclass(frozen=True)
class Made:
    """A tensor that the host function makes: dimensions, and whether it is filled with zeros."""

    dims: Dims
    zeroed: bool


@dataclass(frozen=True)
class Call:
    """A launch as the host function writes it. An argument is a tensor by its C++ name, or an expression."""

    kernel: str
    grid: Dims
    block: Dims
    shared: str
    args: tuple[TensorRef | str, ...]


@dataclass(frozen=True)
class Names:
    """What the names of a host function mean: the task's inputs, tensors that it makes, dim3 variables, integers."""

    inputs: Mapping[str, tuple[str, Dims]] = field(default_factory=dict)  # name of the array, dimensions
    made: Mapping[str, Made] = field(default_factory=dict)
    grids: Mapping[str, Dims] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    pointers: Mapping[str, str] = field(default_factory=dict)  # names of pointers: the tensors that they point at
    streams: frozenset[str] = frozenset()

    def dims(self, tensor: str, node: Node) -> Dims:
        """The dimensions of a tensor; `node` is where it is asked for. Raises InvalidCandidate where there is none."""
        if tensor in self.made:
            return self.made[tensor].dims
        if tensor not in self.inputs:
            raise _too_much(node)
        return self.inputs[tensor][1]


@dataclass(frozen=True)
class Host:
    """What a host function does: its launches in order, and the tensor that it returns, one of those that it makes."""

    names: Names
    calls: tuple[Call, ...]
    returned: str


def code_of(text: str) -> str | None:
    """The C++ of an answer that launches kernels itself: the strings of a Python file, or the text; None for others."""
    literals = [body for _, body in _STRINGS.findall(text) if "__global__" in body or "<<<" in body]
    code = "\n".join(literals) if literals else text
    return code if "<<<" in code and "__global__" in code else None


def exposed(text: str, code: str) -> frozenset[str]:
    """The names by which Python may call the host functions that launch: their own, or those that they are bound to.

    text: the whole answer. code: its C++.
    """
    found = {definition.function() for definition in _launching(code)}
    own = {function.name for function in found if function is not None}
    bound = dict(_BOUND.findall(text))
    return frozenset({name for name in own if bound.get(name, name) in own} | {p for p, c in bound.items() if c in own})


def _launching(code: str) -> list[Definition]:
    """The host functions that launch kernels."""
    on_host = [d for d in definitions(tree(code), TEMPLATES) if not is_device(d.node)]
    return [d for d in on_host if "<<<" in node_text(d.node)]


def convert(code: str, task: KernelTask) -> tuple[Device, tuple[Launch, ...], dict[str, Scratch]]:
    """Device code, launches and scratch of such an answer. Raises InvalidCandidate with what could not be read."""
    on_host = [d for d in definitions(tree(code), TEMPLATES) if not is_device(d.node)]
    launching = _launching(code)
    if len(launching) != 1:
        raise InvalidCandidate(
            f"one host function must make all launches; found {len(launching)}. "
            "Or write a ```cuda block and a ```json launch block"
        )
    host = read_host(launching[0], task, _constants(code))
    for definition in on_host:
        code = _blanked(code, definition.node)
    code = _DECLARED_TENSORS.sub("", _BINDINGS.sub("", code))
    zeroed = any(tensor.zeroed for tensor in host.names.made.values())
    device = clean(code + _FILL if zeroed else code)
    scratch = {f"made_{n}": Scratch("f32", _product(m.dims)) for n, m in host.names.made.items() if n != host.returned}
    return device, _launches(host, device, task), scratch


def _constants(code: str) -> dict[str, str]:
    """Macros and constants outside of functions that are numbers, by name."""
    defined = _DEFINES.findall(code)
    listed = [f"const int {name} = {value};" for name, value in defined]
    listed += [node_text(node) for node in tree(code).named_children if node.type == "declaration"]
    names = Names()
    for text in listed:
        try:
            names = _declared(tree(text).named_children[0], names)
        except InvalidCandidate:  # no number: it matters only where the host function uses it, and then that is refused
            continue
    return dict(names.values)


def read_host(definition: Definition, task: KernelTask, constants: Mapping[str, str] = MappingProxyType({})) -> Host:
    """What a host function does. Raises InvalidCandidate with the first statement that is more than it may hold.

    constants: numbers by their names outside of the function.
    """
    names, calls, returned = Names(inputs=_inputs(definition, task), values=constants), [], ""
    body = definition.node.child_by_field_name("body")
    for statement in body.named_children if body is not None else []:
        text = node_text(statement)
        if statement.type == "return_statement":
            returned = text.removeprefix("return").strip(" ;") or returned
        elif statement.type == "comment" or _ignored(text):
            continue
        elif statement.type == "declaration":
            names = _declared(statement, names)
        elif (call := _call(statement, names)) is not None:
            calls.append(call)
        else:
            raise _too_much(statement)
    if len(task.outputs) != 1 or returned not in names.made:
        found = repr(returned or "nothing")
        raise InvalidCandidate(f"the host function must return the one output tensor that it made, not {found}")
    return Host(names, tuple(calls), returned)


def _ignored(text: str) -> bool:
    """Whether a statement only checks, or takes a tensor for itself made contiguous."""
    if "<<<" in text:  # as in a macro that dispatches over dtypes
        return False
    checks = _IGNORED.match(text.removeprefix("cudaError_t").split("=")[-1].strip()) and text.startswith("cudaError_t")
    return bool(checks or _IGNORED.match(text) or _SAME.fullmatch(text) or _ERROR_CHECK.fullmatch(text))


def _inputs(definition: Definition, task: KernelTask) -> dict[str, tuple[str, Dims]]:
    """The task's inputs by the names of the host function's parameters."""
    function = definition.function()
    given = [p for p in (function.parameters if function is not None else ()) if not p.optional]
    if len(given) != len(task.inputs) or not all("Tensor" in p.type for p in given):
        line, names = definition.node.start_point[0] + 1, ", ".join(a.name for a in task.inputs)
        raise InvalidCandidate(f"line {line}: the host function must take the task's inputs as tensors: {names}")
    return {p.name: (array.name, array.shape) for p, array in zip(given, task.inputs, strict=True)}


def _declared(declaration: Node, names: Names) -> Names:
    """The names after a declaration."""
    kind = node_text(declaration.child_by_field_name("type"))
    if re.match(r"(?:static|thread_local)\b(?!.*\bconst)", node_text(declaration).partition("=")[0]):
        raise _too_much(declaration)  # it lives on from call to call
    for declarator in declaration.named_children:
        if declarator.type not in ("init_declarator", "function_declarator"):
            continue
        name = node_text(declarator.child_by_field_name("declarator"))
        value = declarator.child_by_field_name("value") or declarator.child_by_field_name("parameters")
        if value is None:
            raise _too_much(declaration)
        text = node_text(value)
        alias = _ALIAS.fullmatch(text)
        if alias and (alias[1] in names.inputs or alias[1] in names.made):
            kept = {name: names.inputs[alias[1]]} if alias[1] in names.inputs else {}
            made_too = {name: names.made[alias[1]]} if alias[1] in names.made else {}
            names = replace(names, inputs={**names.inputs, **kept}, made={**names.made, **made_too})
        elif _OPTIONS.match(text):
            continue
        elif _STREAM.fullmatch(text):
            names = replace(names, streams=names.streams | {name})
        elif pointer := _POINTER.fullmatch(text):
            names.dims(pointer[1], declaration)
            names = replace(names, pointers={**names.pointers, name.lstrip("*& "): pointer[1]})
        elif kind == "dim3" or re.match(r"dim3\s*\(", text):
            names = replace(names, grids={**names.grids, name: _dims(value, names)})
        elif like := _MADE_LIKE.fullmatch(text) or _LIKE_SIZES.fullmatch(text):
            made = Made(names.dims(like[2], declaration), like[1] == "zeros")
            names = replace(names, made={**names.made, name: made})
        elif of_size := _MADE.fullmatch(text):
            listed = next(walk(value, "initializer_list"), None)
            dims = tuple(_value(c, names) for c in (listed.named_children if listed is not None else []))
            names = replace(names, made={**names.made, name: Made(dims, of_size[1] == "zeros")})
        else:
            converted = _converted(_value(value, names), kind)
            names = replace(names, values={**names.values, name: converted})
    return names


def _call(statement: Node, names: Names) -> Call | None:
    """The launch that a statement makes; None where it is no launch."""
    call = statement.named_children[0] if statement.named_children else None
    if statement.type != "expression_statement" or call is None or call.type != "call_expression":
        return None
    chevrons = next((c for c in call.named_children if c.type == "kernel_call_syntax"), None)
    arguments = call.child_by_field_name("arguments")
    if chevrons is None or arguments is None:
        return None
    grid, block, *more = chevrons.named_children
    if (
        len(more) > 1
        and node_text(more[1]) not in {"0", "nullptr", *names.streams}
        and not _STREAM.fullmatch(node_text(more[1]))
    ):
        raise _too_much(more[1])
    return Call(
        kernel=node_text(call.child_by_field_name("function")),
        shared=_value(more[0], names) if more else "0",
        grid=_dims(grid, names),
        block=_dims(block, names),
        args=tuple(_argument(a, names) for a in arguments.named_children),
    )


def _argument(node: Node, names: Names) -> TensorRef | str:
    if node_text(node) in names.pointers:
        return TensorRef(names.pointers[node_text(node)])
    pointer = _POINTER.fullmatch(node_text(node))
    if pointer is None:
        return _value(node, names)
    names.dims(pointer[1], node)  # raises where there is no such tensor
    return TensorRef(pointer[1])


def _dims(node: Node, names: Names) -> Dims:
    """The dimensions that a dim3, its arguments, its name, or one number stands for."""
    text = node_text(node)
    if node.type == "identifier" and text in names.grids:
        return names.grids[text]
    if node.type in ("argument_list", "parameter_list"):
        return tuple(_value(c, names) for c in node.named_children)
    if text.startswith("dim3"):
        arguments = node.child_by_field_name("arguments")
        return tuple(_value(c, names) for c in (arguments.named_children if arguments is not None else []))
    return (_value(node, names),)


def _value(node: Node, names: Names) -> str:
    """A C++ expression of numbers as one over the task's axes."""
    text, children = node_text(node), node.named_children
    match node.type:
        case "number_literal":
            return _NUMBER_SUFFIX.sub("", text)
        case "identifier" | "type_identifier" if text in names.values:
            return names.values[text]
        case "parenthesized_expression" | "parameter_declaration" | "type_descriptor" if len(children) == 1:
            return _value(children[0], names)
        case "cast_expression":
            return _converted(_value(children[-1], names), node_text(node.child_by_field_name("type")))
        case "binary_expression":
            left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
            operator = _OPERATORS.get(node_text(node.child_by_field_name("operator")))
            if left is not None and right is not None and operator is not None:
                a, b = _value(left, names), _value(right, names)
                of_reals = operator == "//" and (_OF_REALS.search(a) or _OF_REALS.search(b))
                return f"({a} {'/' if of_reals else operator} {b})"
        case "subscript_expression" if of_sizes := _SIZES_INDEX.fullmatch(text):
            dims, index = names.dims(of_sizes[1], node), int(of_sizes[2])
            if -len(dims) <= index < len(dims):
                return f"({dims[index]})"
        case "sizeof_expression":
            size = _SIZES.get(re.sub(r"^sizeof\s*\(?|\)$", "", text).strip())
            if size is not None:
                return str(size)
        case "call_expression":
            value = _called(node, names)
            if value is not None:
                return value
    raise _too_much(node)


def _converted(value: str, c_type: str) -> str:
    """A value as one of a C++ type: a real number, or else an integer."""
    words = c_type.split()
    if "auto" in words:
        return value
    if any(word in _REAL for word in words):
        return f"float({value})"
    return f"int({value})" if _OF_REALS.search(value) else value


def _called(call: Node, names: Names) -> str | None:
    """The value of a call: a conversion, min, max, or a method of a tensor; None where it is none of these."""
    arguments = call.child_by_field_name("arguments")
    given = arguments.named_children if arguments is not None else []
    function = node_text(call.child_by_field_name("function"))
    tensor, _, method = function.partition(".")
    conversion = _CONVERSION.fullmatch(function)
    if conversion and len(given) == 1:
        return _converted(_value(given[0], names), conversion[1] or conversion[2])
    if function in _MINIMUM + _MAXIMUM and len(given) == 2:
        name = "min" if function in _MINIMUM else "max"
        return f"{name}({_value(given[0], names)}, {_value(given[1], names)})"
    if method == "numel" and not given:
        return _product(names.dims(tensor, call))
    if method == "size" and len(given) == 1 and re.fullmatch(r"-?\d+", node_text(given[0])):
        dims, index = names.dims(tensor, call), int(node_text(given[0]))
        if -len(dims) <= index < len(dims):
            return f"({dims[index]})"
    return None


def _launches(host: Host, device: Device, task: KernelTask) -> tuple[Launch, ...]:
    """The host function's launches on buffers of the task, after those that fill what it has zeroed."""
    buffers = {name: array for name, (array, _) in host.names.inputs.items()}
    buffers |= {name: f"made_{name}" for name in host.names.made} | {host.returned: task.outputs[0].name}
    fills = [_fill(buffers[name], _product(made.dims)) for name, made in host.names.made.items() if made.zeroed]
    return (*fills, *(_launch(call, buffers, device) for call in host.calls))


def _fill(buffer: str, count: str) -> Launch:
    return Launch(FILL, (f"ceil_div({count}, 256)",), (256,), 0, (TensorRef(buffer), Scalar("i64", count)))


def _launch(call: Call, buffers: Mapping[str, str], device: Device) -> Launch:
    """A call with buffers for tensors, and with the types of its kernel's parameters for numbers."""
    kernel = device.kernel(call.kernel)
    dtypes = [scalar_dtype(p.type) for p in kernel.parameters] if kernel is not None else []
    args: list[Argument] = []
    for index, argument in enumerate(call.args):
        if isinstance(argument, TensorRef):
            args.append(TensorRef(buffers[argument.name]))
        else:
            args.append(Scalar(dtypes[index] if index < len(dtypes) else "i32", argument))
    return Launch(call.kernel, call.grid, call.block, call.shared, tuple(args))


def _too_much(node: Node) -> InvalidCandidate:
    line, text = node.start_point[0] + 1, node_text(node)[:80]
    return InvalidCandidate(
        f"line {line}: this host code can't be converted: {text!r}; write a ```json launch block instead"
    )


def _blanked(code: str, node: Node) -> str:
    """The text with a node's characters made blank, newlines kept."""
    raw = code.encode()
    blank = re.sub(rb"[^\n]", b" ", raw[node.start_byte : node.end_byte])
    return (raw[: node.start_byte] + blank + raw[node.end_byte :]).decode()


def _product(dims: Dims) -> str:
    return "(" + " * ".join(f"({d})" for d in dims or ("1",)) + ")"
