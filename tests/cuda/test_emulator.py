"""The emulator's memory and reports: what Python takes for granted of the runtime, and words for what went wrong."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from semrep_jax.cuda.candidate.candidate import Candidate, parse
from semrep_jax.cuda.candidate.launches import Launch, ResolvedLaunch
from semrep_jax.cuda.candidate.source import Device
from semrep_jax.cuda.emulator import memory, report
from semrep_jax.cuda.emulator.emulate import LIMITS, Emulator
from semrep_jax.cuda.emulator.memory import PAGE, Execution
from semrep_jax.cuda.emulator.report import FAILED, RuntimeStatus, Unsupported
from semrep_jax.cuda.spec import DTYPES
from semrep_jax.tasks.kernels import catalogue
from semrep_jax.tasks.kernels.builtin import TASKS

RUNTIME = Path(report.__file__).parent
CANDIDATE = Candidate(Device(""), (Launch("k", (1,), (1,), 0, ()),), {}, {})


def test_the_runtimes_status_words_are_ours():
    listed = re.search(r"enum Status \{(.*?)\}", (RUNTIME / "runtime.hpp").read_text(), re.DOTALL)[1]
    theirs = {name: int(value) for name, value in re.findall(r"(\w+)\s*=\s*(\d+)", listed)}
    assert theirs == {status.name: status.value for status in RuntimeStatus}
    called = set(
        re.findall(r"fail\((?:::semrep::)?([A-Z]+),", "".join(p.read_text() for p in RUNTIME.glob("*.[ch]pp")))
    )
    assert called and {RuntimeStatus[name] for name in called} <= FAILED.keys()


def test_the_runtimes_report_has_the_fields_that_are_read():
    fields = re.search(r"struct Report \{(.*?)\};", (RUNTIME / "runtime.cpp").read_text(), re.DOTALL)[1]
    assert " ".join(fields.split()) == (
        "int64_t status, line, launch, fault_address; int64_t block[3], thread[3]; char text[240];"
    )


def test_a_report_that_a_candidate_has_written_is_read_as_numbers_and_text():
    forged = report._REPORT.pack(99, 7, 0, -1, 1, 2, 3, 4, 5, 6, b"all right\xff\0and more")
    read = report.read_report(forged + bytes(PAGE))
    assert (read.status, read.line, read.address, read.text) == (99, 7, -1, "all right\ufffd")
    assert read.where == "thread (4, 5, 6) of block (1, 2, 3)" and FAILED.get(read.status) is None


def test_buffers_end_at_a_page_that_must_not_be_touched_and_begin_behind_a_pattern():
    x = np.arange(1000, dtype=np.float32)
    launch = ResolvedLaunch("k", (1, 1, 1), (1, 1, 1), 100, ("x", "y", ("f16", 1.0)))
    execution = Execution([launch], {"x": x, "y": (np.dtype(np.int64), 3)}, schedule=2)
    layout = memory.lay_out(CANDIDATE, [execution, execution])
    content = np.frombuffer(layout.content, np.uint8).copy()
    for spans, request in zip(layout.spans, layout.requests, strict=True):
        assert request["schedule"] == 2 and [s.guard for s in spans.values()] == request["guards"][:2]
        for span in spans.values():
            assert span.start % 16 == 0 and 0 <= span.guard - span.end < 16 and span.guard % PAGE == 0
            assert span.start - span.margin_start >= memory.MARGIN
        ((kernel, sizes, shared, nbytes, args),) = request["launches"]
        assert (kernel, sizes, nbytes) == (0, [1] * 6, 100) and 0 <= request["guards"][2] - shared - nbytes < 16
        assert args == [spans["x"].start, spans["y"].start, ["f16", 0x3C00]]
    found = memory.read_buffers(content, layout.spans[1], execution)
    assert (found["x"] == x).all() and found["y"].tolist() == [-1, -1, -1]
    assert memory.overwritten_margin(content, layout.spans[1]) is None
    y = layout.spans[1]["y"]
    assert memory.nearest_buffer(y.end + 5, {"y": y}) == "5 bytes behind the end of y (24 bytes)"
    assert memory.nearest_buffer(y.start - 5, {"y": y}) == "5 bytes before the beginning of y"
    content[y.start - 1] = 0
    assert memory.overwritten_margin(content, layout.spans[1]) == "it wrote before the beginning of y"
    content[y.start - 1], content[y.end] = memory.PATTERN, 0
    assert memory.overwritten_margin(content, layout.spans[1]) == "it wrote behind the end of y"


def test_a_candidate_that_asks_for_too_much_memory_is_unsupported():
    with pytest.raises(Unsupported, match="more than 192 MiB"):
        memory.lay_out(CANDIDATE, [Execution([], {"y": (np.dtype(np.float64), memory.MAX_BYTES)})])


def test_a_right_program_of_many_threads_is_given_the_time_they_take():
    """Else it is a timeout on a slow machine: the sum of few numbers by a thousand blocks that shuffle."""
    task = TASKS["sum"]
    candidate = parse(catalogue.faster("sum"), task)
    resolved = candidate.at({"N": 1000})
    buffers = {name: (DTYPES[size.dtype], size.elements) for name, size in resolved.scratch.items()}
    buffers |= {"x": np.ones(1000, np.float32), "y": (np.dtype(np.float32), 1)}
    with Emulator(1, replace(LIMITS, cpu_seconds=0.05)) as emulator, emulator.built(candidate) as library:
        ended = emulator.run(library, candidate, [Execution(resolved.launches, buffers)] * 2)
    assert ended.fault is None
    assert [found["y"].tolist() for found in ended.buffers] == [[1000.0]] * 2
