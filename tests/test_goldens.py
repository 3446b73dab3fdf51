"""What the same seeds gave before the rooms were rebuilt they give today: texts, tasks, verdicts, packed tokens, to the
bit.

`goldens.json` holds the values. A change that is meant to alter one of them says so, and writes the file again with

    python tests/test_goldens.py
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from random import Random

import pytest

from semrep_jax.core.programs import Program, Tests
from semrep_jax.cuda.candidate.candidate import from_file
from semrep_jax.cuda.judge import Judge
from semrep_jax.data.loader import Blocks, Loader
from semrep_jax.data.settings import SupervisedConfig
from semrep_jax.data.sources import open_sources
from semrep_jax.languages import LANGUAGES
from semrep_jax.mining.examine import examine
from semrep_jax.mining.part import RuleCounts
from semrep_jax.mining.settings import MineConfig
from semrep_jax.model import tokenizer
from semrep_jax.model.pretrained import NANO
from semrep_jax.python.extract import Candidate
from semrep_jax.sandbox.pool import Sandbox
from semrep_jax.tasks.generated.generator import Generator
from semrep_jax.tasks.kernels import builtin, catalogue
from semrep_jax.tasks.suite import SuiteRequest, draw
from semrep_jax.verify import Verifier

HERE = Path(__file__).parent
KERNELS = {
    "conformance/squares_then_sums.cu": "mse_loss",
    "exploits/missing_barrier.cu": "sum",
    "exploits/zeros.cu": "relu",
}
MINED = '''def digits(text: str, most: int = 7) -> int:
    """The sum of the digits.

    >>> digits("a1b22")
    5
    """
    total = 0
    for c in text:
        if c.isdigit() and total < most:
            total += int(c)
    return total
'''


def digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def rewritten_python() -> str:
    """Forty chains of rules over generated functions."""
    generator = Generator(seed=3)
    texts = []
    for i in range(40):
        made = LANGUAGES["python"].rewrite(Program("python", generator.example(i).source), Random(i), 3, None)
        texts.append(made and [made.program.source, made.rules])
    return digest(*texts)


def rewritten_cuda() -> str:
    """Chains of rules over twelve operators."""
    texts = []
    for i, name in enumerate(sorted(builtin.HELD_OUT)[::8]):
        made = LANGUAGES["cuda"].rewrite(Program("cuda", builtin.TASKS[name].source), Random(i), 2, None)
        texts.append([name, made and [made.program.source, made.rules]])
    return digest(*texts)


def training_tasks() -> str:
    """The first tasks of both stages, and of the chains of kernels."""
    generator = Generator(seed=1)
    streams = (
        generator.tasks(),
        generator.tasks(rewriting=True),
        generator.tasks(rewriting=True, bug_preserving=False),
    )
    drawn = [next(stream) for stream in streams for _ in range(12)]
    return digest(*[(t.id, t.source.source, t.instruction, plain(t.preserve), plain(t.edit)) for t in drawn],
                  *[(t.id, t.source.source) for t in catalogue.training(6, 1)])  # fmt: skip


def plain(tests: Tests) -> list[object]:
    return [tests.entry, tests.tolerance, *[[c.args, *vars(c.expected).values()] for c in tests.cases]]


def suite_tasks(sandbox: Sandbox) -> str:
    """The held-out suites."""
    verifier = Verifier(sandbox)
    found = [
        (t.id, t.source.source, t.instruction, plain(t.preserve), plain(t.edit))
        for name in ("correctness", "new_families", "new_kinds", "robustness", "humaneval", "kernels")
        for t in draw(name, SuiteRequest(6, 1234, verifier)).tasks
    ]
    return digest(*found)


def suite_hashes(sandbox: Sandbox) -> dict[str, str]:
    """The suites' content hashes, which the draws of an evaluation depend on."""
    names = ("correctness", "new_families", "new_kinds", "robustness", "humaneval", "kernels")
    return {name: draw(name, SuiteRequest(6, 1234, Verifier(sandbox))).sha256 for name in names}


def packed_batch(directory: Path) -> str:
    """Two batches of the warm start's stream, of generated examples."""
    nano = tokenizer.load(NANO)
    sources = open_sources(SupervisedConfig(), 5, nano, Generator(seed=5), directory)
    loader = Loader(Blocks(sources, 5, row_length=256, block=64, prompt_weight=0.2), rows=6)
    batches = [next(loader) for _ in range(2)]
    loader.close()
    return digest(*[[name, getattr(b, name).tolist()] for b in batches for name in sorted(b._fields)])


def mined_function(sandbox: Sandbox, other: Sandbox) -> str:
    """A function's rewrites and bugs; not its tests, whose inputs are Hypothesis's."""
    candidate = Candidate("pouch.digits", "pouch", "digits", MINED, (("a1b22",),))
    found = examine(candidate, sandbox, other, MineConfig(), RuleCounts())
    pairs = [(p["id"], p["rewrite"], p["rules"]) for p in found.pairs]
    return digest(pairs, [(f["id"], f["source"], f["instruction"], f["target"]) for f in found.fixes])


def judged_kernels() -> list[list[object]]:
    """Status, executions passed and feedback of three candidates."""
    found: list[list[object]] = []
    with Judge(1) as judge:
        for name, task in KERNELS.items():
            v = judge.judge(builtin.TASKS[task], from_file((HERE / "cuda" / name).read_text()))
            found.append([name, str(v.status), v.preserve.passed, v.preserve.total, v.feedback])
    return found


def values(directory: Path) -> dict[str, object]:
    """Every value by name."""
    with Sandbox(1) as sandbox, Sandbox(1, hash_seed=1) as other:
        return {
            "rewritten_python": rewritten_python(),
            "rewritten_cuda": rewritten_cuda(),
            "training_tasks": training_tasks(),
            "suite_tasks": suite_tasks(sandbox),
            "suite_hashes": suite_hashes(sandbox),
            "packed_batch": packed_batch(directory),
            "mined_function": mined_function(sandbox, other),
            "judged_kernels": judged_kernels(),
        }


GOLDENS = HERE / "goldens.json"


@pytest.fixture(scope="module")
def today(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    return values(tmp_path_factory.mktemp("goldens"))


@pytest.mark.parametrize("name", json.loads(GOLDENS.read_text()) if GOLDENS.is_file() else [])
def test_the_same_seeds_give_what_they_gave(name, today):
    assert today[name] == json.loads(GOLDENS.read_text())[name]


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        GOLDENS.write_text(json.dumps(values(Path(scratch)), indent=1) + "\n")
    print(f"wrote {GOLDENS}", file=sys.stderr)
