"""A process that runs and times cubins on the GPU with CuPy. `gpu` starts it by path; JSON lines in, JSON lines out.

    {"op": "run", ...}     every launch list once over given inputs; outputs go into the answer file
    {"op": "time", ...}    reference and candidate by turns, on fresh inputs, each output compared
    {"op": "probe"}        is it alive? With a "program" of no arguments: can what was compiled be loaded and run?

A program is loaded through `cupy.RawModule`: a cubin by its path, or text that CuPy's own NVRTC compiles. CuPy keeps
every RawModule that was ever asked for; here they are let go after some loads (`Modules`).

It has no JAX, no oracle and no expected output, and imports nothing of this package. Arrays come and go in files of
shared memory that the parent names. Whatever a candidate does to its context is this process's end, and the parent
starts another one. Facts go back, never a verdict.
"""

import json
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cupy as cp
import numpy as np

MARGIN = 256  # bytes of guard before and after a buffer, at the least
ALIGNMENT = 256  # of a buffer's start, as cudaMalloc's
SHIFTS = 16  # starts that a buffer may have
POOL_BYTES = 512  # CuPy's pool hands out multiples of it
GUARD_BYTE = 0xA5
UNWRITTEN_BYTE = 0xFF  # NaN in every float type
HIDING_BYTE = 0x5A  # what outputs are masked with while the other program runs
TICK_MS = 0.0005  # of the clock that events read: what does nothing may take 0
WARM_UP = 3  # repeats that are checked and not timed
PERSISTING_L2_LIMIT = 0x06  # cudaLimitPersistingL2CacheSize
LOADS_KEPT = 64  # modules that CuPy may keep before all are let go
INTEGERS = ("i32", "u32", "i64", "u64", "u8")
FLOATS = {"f32": np.float32, "f16": np.float16, "f64": np.float64}
SCALARS: dict[str, Callable[[Any], Any]] = FLOATS | {
    "i32": np.int32,
    "u32": np.uint32,
    "i64": np.int64,
    "u64": np.uint64,
    "u8": np.uint8,
    "bf16": lambda value: _bfloat16(value),
}


class Modules:
    """Loads RawModules, each anew, and has CuPy let go of them.

    CuPy keeps a RawModule by its path or text for as long as this process lives, and would give the same one out again,
    with what the last run left in its __device__ variables. So each load of a cubin has a path of its own, and
    `clear` empties CuPy's memory of them; a module is unloaded when the last program that holds it is gone.
    """

    def __init__(self) -> None:
        self.loads = 0
        self.kept = 0  # by CuPy

    def kernels(self, description: dict[str, Any]) -> list[Any]:
        """One kernel a launch, of a new module: its "cubin" by path, or its "code" compiled by CuPy with "options"."""
        symbols = [launch["symbol"] for launch in description["launches"]]
        if self.kept >= LOADS_KEPT or "code" in description:
            self.clear()
        self.loads += 1
        self.kept += 1
        if "code" in description:
            options = tuple(description["options"])
            module = cp.RawModule(
                code=description["code"], options=options, backend="nvrtc", name_expressions=sorted(set(symbols))
            )
            return [module.get_function(symbol) for symbol in symbols]
        path = Path(f"{description['cubin']}.{os.getpid()}.{self.loads}")
        path.symlink_to(description["cubin"])
        try:
            module = cp.RawModule(path=str(path))
            return [module.get_function(symbol) for symbol in symbols]  # the first one loads it
        finally:
            path.unlink()

    def clear(self) -> None:
        """Have CuPy forget every module (and its own kernels, which it finds again in its cache of files)."""
        cp.clear_memo()
        self.kept = 0


MODULES = Modules()


class Program:
    """A loaded module with its launches."""

    def __init__(self, description: dict[str, Any]):
        launches = description["launches"]
        self.launches = list(zip(MODULES.kernels(description), launches, strict=True))
        self.scratch = description["scratch"]
        for kernel, launch in self.launches:  # a kernel's static and dynamic part together may pass 48 KiB
            most = max(other["shared"] for other in launches if other["symbol"] == launch["symbol"])
            kernel.max_dynamic_shared_size_bytes = most

    def facts(self) -> list[dict[str, Any]]:
        """Registers, spills and occupancy of each launch."""
        most = cp.cuda.runtime.getDeviceProperties(0)["maxThreadsPerMultiProcessor"]
        return [_facts(kernel, launch, most) for kernel, launch in self.launches]

    def prepared(self, buffers: dict[str, cp.ndarray]) -> Callable[[], None]:
        """What makes every launch, one after the other, on the current stream; its arguments are ready by then."""
        calls = [
            (
                kernel,
                tuple(launch["grid"]),
                tuple(launch["block"]),
                tuple(buffers[a] if isinstance(a, str) else SCALARS[a[0]](a[1]) for a in launch["args"]),
                launch["shared"],
            )
            for kernel, launch in self.launches
        ]

        def launch_all() -> None:
            for kernel, grid, block, args, shared in calls:
                kernel(grid, block, args, shared_mem=shared)

        return launch_all

    def captured(self, buffers: dict[str, cp.ndarray]) -> Callable[[], None]:
        """The same as one CUDA graph, which the driver starts with one call."""
        launch_all, stream = self.prepared(buffers), cp.cuda.Stream(non_blocking=True)
        with stream:
            stream.begin_capture()
            launch_all()
            graph = stream.end_capture()
        graph.upload()
        return lambda: graph.launch()


def _facts(kernel: Any, launch: dict[str, Any], most_threads: int) -> dict[str, Any]:
    threads = int(np.prod(launch["block"]))
    blocks = cp.cuda.driver.occupancyMaxActiveBlocksPerMultiprocessor(kernel.kernel.ptr, threads, launch["shared"])
    return {
        "registers": kernel.num_regs,
        "spilled_bytes": kernel.local_size_bytes,
        "shared_bytes": kernel.shared_size_bytes + launch["shared"],
        "occupancy": blocks * threads / most_threads,
    }


def _bfloat16(value: Any) -> np.uint16:
    """The upper half of a float32, rounded to nearest even."""
    bits = int(np.float32(value).view(np.uint32))
    return np.uint16((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16)


class GuardedBuffer:
    """Bytes between two guards, at a pointer that moves with every `reset`; all that was allocated is one or other."""

    def __init__(self, size: int):
        self.size, self.start = size, MARGIN
        least = size + 2 * MARGIN + ALIGNMENT * SHIFTS
        self.raw = cp.empty(-(-least // POOL_BYTES) * POOL_BYTES, cp.uint8)

    @property
    def body(self) -> cp.ndarray:
        """The buffer's bytes."""
        return self.raw[self.start : self.start + self.size]

    def reset(self, content: Any = None) -> cp.ndarray:
        """The buffer's bytes at a new pointer: `content`, or 0xff throughout."""
        self.raw.fill(GUARD_BYTE)
        self.start = MARGIN + ALIGNMENT * random.randrange(SHIFTS)
        body = self.body
        body[:] = UNWRITTEN_BYTE if content is None else content
        return body

    def intact(self) -> bool:
        """Whether nothing was written outside of it."""
        before, after = self.raw[: self.start], self.raw[self.start + self.size :]
        return bool((before == GUARD_BYTE).all() and (after == GUARD_BYTE).all())


Buffers = dict[str, GuardedBuffer]


def _buffers(inputs: dict[str, cp.ndarray], others: list[dict[str, Any]]) -> Buffers:
    """One for each input, output and scratch buffer."""
    sizes = {n: x.size for n, x in inputs.items()} | {one["name"]: one["size"] for one in others}
    return {n: GuardedBuffer(size) for n, size in sizes.items()}


def _reset(buffers: Buffers, inputs: dict[str, cp.ndarray]) -> dict[str, cp.ndarray]:
    return {n: buffer.reset(inputs.get(n)) for n, buffer in buffers.items()}


def _damage(buffers: Buffers, inputs: dict[str, cp.ndarray]) -> tuple[str, str] | None:
    """("broken" for a guard or "changed" for an input, the buffer's name), or None where all is as it should be."""
    for name, buffer in buffers.items():
        if not buffer.intact():
            return "broken", name
        if name in inputs and not bool((buffer.body == inputs[name]).all()):
            return "changed", name
    return None


def _read(layout: list[dict[str, Any]], path: str) -> dict[str, cp.ndarray]:
    """The arrays of a shared file, as bytes on the device."""
    data = np.memmap(path, np.uint8, "r") if Path(path).stat().st_size else np.zeros(0, np.uint8)
    return {one["name"]: cp.asarray(data[one["offset"] : one["offset"] + one["size"]]) for one in layout}


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Execute every run once; outputs go into the answer file. Says which run broke a guard or changed an input."""
    answer = np.memmap(request["answer"], np.uint8, "r+")
    facts: list[Any] = []
    for index, one in enumerate(request["runs"]):
        program = Program(request["program"] | one["program"])
        facts = facts or program.facts()
        inputs = _read(one["inputs"], request["data"])
        buffers = _buffers(inputs, one["outputs"] + program.scratch)
        program.prepared(_reset(buffers, inputs))()
        cp.cuda.runtime.deviceSynchronize()
        damage = _damage(buffers, inputs)
        if damage is not None:
            what, name = damage
            return {what: [index, name], "facts": facts}
        for output in one["outputs"]:
            end = output["offset"] + output["size"]
            answer[output["offset"] : end] = cp.asnumpy(buffers[output["name"]].body)
    answer.flush()
    return {"facts": facts}


class TimedPair:
    """The reference and a candidate, each with buffers of its own, run by turns on the same inputs.

    On an H100 a kernel beside itself was steadily 0.97 or 1.02 times as fast, by the task, and all that differed was
    where the buffers lay. So the two exchange them after every repeat.

    A candidate may try to tell a timed run from a checked one, keep what an earlier run left, or read the other's
    answer: inputs, pointers and the order are new in every repeat, modules are loaded anew, caches are flushed, the
    outputs of who runs first are hidden from who runs next, and every repeat is checked. New inputs are another stretch
    of two draws, which changes what is computed of all of them as well: a sum, a norm.
    """

    def __init__(self, request: dict[str, Any]):
        self.request = request
        self.draws = _read(request["inputs"], request["data"])
        self.row_bytes = {one["name"]: one["row"] for one in request["inputs"]}
        self.given = self._stretches()  # the inputs of the last repeat
        self.outputs = {one["name"]: one for one in request["outputs"]}
        self.programs = {who: Program(request[who]) for who in ("reference", "candidate")}
        self.places = [_buffers(self.given, request["outputs"]) for _ in self.programs]
        self.scratch = {who: _buffers({}, program.scratch) for who, program in self.programs.items()}
        self.scales = _buffers(self.given, request["outputs"]) if request["terms"] else {}
        self.buffers: dict[str, Buffers] = {}  # of the last repeat
        self.repeats_of = {False: 0, True: 0}  # by plain launches, as graphs
        self.flush = cp.empty(2 * cp.cuda.runtime.getDeviceProperties(0)["l2CacheSize"], cp.uint8)
        self.repeats = 0

    @property
    def as_graphs(self) -> bool:
        """Whether either has more launches than one, so that a graph may start them sooner."""
        return any(len(program.launches) > 1 for program in self.programs.values())

    def run(self, as_graph: bool = False) -> dict[str, float]:
        """One repeat: milliseconds of "reference" and "candidate"; `as_graph`: each as one CUDA graph."""
        self.given = self._stretches()
        places = self.places[:: -1 if self.repeats_of[as_graph] % 2 else 1]
        self.buffers = {who: place | self.scratch[who] for who, place in zip(self.programs, places, strict=True)}
        first, second = random.sample(list(self.programs), 2)
        times = {first: self._time(first, as_graph)}
        hidden = self._hide_outputs(first)
        times[second] = self._time(second, as_graph)
        for name, masked in hidden.items():
            self.buffers[first][name].body[:] = cp.bitwise_xor(masked, HIDING_BYTE)
        self.repeats += 1
        self.repeats_of[as_graph] += 1
        return times

    def check(self) -> str | None:
        """What is wrong with the candidate's last run: a guard, an input, or an output unlike the reference's."""
        damage = _damage(self.buffers["candidate"], self.given)
        if damage is not None:
            what, name = damage
            return f"it wrote outside of {name}" if what == "broken" else f"it changed its input {name}"
        self._take_scales()
        for name, output in self.outputs.items():
            wanted, found = (self.buffers[who][name].body for who in ("reference", "candidate"))
            scale = self.scales[name].body if self.scales else None
            where = _difference(wanted, found, scale, output)
            if where is not None:
                return f"timed run {self.repeats - 1}: {name}{where}"
        return None

    def _take_scales(self) -> None:
        """Where rounding errors are relative to the operator on absolute values: those, of the last repeat's inputs."""
        if self.scales:
            sizes = {one["name"]: one["size_of_sign"] for one in self.request["inputs"]}
            buffers = self.scales | self.scratch["reference"]
            given = {name: _magnitudes(data, sizes[name]) for name, data in self.given.items()}
            self.programs["reference"].prepared(_reset(buffers, given))()
            cp.cuda.runtime.deviceSynchronize()

    def calibrate(self, reference_ms: float) -> int:
        """How many repeats to time, an even number: as many as the reference's time allows; the candidate's has no
        say."""
        affordable = max(self.request["seconds"] * 1e3 / max(reference_ms, TICK_MS), self.request["fewest"])
        return 2 * int(min(affordable, self.request["most"]) / 2)

    def _stretches(self) -> dict[str, cp.ndarray]:
        """New inputs: half of the draws of each, from a random row on; after their last row comes the first."""
        found = {}
        for name, draws in self.draws.items():
            size, row = len(draws) // 2, self.row_bytes[name]
            start = row * random.randrange(max(1, len(draws) // row))
            end = draws[start : start + size]
            found[name] = cp.concatenate((end, draws[: size - len(end)]))
        return found

    def _time(self, who: str, as_graph: bool) -> float:
        """Milliseconds of one run, on a cold cache."""
        program = Program(self.request[who])  # what its __device__ variables kept of earlier runs is gone
        self.programs[who] = program
        buffers = _reset(self.buffers[who], self.given)
        launch_all = program.captured(buffers) if as_graph else program.prepared(buffers)
        begin, end = cp.cuda.Event(), cp.cuda.Event()
        _forget_persisting_lines()
        self.flush.fill(self.repeats & 0xFF)  # takes the GPU a while, in which the launches are queued
        begin.record()
        launch_all()
        end.record()
        cp.cuda.runtime.deviceSynchronize()
        return cp.cuda.get_elapsed_time(begin, end)

    def _hide_outputs(self, who: str) -> dict[str, cp.ndarray]:
        """The outputs, masked; where they were, there is nothing to be read."""
        masked = {n: cp.bitwise_xor(self.buffers[who][n].body, HIDING_BYTE) for n in self.outputs}
        for name in self.outputs:
            self.buffers[who][name].body.fill(UNWRITTEN_BYTE)
        return masked


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Reference and candidate by turns, until there are enough repeats, the time is over or one is wrong.

    `samples` holds (reference ms, candidate ms, SM clock in MHz or null), by plain launches; `graph_samples` the same
    of each program as one CUDA graph, where either has more launches than one; `wrong` is what the first wrong repeat
    did. Once the request's "limit" of seconds is over, what is there counts, the repeat in which that happened as well,
    up to an even number; `untimed` says why there are fewer than "fewest".
    """
    until = time.monotonic() + request["limit"]
    pair, clock = TimedPair(request), _clock_reader()
    samples: dict[str, list[list[Any]]] = {"samples": []}
    if pair.as_graphs:
        samples["graph_samples"] = []
    times: dict[str, float] = {}
    fewest = repeats = WARM_UP + request["fewest"]
    done = 0
    while done < repeats and (done < fewest or (done - WARM_UP) % 2 or time.monotonic() <= until):  # ends in pairs
        for kind, kept in samples.items():
            if done < fewest and time.monotonic() > until:
                return {"untimed": _untimed(done, fewest, request["limit"], times)}
            times = pair.run(as_graph=kind == "graph_samples")
            wrong = pair.check()
            if wrong is not None:
                return {"wrong": wrong} | samples
            if done == WARM_UP and kind == "samples":
                repeats = WARM_UP + pair.calibrate(times["reference"])
            if done >= WARM_UP:
                kept.append([times["reference"], times["candidate"], clock()])
        done += 1
    return samples | {"facts": pair.programs["candidate"].facts()}


def _untimed(done: int, fewest: int, seconds: float, times: dict[str, float]) -> str:
    """Why there is no timing.

    done: the repeats that `seconds` were enough for, of `fewest`. times: of the last run, empty where there was none.
    """
    reason = f"{seconds:g} s were over after {done} of at least {fewest} repeats"
    if not times:
        return reason
    reference, candidate = (times[who] / 1e3 for who in ("reference", "candidate"))
    return f"{reason}; in the last run C_src took {reference:.3g} s and the candidate {candidate:.3g} s"


def _difference(
    reference: cp.ndarray, candidate: cp.ndarray, scale: cp.ndarray | None, output: dict[str, Any]
) -> str | None:
    """Where two outputs, given as bytes, differ by more than the rounding of both; None where they do not.

    scale: what the reference made of absolute inputs, as bytes, where rounding errors are relative to that; None where
    they are to the result and its usual size. output: its "dtype", and the bounds: "rounding" of an element and of the
    whole, "length" of the longest sum, "norm" that the whole may be off by, "tiny" that anything may, "largest" that a
    scale can be in this type. NaN stands for NaN, an infinity for itself.
    """
    dtype = output["dtype"]
    if dtype in INTEGERS:
        differs = reference != candidate
        return f" differs in byte {int(differs.argmax())}" if bool(differs.any()) else None
    wanted, found = (_wide(x, dtype) for x in (reference, candidate))
    same = (wanted == found) | (cp.isnan(wanted) & cp.isnan(found))
    size = _finite(wanted)
    if scale is None:
        relative = size + cp.sqrt(cp.mean(size**2))
    else:
        relative = _finite(cp.minimum(_wide(scale, dtype), output["largest"]))
    relative = cp.where(cp.isfinite(wanted), relative, 0.0)
    error = cp.where(same, 0.0, cp.abs(wanted - found))
    bound = cp.maximum(output["rounding"] * ((1 + output["length"] ** 0.5) * relative + size), output["tiny"])
    wrong = ~same & ~(cp.isfinite(wanted) & (error <= bound))
    if bool(wrong.any()):
        at = int(wrong.argmax())
        return f"[{at}] is {float(found[at]):.9g} and should be {float(wanted[at]):.9g}"
    off, norm, of_scale = (float(cp.sqrt((x**2).sum())) for x in (error, size, relative))
    if off > output["norm"] * norm + output["rounding"] * of_scale + output["tiny"]:
        return f" is off by {off / max(norm, output['tiny']):.1e} of its norm"
    return None


def _finite(values: cp.ndarray) -> cp.ndarray:
    """Sizes of values, 0 for what is not finite."""
    return cp.where(cp.isfinite(values), cp.abs(values), 0.0)


def _wide(data: cp.ndarray, dtype: str) -> cp.ndarray:
    """Bytes as float64 values."""
    if dtype == "bf16":
        return (data.view(cp.uint16).astype(cp.uint32) << 16).view(cp.float32).astype(cp.float64)
    return data.view(FLOATS[dtype]).astype(cp.float64)


def _magnitudes(data: cp.ndarray, size: int) -> cp.ndarray:
    """Bytes of numbers with their sign bits cleared. size: bytes of a number that has one, 0 where they have none."""
    if not size:
        return data
    unsigned = data.copy()
    unsigned[size - 1 :: size] &= 0x7F
    return unsigned


def _forget_persisting_lines() -> None:
    try:
        cp.cuda.runtime.deviceSetLimit(PERSISTING_L2_LIMIT, 0)
    except Exception:  # before compute capability 8.0, or a MIG slice
        pass


def _clock_reader() -> Callable[[], int | None]:
    """A reader of the SM clock in MHz of the device that is used; one of None where NVML can't say."""
    try:
        import pynvml

        pynvml.nvmlInit()
        # NVML counts devices in another order, and those that CUDA_VISIBLE_DEVICES hides
        handle = pynvml.nvmlDeviceGetHandleByPciBusId(cp.cuda.Device(0).pci_bus_id)
        pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM)
    except Exception:  # no NVML, or not allowed (a MIG slice): times are kept without clocks
        return lambda: None
    return lambda: pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM)


def probe(request: dict[str, Any]) -> dict[str, Any]:
    """Whether the device answers; with a "program", which takes no arguments, whether it runs."""
    if "program" in request:
        Program(request["program"]).prepared({})()
    cp.cuda.runtime.deviceSynchronize()
    return {"alive": True}


OPERATIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"run": run, "time": measure, "probe": probe}


def answer_to(request: dict[str, Any]) -> dict[str, Any]:
    """What is asked for; {"refused": log} where CuPy's NVRTC does not compile a program."""
    try:
        return OPERATIONS[request["op"]](request)
    except cp.cuda.compiler.CompileException as error:
        return {"refused": str(error)}


def about(device: dict[str, Any]) -> dict[str, Any]:
    """What a device is: name, architecture, bytes of memory and of cache, and the versions of driver and NVRTC."""
    free, total = cp.cuda.runtime.memGetInfo()
    return {
        "name": device["name"].decode(),
        "arch": f"sm_{device['major']}{device['minor']}",
        "l2_bytes": device["l2CacheSize"],
        "free_bytes": free,
        "total_bytes": total,
        "driver": cp.cuda.runtime.driverGetVersion(),
        "nvrtc": list(cp.cuda.nvrtc.getVersion()),
    }


def main() -> None:
    """Serve until standard input ends. The first line says what the device is, or {"none": why} where there is none.

    A kernel's printf writes to file 1 and its assert to file 2 of this process: the answers go to a file of their own.
    """
    answers = os.fdopen(os.dup(1), "w")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)

    def send(answer: dict[str, Any]) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    try:
        device = about(cp.cuda.runtime.getDeviceProperties(0))
    except Exception as error:
        send({"none": f"{type(error).__name__}: {error}"})
        return
    send(device)
    os.dup2(null, 2)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = answer_to(request)
        except Exception as error:  # an illegal access and its kind: the context is gone, and so is this process
            send({"died": f"{type(error).__name__}: {error}"[:400]})
            os._exit(1)  # a broken context makes destructors hang or speak
        send(answer)


if __name__ == "__main__":
    main()
