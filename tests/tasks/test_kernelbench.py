"""KernelBench: problems become tasks at small sizes, candidates are judged by our rule and by theirs. Needs torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from semrep_jax.core.errors import TaskError
from semrep_jax.core.programs import Program, Status
from semrep_jax.cuda import CUDA
from semrep_jax.cuda.gate import RIGHT, difference, undetected
from semrep_jax.cuda.gpu.nvrtc import CompilerError
from semrep_jax.cuda.spec import sample_inputs
from semrep_jax.cuda.status import KernelStatus

torch = pytest.importorskip("torch", reason='KernelBench needs torch: pip install -e ".[kernelbench]"')

from semrep_jax.tasks.kernels import catalogue, kernelbench  # noqa: E402
from semrep_jax.tasks.settings import KernelBenchConfig  # noqa: E402
from semrep_jax.tasks.suite import SuiteRequest, draw  # noqa: E402

HEAD = "import torch\nimport torch.nn as nn\n"
SCALED = (
    HEAD
    + '''
class Model(nn.Module):
    """A linear layer, scaled and clipped."""
    def __init__(self, in_features, out_features, scale):
        super().__init__()
        self.linear = nn.Linear(in_features, out_features)
        self.scale = scale
    def forward(self, x):
        return torch.relu(self.linear(x) * self.scale)

batch = 1024 * 2
in_features = 8192
out_features = 4096
def get_inputs():
    return [torch.rand(batch, in_features)]
def get_init_inputs():
    return [in_features, out_features, 1.5]
'''
)
CONSTANT = (
    HEAD
    + """
class Model(nn.Module):
    def forward(self, x):
        y = torch.max(x, dim=1, keepdim=True).values
        return y - y.mean(dim=1, keepdim=True)

def get_inputs():
    return [torch.rand(1024, 1024)]
def get_init_inputs():
    return []
"""
)
RANDOM = CONSTANT.replace("return y - y.mean(dim=1, keepdim=True)", "return torch.dropout(x, 0.5, True)")
LOG = CONSTANT.replace("return y - y.mean(dim=1, keepdim=True)", "return torch.log(x)")
ODD = CONSTANT.replace("torch.rand(1024, 1024)", "torch.rand(1024, 3, 100003 // 2)").replace("dim=1", "dim=2")
BROKEN = "def get_inputs(:"
KERNEL = """```cuda
__global__ void k(const float* x, const float* w, const float* b, float* out, int rows, int in, int outs) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= rows * outs) return;
    float s = b[i % outs];
    for (int j = 0; j < in; j++) s += x[i / outs * in + j] * w[i % outs * in + j];
    out[i] = fmaxf(s * 1.5f, 0.0f);
}
```
```json
{"launch": [{"kernel": "k", "grid": ["ceil_div(out_0 * out_1, 128)"], "block": [128],
  "args": ["x", "linear_weight", "linear_bias", "out", "i32:out_0", "i32:x_1", "i32:out_features"]}]}
```"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with five problems."""
    folder = tmp_path / "KernelBench" / "level1"
    folder.mkdir(parents=True)
    for number, text in enumerate((SCALED, CONSTANT, RANDOM, LOG, BROKEN), 1):
        (folder / f"{number}_problem.py").write_text(text)
    return tmp_path


@pytest.fixture(scope="module")
def judge():
    from semrep_jax.cuda.judge import Judge

    try:
        with Judge() as one:
            yield one
    except CompilerError as error:
        pytest.skip(str(error))


def test_a_problem_becomes_a_task_at_small_different_sizes_with_its_weights_as_inputs():
    task = kernelbench.build("kb1_1", 1, SCALED)
    assert [a.name for a in task.inputs] == ["x", "linear_weight", "linear_bias"]
    assert [a.name for a in task.outputs] == ["out"]
    axes = task.small[0]
    assert len({axes["x_0"], axes["x_1"], axes["out_1"]}) == 3  # a swapped axis shows
    assert 1024 < axes["out_0"] * axes["out_1"] < 60_000  # many blocks
    assert max(task.edge[0].values()) < 16  # a part of one
    assert axes["x_1"] == axes["linear_weight_1"] == axes["in_features"] and task.small[0] != task.small[1]
    assert "class Model" in task.source and "linear_weight: f32[linear_weight_0, linear_weight_1]" in task.source
    assert undetected(task) == {RIGHT}


def test_the_oracle_is_the_module_in_float64_and_its_float32_answer_is_accepted():
    task = kernelbench.build("kb1_1", 1, SCALED)
    given = sample_inputs(task, task.small[0], 3)
    wide = {n: x.astype(np.float64) for n, x in given.items()}
    (wanted,) = task.oracle(given)
    np.testing.assert_allclose(
        wanted, np.maximum((wide["x"] @ wide["linear_weight"].T + wide["linear_bias"]) * 1.5, 0), rtol=1e-12, atol=1e-12
    )
    assert difference(task, task.small[0], given, {"out": wanted.astype(np.float32)}) is None
    own = sample_inputs(task, task.small[0], 0)  # signed draws beside the file's own
    assert (given["x"] < 0).any() and (own["x"] >= 0).all()


def test_a_module_that_fails_on_signed_inputs_keeps_its_own():
    task = kernelbench.build("kb1_4", 1, LOG)
    assert all((sample_inputs(task, task.small[0], seed)["x"] >= 0).all() for seed in range(5))


def test_a_candidate_is_judged_by_our_rule_and_by_the_published_tolerance_side_by_side(judge):
    task = kernelbench.build("kb1_1", 1, SCALED)
    right = judge.judge(task, KERNEL)
    assert right.status is Status.OK and right.facts["published"] is True, right.feedback
    coarse = judge.judge(task, KERNEL.replace("fmaxf(s * 1.5f", "fmaxf(s * 1.50005f"))
    # 3e-5 off: within 1e-4, not within rounding
    assert coarse.status is KernelStatus.NUMERIC and coarse.facts["published"] is True
    wrong = judge.judge(task, KERNEL.replace("1.5f", "1.6f"))
    assert wrong.status is KernelStatus.NUMERIC and wrong.facts["published"] is False
    assert judge.judge(task, "nothing").facts["published"] is False


def test_what_can_not_be_judged_is_named_and_what_accepts_constants_is_left_out(checkout, capsys):
    problems = {p.name: p for p in kernelbench.read(checkout, (1,))}
    assert [p.sound for p in problems.values()] == [True, False, False, True, False]
    assert "zeros" in problems["kb1_2"].weak
    assert "random" in problems["kb1_3"].reason and "not Python" in problems["kb1_5"].reason
    settings = KernelBenchConfig(checkout=str(checkout), levels=[1])
    suite = draw("kernelbench", SuiteRequest(10, 1234, None, settings))
    assert [t.id for t in suite.tasks] == ["kernel/kb1_1", "kernel/kb1_4"]
    messages = " ".join(capsys.readouterr().err.split())
    assert "2_problem.py is left out: it accepts" in messages and "3_problem.py is left out" in messages


def test_two_readings_of_a_checkout_are_the_same_tasks(checkout):
    one, two = ([p.task.sha256 for p in kernelbench.read(checkout, (1,)) if p.task] for _ in range(2))
    assert one == two and len(one) == 3
    task = catalogue.task(kernelbench.build("kb1_1", 1, SCALED), "test")
    assert task.source == Program(CUDA, task.details.source)


def test_a_missing_checkout_or_setting_is_named(tmp_path):
    with pytest.raises(kernelbench.KernelBenchError, match="holds no problem of level 1 or 2"):
        list(kernelbench.read(tmp_path))
    with pytest.raises(TaskError, match=r"evaluate\.kernelbench\.checkout: null"):
        draw("kernelbench", SuiteRequest(10, 1234, None, KernelBenchConfig()))
