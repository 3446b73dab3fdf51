"""Reading a candidate without running it: heads of functions, launch lists, host functions, launches at given axes."""

from __future__ import annotations

import json
import re

import pytest

from semrep_jax.cuda.candidate import inline
from semrep_jax.cuda.candidate.candidate import parse
from semrep_jax.cuda.candidate.expressions import ExpressionError, evaluate
from semrep_jax.cuda.candidate.launch_list import read_launch_list
from semrep_jax.cuda.candidate.launches import Launch, ResolvedLaunch, Scalar, Scratch, TensorRef
from semrep_jax.cuda.candidate.source import InvalidCandidate, clean, tree
from semrep_jax.cuda.syntax import LINKAGE, NAMESPACES, TEMPLATES, definitions, functions
from semrep_jax.cuda.syntax import parse as parse_code
from semrep_jax.tasks.kernels.builtin import TASKS

LAUNCH = {"kernel": "k", "grid": ["ceil_div(N, 256)"], "block": [256], "args": ["x", "i32:N"]}


def test_the_head_of_a_function_is_read_with_its_parameters():
    code = """
    template <typename T, int W = 32> __global__ void k(const float* __restrict__ x, T y[], unsigned  int n = 3, T*) {}
    namespace inner { __device__ float& f(float& v) { return v; } }
    extern "C" { __global__ void g() {} }
    """
    root = parse_code(code.encode())
    assert [f.name for f in functions(root)] == ["k", "g"]
    assert [d.node.start_point[0] for d in definitions(root, TEMPLATES | LINKAGE | NAMESPACES)] == [1, 2, 3]
    kernel, other = functions(root)
    assert kernel.is_kernel and kernel.template == ("T", "W") and kernel.line == 2 and other.template is None
    x, y, n, unnamed = kernel.parameters
    assert (x.name, x.type, x.pointer, x.is_buffer, x.const, x.restrict) == ("x", "float", True, True, True, True)
    assert (y.name, y.pointer, y.is_buffer, y.const) == ("y", False, True, False)
    assert (n.type, n.optional, unnamed.name) == ("unsigned int", True, "")
    assert set(kernel.pointers) == {"x"}


def test_a_launch_list_becomes_typed_launches_and_scratch_buffers():
    text = json.dumps(
        {"launch": [LAUNCH | {"grid": 4, "smem": "4 * N"}], "scratch": {"partial": " f32 [ceil_div(N, 2)] "}}
    )
    launches, scratch = read_launch_list(text, {"x", "y"})
    assert launches == (Launch("k", (4,), (256,), "4 * N", (TensorRef("x"), Scalar("i32", "N"))),)
    assert scratch == {"partial": Scratch("f32", "ceil_div(N, 2)")}
    assert read_launch_list(json.dumps([LAUNCH]), ()) == read_launch_list(json.dumps({"launch": [LAUNCH]}), ())


@pytest.mark.parametrize(
    ("block", "says"),
    [
        (3, "must be {"),
        ({"launches": [LAUNCH]}, "at least one launch"),
        ({"launch": [LAUNCH | {"args": 3}], "stream": 0}, "unknown keys ['stream']; known are launch and scratch"),
        ([LAUNCH] * 65, "65 launches; at most 64"),
        ({"launch": [LAUNCH], "scratch": ["a"]}, "at most 16"),
        ({"launch": [LAUNCH], "scratch": {f"s{i}": "f32[N]" for i in range(17)}}, "at most 16"),
        ({"launch": [{}], "scratch": {"x": "f32[N]"}}, "scratch 'x': 'f32[N]'; write"),
        ({"launch": [LAUNCH], "scratch": {"s": "f31[N]"}}, "scratch 's': 'f31[N]'; write"),
        ([LAUNCH, {"grid": [1]}], "launch 2 must be {"),
        ([LAUNCH | {"stream": 1, "args": None}], "launch 1: unknown keys ['stream']; known are kernel, grid"),
        ([LAUNCH | {"args": ["x", 3]}], "launch 1: args must be a list of strings"),
        ([LAUNCH | {"block": 1.5}], "launch 1: block must be one to three expressions"),
        ([LAUNCH | {"grid": True}], "launch 1: grid must be one to three expressions"),
        ([LAUNCH | {"kernel": "k\ud800"}], "surrogates not allowed"),
    ],
)
def test_of_several_mistakes_in_a_launch_list_the_first_that_helps_is_told(block, says):
    with pytest.raises(InvalidCandidate, match=re.escape(says)):
        read_launch_list(json.dumps(block), {"x", "y"})


HOST = """
__global__ void k(const float* x, float* y, float by, long long n) { }
torch::Tensor run(torch::Tensor input) {
    TORCH_CHECK(input.is_cuda());
    auto n = input.numel();
    auto half = torch::zeros({n / 2, 3});
    auto out = torch::empty_like(input);
    const dim3 grid((n + 255) / 256, std::min(n, 4));
    k<<<grid, 256, 2 * sizeof(float)>>>(input.data_ptr<float>(), half.data_ptr<float>(), 3, n);
    k<<<1, 32>>>(half.data_ptr<float>(), out.data_ptr<float>(), n, n);
    return out;
}
"""


def test_a_host_function_is_read_into_calls_without_changing_anything():
    (definition,) = [d for d in definitions(tree(HOST), TEMPLATES) if "run" in d.function().name]
    host = inline.read_host(definition, TASKS["relu"])
    assert host == inline.read_host(definition, TASKS["relu"])
    assert host.returned == "out" and host.names.inputs == {"input": ("x", ("N",))}
    assert host.names.made == {"half": inline.Made(("(((N)) // 2)", "3"), True), "out": inline.Made(("N",), False)}
    first, second = host.calls
    assert (first.grid, first.block) == (("((((N)) + 255) // 256)", "min(((N)), 4)"), ("256",))
    assert first.shared == "(2 * 4)" and second.shared == "0"
    assert first.args == (TensorRef("input"), TensorRef("half"), "3", "((N))")


def test_a_converted_host_function_has_buffers_for_tensors_and_its_kernels_types_for_numbers():
    device, (fill, first, second), scratch = inline.convert(HOST, TASKS["relu"])
    assert set(device.kernels) == {"k", inline.FILL} and set(scratch) == {"made_half"}
    assert fill.kernel == inline.FILL and fill.args[0] == TensorRef("made_half")
    assert first.args == (TensorRef("x"), TensorRef("made_half"), Scalar("f32", "3"), Scalar("i64", "((N))"))
    assert second.args[:2] == (TensorRef("made_half"), TensorRef("y"))


@pytest.mark.parametrize(
    ("declaration", "argument", "value"),
    [
        ("float inv = 1.0f / n;", "inv", 1 / 9),
        ("auto inv = 1.f / n;", "inv", 1 / 9),
        ("float f = n; float half = 1 / f;", "half", 1 / 9),
        ("", "1 / (float)n", 1 / 9),
        ("", "1 / static_cast<float>(n)", 1 / 9),
        ("", "float(n) / 2", 4.5),
        ("int k = n * 0.5f;", "k", 4),
        ("", "(int)(n * 0.5f)", 4),
        ("", "n / 2", 4),
    ],
)
def test_a_host_functions_division_is_of_reals_where_one_side_is(declaration, argument, value):
    host = """
__global__ void k(const float* x, float* y, float v) { }
torch::Tensor run(torch::Tensor x) {
    int n = x.numel();
    auto y = torch::empty_like(x);
    %s
    k<<<1, 32>>>(x.data_ptr<float>(), y.data_ptr<float>(), %s);
    return y;
}
"""
    _, (launch,), _ = inline.convert(host % (declaration, argument), TASKS["relu"])
    assert evaluate(launch.args[2].expression, {"N": 9}) == pytest.approx(value)


def test_a_number_that_its_type_does_not_hold_is_named():
    code = "__global__ void k(const float* x, float* y, unsigned n) { }"
    candidate = parse(
        f"```cuda\n{code}\n```\n```json\n{json.dumps([LAUNCH | {'args': ['x', 'y', 'u32:N - 5']}])}\n```", TASKS["relu"]
    )
    assert candidate.at({"N": 5}).launches
    for axes in (4, 2**32 + 5):
        with pytest.raises(ExpressionError, match="u32 holds 0 to 4294967295"):
            candidate.at({"N": axes}).launches  # noqa: B018


def test_a_candidate_is_parsed_once_and_asked_at_any_axes():
    code = "__global__ void k(const float* x, float* y, float* s, int n) { }"
    block = {"launch": [LAUNCH | {"args": ["x", "y", "s", "i32:N"]}], "scratch": {"s": "f32[N - 10]"}}
    candidate = parse(f"```cuda\n{code}\n```\n```json\n{json.dumps(block)}\n```", TASKS["relu"])
    (launch,) = candidate.at({"N": 1000}).launches
    assert launch == ResolvedLaunch("k", (4, 1, 1), (256, 1, 1), 0, ("x", "y", "s", ("i32", 1000)))
    assert candidate.at({"N": 1000}).scratch == {"s": ("f32", 990)}
    assert candidate.at({"N": 1}).launches[0].grid == (1, 1, 1)
    with pytest.raises(ExpressionError, match="length of scratch 's'"):
        candidate.at({"N": 1}).scratch  # noqa: B018
    with pytest.raises(ExpressionError, match=r"launch 1 \(k\): grid"):
        candidate.at({"N": 0}).launches  # noqa: B018


def test_an_integer_argument_that_comes_out_as_a_fraction_is_refused_and_not_cut():
    code = "__global__ void k(const float* x, float* y, int n) { }"
    block = json.dumps({"launch": [LAUNCH | {"args": ["x", "y", "i32:N/2"]}]})
    halves = parse(f"```cuda\n{code}\n```\n```json\n{block}\n```", TASKS["relu"])
    assert halves.at({"N": 1000}).launches[0].args[2] == ("i32", 500)
    with pytest.raises(ExpressionError, match=r"i32:N/2 is 500\.5, no whole number; write //"):
        halves.at({"N": 1001}).launches  # noqa: B018


INLINE = """
from torch.utils.cpp_extension import load_inline

code = '''
#include <torch/extension.h>
#include <c10/cuda/CUDAStream.h>
#define WIDTH 64
constexpr int DEPTH = WIDTH / 16;

__global__ void half(const float* x, float* y, int n) {
    int i = blockIdx.x * WIDTH * DEPTH + threadIdx.x;
    if (i < n) y[i] = fmaxf(x[i], 0.0f);
}

torch::Tensor halved(torch::Tensor x) {
    auto given = x.contiguous();
    auto options = given.options();
    auto stream = at::cuda::getCurrentCUDAStream();
    auto y = torch::empty_like(given);
    const float* from = given.data_ptr<float>();
    int n = given.numel();
    half<<<(n + WIDTH * DEPTH - 1) / (WIDTH * DEPTH), WIDTH * DEPTH, 0, stream>>>(from, y.data_ptr<float>(), n);
    return y;
}
'''
op = load_inline(name="op", cpp_sources="torch::Tensor halved(torch::Tensor x);", cuda_sources=code)


class ModelNew:
    def forward(self, x):
        BODY
"""


@pytest.mark.parametrize(
    "body",
    [
        "return op.halved(x)",
        "x = x.cuda().contiguous()\n        out = self.op.halved(x)\n        return out",
        "return self.run(x)\n    def run(self, t):\n        return op.halved(t.cuda())",
        "return self.act(x)\n    def __init__(self):\n        self.own = op\n        self.act = self.own.halved",
        'return op.twice(x)\n# m.def("twice", &halved)',
    ],
)
def test_macros_constants_streams_and_contiguous_inputs_of_a_host_function_are_read(body):
    (launch,) = parse(INLINE.replace("BODY", body), TASKS["relu"]).at({"N": 1000}).launches
    assert launch.grid == (4, 1, 1) and launch.block == (256, 1, 1)
    assert launch.args == ("x", "y", ("i32", 1000))


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ("return op.halved(x).sum()", "op.halved(x).sum()"),
        ("return 2 * op.halved(x)", "2 * op.halved(x)"),
        ("return torch.relu(op.halved(x))", "torch.relu(op.halved(x))"),
        ("return torch.relu(x)", "torch.relu(x)"),
        ("return op.halved(x * 2)", "x * 2"),
        ("x = x * 2\n        return op.halved(x)", "x = x * 2"),
        ("if x.sum() > 0:\n            return x\n        return op.halved(x)", "if x.sum() > 0:"),
        ("return self.act(x)\n    def __init__(self):\n        self.act = nn.ReLU()", "self.act(x)"),
        ("return self.run(x)\n    def run(self, t):\n        return torch.relu(t)", "torch.relu(t)"),
        ("run = lambda t: t.relu()\n        return run(x)", "run(x)"),
        ("return op.quick(x)", "op.quick(x)"),
        ("return op.halved(x)\nop.halved = torch.relu", "op.halved(x)"),
        ("return op.halved(x)\nModelNew.forward = torch.relu", "ModelNew.forward = torch.relu"),
        ("return op.halved(x)\n    def __call__(self, x):\n        return torch.relu(x)", "torch.relu(x)"),
        ('return op.halved(x)\nsetattr(ModelNew, "forward", torch.relu)', "setattr(ModelNew, 'forward', torch.relu)"),
        ("return self.run(x)\n    @swapped\n    def run(self, t):\n        return op.halved(t)", "'swapped'"),
        ("return relu(x)\nfrom torch.nn.functional import relu", "relu(x)"),
    ],
)
def test_a_python_side_that_computes_is_no_answer_of_the_cuda_code(body, shown):
    with pytest.raises(InvalidCandidate, match=re.escape(shown)) as refused:
        parse(INLINE.replace("BODY", body), TASKS["relu"])
    assert not refused.value.banned


def in_two_blocks(text: str) -> str:
    """The C++ in one block, the Python in another."""
    python, code, loads = text.partition("code = '''")[0], text.split("'''")[1], text.split("'''")[2]
    return f"```cuda\n{code}```\nand\n```python\n{python}{loads}```\n"


WAYS_TO_ANSWER = {
    "bare": lambda text: text,
    "python": lambda text: f"Here it is.\n```python\n{text}```\nIt is fast.",
    "py": lambda text: f"```py\n{text}```",
    "cpp": lambda text: f"```cpp\n{text}```",
    "no tag": lambda text: f"```\n{text}```",
    "prose around": lambda text: f"Here is the model:\n{text}\nIt is (about 2x) fast.",
    "two blocks": in_two_blocks,
}


@pytest.mark.parametrize("way", WAYS_TO_ANSWER)
def test_the_python_side_is_read_however_an_answer_is_set(way):
    answer = WAYS_TO_ANSWER[way]
    assert len(parse(answer(INLINE.replace("BODY", "return op.halved(x)")), TASKS["relu"]).launches) == 1
    for body in ("return op.halved(x) * 2.0", "return op.halved(x=x)", "return op.halved(x, x)"):
        with pytest.raises(InvalidCandidate, match=re.escape(body.removeprefix("return "))):
            parse(answer(INLINE.replace("BODY", body)), TASKS["relu"])


def test_a_python_side_that_can_not_be_read_is_refused():
    text = INLINE.replace("BODY", "return op.halved(x)")
    for broken in (f"```python\n{text}    def : pass\n```", f"{text}\nand so on\ndef more(): pass\n"):
        with pytest.raises(InvalidCandidate, match="the Python side can't be read, from 'from torch"):
            parse(broken, TASKS["relu"])
    for long in (text + "x" * 70_000, text + "forward " * 8_000 + "\n"):
        with pytest.raises(InvalidCandidate, match="at most 60000 are taken"):
            parse(long, TASKS["relu"])
    for one_line in ("load_inlin " * 5_000, "class a" + ":" * 50_000 + "x"):  # nothing here is Python, at any length
        assert len(parse(f"{text}\n{one_line}\n", TASKS["relu"]).launches) == 1
    awaited = text.replace("def forward", "async def forward")
    with pytest.raises(InvalidCandidate, match="this line of the Python side"):
        parse(awaited, TASKS["relu"])


@pytest.mark.parametrize(
    ("statement", "taken"),
    [
        ("cudaError_t error = cudaGetLastError();", True),
        ("TORCH_CHECK(cudaGetLastError() == cudaSuccess);", True),
        ('if (cudaGetLastError() != cudaSuccess) { printf("no"); }', True),
        ("if (cudaGetLastError() != cudaSuccess) { return x; }", False),
        ("static auto kept = torch::empty_like(x);", False),
        ('AT_DISPATCH_ALL(x.scalar_type(), "f", [&] { half<<<1, 1>>>(from, y.data_ptr<float>(), n); });', False),
        ("const at::cuda::OptionalCUDAGuard guard(device_of(x));", True),
        ("int rows = x.sizes()[0];", True),
        ("auto other = torch::empty(x.sizes(), x.options());", True),
    ],
)
def test_error_checks_of_a_host_function_are_read_over_and_what_outlives_a_call_is_refused(statement, taken):
    text = INLINE.replace("BODY", "return op.halved(x)").replace("    return y;", f"    {statement}\n    return y;")
    if taken:
        assert len(parse(text, TASKS["relu"]).launches) == 1
    else:
        with pytest.raises(InvalidCandidate, match="this host code can't be converted"):
            parse(text, TASKS["relu"])


@pytest.mark.parametrize("name", ["outer::inner::up", "inner::up", "up"])
def test_a_kernel_in_a_namespace_is_named_with_it_or_without(name):
    code = "namespace outer { namespace inner { __global__ void up(const float* x, float* y, int n) { } } }"
    args = '"args": ["x", "y", "i32:N"]'
    launch = f'{{"launch": [{{"kernel": "{name}", "grid": [1], "block": [1], {args}}}]}}'
    candidate = parse(f"```cuda\n{code}\n```\n```json\n{launch}\n```", TASKS["relu"])
    assert candidate.addresses == {name: "outer::inner::up"}


def test_calls_of_functions_that_have_barriers_are_told_to_the_runtime_and_no_others():
    text = (
        "template <int N> __device__ float put(float v) { __syncthreads(); return v; }\n"
        "__device__ float twice(float v) { return put<2>(put<1>(v)); }\n"
        "__device__ float plain(float v) { return v; }\n"
        "__global__ void k(float* y) { auto wait = [&] { block.sync(); }; wait(); y[0] = twice(plain(y[1])); }\n"
    )
    told = clean(text).emulated
    assert told.replace("((void)::semrep::Call(), ", "[").splitlines()[1] == (
        "__device__ float twice(float v) { return [put<2>([put<1>(v)))); }"
    )
    assert "((void)::semrep::Call(), wait()); y[0] = ((void)::semrep::Call(), twice(plain(y[1])));" in told
    assert told.count("semrep::Call") == 4 and told.count("\n") == text.count("\n")
