"""CUDA C++, as everything above the languages meets it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from semrep_jax.core.programs import Program, Task
from semrep_jax.cuda import CUDA, canonical
from semrep_jax.languages import FENCE, Comparer, Judge, Resources, Rewritten, Wording


class Cuda:
    """The language's methods; see `languages.Language`.

    Compilers, emulator and GPU are imported when they are first asked for.
    """

    name = CUDA
    suffixes = (".cu", ".cuh", ".md")
    wording = Wording(
        system="You transform CUDA programs. You answer with one ```cuda block (device code: __global__ and __device__ "
        "functions, no host code) and one ```json block that says how its kernels are launched, one after the other: "
        '{"scratch": {"partial": "f32[ceil_div(N, 256)]"}, "launch": [{"kernel": "name", "grid": ["ceil_div(N, 256)"], '
        '"block": [256], "shared": 0, "args": ["x", "partial", "i32:N"]}]}. An argument is the name of an input, an '
        "output or a scratch buffer, or type:expression for a number. Inputs and outputs keep their names. You write "
        "nothing else.",
        same="computes exactly the same outputs from the same inputs. Renaming alone does not count.",
        fenced=False,
    )

    def extract(self, text: str) -> tuple[Program | None, str]:
        """Code block and launch block without the talk around them; an answer of another form as it is."""
        if "__global__" not in text:
            return None, "the completion holds no __global__ function"
        blocks = [block[0].strip() for block in FENCE.finditer(text)]
        return Program(CUDA, "\n".join(blocks) + "\n" if len(blocks) == 2 else text), ""

    def canonical(self, source: str) -> str | None:
        """See `cuda.canonical`."""
        return canonical.canonical(source)

    def repeats(self, a: str, b: str) -> bool:
        """Whether two canonical texts are equal."""
        return a == b

    def distance(self, a: str, b: str) -> float:
        """Share of tokens by which two canonical texts differ."""
        return canonical.distance(a, b)

    def answer(self, program: Program) -> str:
        """The program's two blocks."""
        return program.source.strip()

    def judge(self, resources: Resources) -> Judge:
        """NVRTC, the emulator, and a GPU where the settings ask for one."""
        from semrep_jax.cuda.verifier import CudaJudge

        return CudaJudge(resources)

    @property
    def rule_groups(self) -> Mapping[str, Sequence[str]]:
        """Rules on tree-sitter's trees."""
        from semrep_jax.cuda.rewrites import RULE_GROUPS

        return RULE_GROUPS

    def rewrite(
        self, program: Program, rng: Random, steps: int, rules: Sequence[str] | None = None
    ) -> Rewritten | None:
        """A chain of rules, on device code and launch list."""
        from semrep_jax.cuda.rewrites import chain

        return chain.rewrite(program, rng, steps, rules)

    def comparer(self, program: Program, resources: Resources, task: Task | None = None) -> Comparer:
        """Emulation over the shapes, inputs and schedules of the task's operator. Raises ProgramError."""
        from semrep_jax.cuda.verifier import CudaComparer

        return CudaComparer(program, resources, task)


LANGUAGE = Cuda()
