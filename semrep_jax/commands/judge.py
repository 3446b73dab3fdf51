"""`python -m semrep_jax.main judge FILE --task NAME`: is a CUDA kernel right? `time FILE --task NAME`: and how fast on
a GPU?"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from semrep_jax.commands import command
from semrep_jax.commands.command import Command

WHAT = (
    "Whether a CUDA kernel computes what a task asks for: parsed, compiled by NVRTC, run on the CPU over shapes, "
    "distributions and thread schedules, compared with a float64 oracle. "
)
TIMED = (
    "Then run on the GPU, and timed there beside the task's own program: new inputs, pointers and caches every time, "
    "in random order, every output compared."
)
EMULATED = "What passes is right in emulation; nothing is timed."


def parser(timed: bool = False) -> argparse.ArgumentParser:
    """The command line."""
    options = command.parser(
        "time" if timed else "judge",
        WHAT + (TIMED if timed else EMULATED),
        "Exit code 0: right; 1: not; 2: a mistake in the input. Without FILE the task's own program is printed, to "
        "start from.",
    )
    options.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        nargs="?",
        help="CUDA with a line // launch: [...], or text with two fenced blocks",
    )
    options.add_argument("--task", required=True, metavar="NAME", help="e.g. softmax; a wrong name lists all")
    return options


def run(options: argparse.Namespace, timed: bool = False) -> int:
    """Judge a file; `timed`: on a GPU too."""
    from semrep_jax.cuda.candidate.candidate import from_file
    from semrep_jax.cuda.gpu.gpu import Gpu
    from semrep_jax.cuda.judge import Judge
    from semrep_jax.languages import read_source
    from semrep_jax.tasks.kernels import catalogue

    task = catalogue.find(options.task)
    if options.file is None:
        print(task.source, end="")
        return 0
    text = from_file(read_source(options.file, "CUDA"))
    with Judge(gpu=Gpu() if timed else None) as judge:
        judgement = judge.examine(task, text)
        verdict, candidate = judgement.verdict, judgement.candidate
        used = judge.resources(task, candidate) if verdict.compiled and candidate is not None else []
    where = "on the GPU" if "on_gpu" in verdict.facts else "in emulation"
    ran = f"{verdict.preserve.passed} of {verdict.preserve.total} executions right {where}"
    print(f"{task.name}: {verdict.status}, {ran}, {verdict.seconds:.1f} s")
    for line in [*verdict.feedback.splitlines(), *used]:
        print(line)
    return 0 if verdict.correct else 1


COMMAND = Command(
    "judge FILE --task NAME",
    "is a CUDA kernel right? compiled by NVRTC, run on the CPU (extra nvrtc, and g++; no GPU needed)",
    parser,
    run,
)
TIME = Command(
    "time FILE --task NAME",
    "as judge, then run and timed on a GPU beside the task's own program (extra cuda13 or cuda12)",
    partial(parser, timed=True),
    partial(run, timed=True),
)
