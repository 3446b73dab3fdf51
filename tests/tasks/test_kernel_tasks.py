"""Kernels as tasks: what counts as a copy, what earns what, two disjoint splits, and both stages over them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from semrep_jax import main, prompts, rewards
from semrep_jax.core.errors import TaskError
from semrep_jax.core.programs import Completion, Duplicate, Finish, Program, Status, Verdict
from semrep_jax.core.stop import Stop
from semrep_jax.cuda import CUDA
from semrep_jax.cuda import canonical as cuda
from semrep_jax.cuda.gpu.nvrtc import CompilerError
from semrep_jax.cuda.status import KernelStatus
from semrep_jax.jobs.config import build
from semrep_jax.languages import canonical, distance
from semrep_jax.model.pretrained import PretrainedModel
from semrep_jax.rewards import RewardConfig
from semrep_jax.tasks.kernels import builtin, catalogue
from semrep_jax.tasks.source import SourceRequest, TaskSource
from semrep_jax.train import stages
from semrep_jax.train.arms import ARMS
from semrep_jax.train.budget import REWRITE, TRANSFORM, Budget
from semrep_jax.train.trainer import Recipe, Trainer
from semrep_jax.verify import Verifier

RELU = catalogue.task(builtin.TASKS["relu"], "test")
RENAMED = """Here it is.
```cuda
// the same, dressed up
__global__ void other(const float* __restrict__ input, float* __restrict__ y, int N) {
    int at = blockIdx.x * blockDim.x + threadIdx.x; if (at >= (N)) return;
    float value = input[at]; y[at] = fmaxf(value, 0.f);
}
```
```json
[{"kernel": "other", "grid": "ceil_div((N),256)", "block": 256, "args": ["x", "y", "i32:N"]}]
```
I hope it helps."""
STRIDED = """```cuda
__global__ void relu(const float* x, float* y, int n) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        y[i] = x[i] > 0.0f ? x[i] : 0.0f;
}
```
```json
{"launch": [{"kernel": "relu", "grid": [4], "block": [128], "args": ["x", "y", "i32:N"]}]}
```"""
WRONG = STRIDED.replace("x[i] > 0.0f ? x[i] : 0.0f", "x[i]")
WEIGHTS = RewardConfig()


def r_sem(verdict: Verdict) -> float:
    return rewards.total(rewards.r_sem(verdict, WEIGHTS))


def r_inst(verdict: Verdict) -> float:
    return rewards.total(rewards.r_inst(verdict, WEIGHTS))


@pytest.fixture(scope="module")
def kernels(sandbox) -> Iterator[Verifier]:
    """A verifier that can judge kernels."""
    one = Verifier(sandbox)
    try:
        one.judge_of(CUDA)
    except CompilerError as error:
        pytest.skip(str(error))
    yield one
    one.close()


def verdict(kernels: Verifier, text: str):
    program, why = prompts.extract(text, CUDA)
    return kernels.verify_all([(RELU, program or why)])[0]


def test_the_canonical_form_of_cuda_forgets_names_numbers_and_layout_and_nothing_else():
    program, _ = prompts.extract(RENAMED, CUDA)
    assert program is not None and "Here it is" not in program.source and "I hope" not in program.source
    one = cuda.canonical(program.source)
    assert one == cuda.canonical(
        RENAMED.replace("other", "third").replace("0.f", "0.0f").replace("// the same, dressed up", "")
    )
    for old, new in (
        ("__restrict__ y", "y"),
        ("0.f", "1.f"),
        ("fmaxf", "fminf"),
        ("256", "128"),
        ("value = input", "value = 2 * input"),
    ):
        assert one != cuda.canonical(program.source.replace(old, new)), old


def test_scratch_buffers_are_numbered_and_a_form_without_code_is_none():
    def text(name: str) -> str:
        launch = {"scratch": {name: "f32[N]"}, "launch": [{"kernel": "k", "grid": [1], "block": [1], "args": [name]}]}
        return f"```cuda\n__global__ void k(float* p) {{ p[0] = 1; }}\n```\n```json\n{json.dumps(launch)}\n```"

    assert cuda.canonical(text("partial")) == cuda.canonical(text("tmp"))
    assert cuda.canonical("") is None and cuda.canonical("```json\n{}\n```") is None
    assert cuda.canonical("__global__ void broken(((") is not None


@pytest.mark.parametrize("grid", [r'"\ud800"', f'"{"1+" * 60_000}1"', f'"{"-" * 100_000}1"', '"("', "null", "1e999"])
def test_a_launch_list_of_whatever_a_model_writes_has_a_canonical_form(grid):
    block = f'[{{"kernel": "k", "grid": [{grid}], "block": [1], "args": ["x", 3, "i32:N"]}}]'
    assert cuda.canonical(f"```cuda\n__global__ void k() {{ }}\n```\n```json\n{block}\n```") is not None


@pytest.mark.parametrize(
    "fields",
    [
        {"shared": 0},
        {"smem": "0"},
        {"block": [256, 1, 1]},
        {"block": ["128 + 128"]},
        {"grid": ["ceil_div( N,256 )", 1]},
        {"grid": "ceil_div(N, 256)"},
    ],
    ids=str,
)
def test_a_launch_list_that_says_the_same_in_more_words_makes_no_other_program(fields):
    usual = {"kernel": "k", "grid": ["ceil_div(N, 256)"], "block": [256], "args": ["x", "y", "i32:N"]}
    code = "__global__ void k(const float* x, float* y, int n) { y[0] = x[0]; }"

    def text(launch: object) -> str:
        return f"```cuda\n{code}\n```\n```json\n{json.dumps(launch)}\n```"

    source = text([usual])
    assert cuda.canonical(text([usual | fields])) == cuda.canonical(source)
    assert cuda.canonical(text({"scratch": {"unused": "f32[N]"}, "launch": [usual]})) == cuda.canonical(source)
    for other in ({"block": [128]}, {"shared": 4}, {"grid": [1]}, {"block": [256, 2]}):
        assert cuda.canonical(text([usual | other])) != cuda.canonical(source), other


NESTED = {
    "parentheses": "__global__ void k() {" + "(" * 20_000,
    "namespaces": "namespace a {" * 3_000 + "__global__ void k() {}" + "}" * 3_000,
    "braces": "{" * 50_000,
    "lists": f"```cuda\n__global__ void k() {{}}\n```\n```json\n{'[' * 900}{']' * 900}\n```",
    "odd arguments": '```cuda\nint x;\n```\n```json\n{"launch": [{"args": 7}, 3], "scratch": {"a": 1}}\n```',
    "objects": "```cuda\nint x;\n```\n```json\n" + '{"a":' * 900 + "1" + "}" * 900,
}


@pytest.mark.parametrize("text", NESTED.values(), ids=NESTED)
def test_a_text_that_nests_without_end_is_a_verdict_and_no_crash(text, kernels):
    assert verdict(kernels, text).status in (Status.FORMAT, Status.COMPILE)
    cuda.canonical(text)


def test_the_distance_grows_from_a_copy_over_a_variant_to_another_program():
    a, b, c = (Program(CUDA, t) for t in (RELU.source.source, STRIDED, builtin.TASKS["softmax"].source))
    assert distance(a, a) == 0.0 and 0.0 < distance(a, b) < 1.0 and 0.0 < distance(a, c) <= 1.0


def test_a_copy_of_a_kernel_is_equivalent_and_earns_nothing_in_stage_one_and_less_in_stage_two(kernels):
    exact, renamed, rewritten = (verdict(kernels, t) for t in (RELU.source.source, RENAMED, STRIDED))
    assert (exact.duplicate, renamed.duplicate, rewritten.duplicate) == (
        Duplicate.EXACT,
        Duplicate.CANONICAL,
        Duplicate.NONE,
    )
    assert exact.equivalent and renamed.equivalent and rewritten.equivalent and rewritten.correct
    assert not exact.correct and not renamed.correct and "same program" in renamed.feedback
    assert [r_sem(v) for v in (exact, renamed)] == [0.0, 0.0] and r_sem(rewritten) == pytest.approx(1.0)
    assert r_inst(renamed) == pytest.approx(0.4) and r_inst(rewritten) == pytest.approx(1.0)


def test_a_wrong_kernel_earns_what_compiling_earns_and_a_text_without_one_nothing(kernels):
    wrong, none = verdict(kernels, WRONG), verdict(kernels, "I can't do that.")
    assert wrong.status is KernelStatus.NUMERIC and r_inst(wrong) == pytest.approx(0.1)
    assert none.status is Status.FORMAT and "__global__" in none.feedback and r_inst(none) == 0.0


def test_a_measured_speed_up_pays_correct_kernels_only_and_up_to_sixteen_times(kernels):
    from dataclasses import replace

    right, wrong = verdict(kernels, STRIDED), verdict(kernels, WRONG)
    paid = [r_inst(replace(right, speedup=s)) - r_inst(right) for s in (0.5, 1.0, 4.0, 16.0, 1e9)]
    assert paid == pytest.approx([0.0, 0.0, 0.25, 0.5, 0.5])
    assert r_inst(replace(wrong, speedup=16.0)) == pytest.approx(0.1)


def test_a_hundred_held_out_tasks_share_no_name_with_training_and_any_is_found_again():
    held_out, training = catalogue.held_out(), catalogue.training(60, 1)
    assert len(held_out) == 100 == len({t.id for t in held_out}) and {t.split for t in held_out} == {"test"}
    assert not {canonical(t.source) for t in held_out} & {canonical(t.source) for t in training}
    for task in (*held_out, *training):
        assert catalogue.find(task.preserve.entry).sha256 == task.details.sha256
    with pytest.raises(TaskError, match="frobnicate"):
        catalogue.find("chain_frobnicate_relu")
    with pytest.raises(TaskError, match="soft"):
        catalogue.find("softmx")


class Scripted:
    """Completions as given, in the place of sampled ones."""

    def __init__(self, texts: list[str], tokenizer, usage):
        self.texts, self.tokenizer, self.usage, self.params = texts, tokenizer, usage, None

    def sample(self, prompts, n, temperature, key, rows=None, prompt_ids=None, finished=lambda place, said: None):
        ids = [tuple(self.tokenizer.encode(t)) for t in self.texts[:n]]
        said = [Completion(t, i, (-1.0,) * len(i), Finish.STOP) for t, i in zip(self.texts, ids, strict=False)]
        for place in range(len(prompts)):
            finished(place, said)
        return [said for _ in prompts]


def test_a_step_of_either_stage_rewards_a_right_rewrite_above_a_copy_and_a_wrong_one(
    kernels, tiny: PretrainedModel, tmp_path
):
    rollout = {"prompts": 1, "group": 4, "max_prompt": 2048, "bucket": 2048, "max_new": 640, "rewrites": 1}
    config = build({"job": "train", "train": {"budget": 2, "order": "hard_first"}, "rollout": rollout})
    recipe = Recipe(0, config.rollout, config.reward, config.train, {})
    source = TaskSource(lambda request: [RELU] * request.count)
    of_arm = stages.build(source, SourceRequest(2, 1), config.reward, ARMS["semrep"], 0.5)
    trainer = Trainer(recipe, of_arm, Budget(2, 0.5), tiny, kernels, tmp_path, Stop())
    for stage in (REWRITE, TRANSFORM):
        trainer.policy = Scripted([STRIDED, RENAMED, WRONG, "no"], tiny.tokenizer, trainer.policy.usage)
        result = trainer.step()
        reward = [row["reward"] for row in result.samples]
        assert reward[0] > max(reward[1:]) and reward[3] == 0.0, stage
        metrics = result.metrics
        assert (metrics["stage"], metrics["correct"], metrics["kept_groups"]) == (stage, 0.25, 1.0)
        assert metrics["grad_norm"] > 0
    assert trainer.draws[REWRITE].waiting and not trainer.draws[TRANSFORM].waiting  # a quarter right: to come again
    # an accepted rewrite was in the prompt of stage 2
    assert {row["c_rep"] for row in result.samples} == {prompts.extract(STRIDED, CUDA)[0].source}


def test_training_on_kernels_runs_to_its_report_without_a_gpu_and_says_so(kernels, tmp_path, capsys):
    path = tmp_path / "c.yaml"
    path.write_text(f"""
job: train
work_dir: {tmp_path / "run"}
model: {{source: nano}}
tasks: {{source: kernels, train_size: 4, kernels: {{difficulty: [3, 1]}}}}
rollout: {{prompts: 1, group: 2, max_prompt: 1024, bucket: 1024, max_new: 16}}
train: {{budget: 2, order: easy_first}}
evaluate: {{suites: [kernels], tasks: 2, samples: 1, batch: 2, resamples: 100}}
""")
    assert main.main(["--config", str(path)]) == 0
    lines = (tmp_path / "run" / "arms" / "semrep" / "samples.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["difficulty"] == "1"
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["suites"]["kernels"]["tasks"] == 2 and "kernels/T1" in results["arms"]["semrep"]
    assert "right in emulation" in (tmp_path / "run" / "report.html").read_text()
    assert "No GPU timed them" in capsys.readouterr().out
