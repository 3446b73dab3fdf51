"""A process that runs and times cubins on the GPU with CuPy. Started by `gpu` by path; a line of JSON in, a line of JSON out.

It has no JAX, no oracle and no expected output. Arrays come and go in files of shared memory that the parent names. Whatever a candidate
does to its context is this process's end, and the parent starts another one. Facts go back, never a verdict.
"""

import json
import os
import random
import sys
from pathlib import Path
from typing import Any

import cupy as cp
import numpy as np

MARGIN, PATTERN, SHIFTS = 256, 0xA5, 16
WARM_UP, PERSISTING_L2 = 3, 0x06  # cudaLimitPersistingL2CacheSize
STATIC_SHARED, LOCAL, REGISTERS, MOST_DYNAMIC = 1, 3, 4, 8  # CU_FUNC_ATTRIBUTE_*


class Program:
    """A loaded cubin with its launches. Not a RawModule: CuPy would keep each one and its memory for as long as this process lives."""

    def __init__(self, said: dict[str, Any]):
        self.module = cp.cuda.function.Module()
        self.module.load(Path(said["cubin"]).read_bytes())
        self.launches = [(self.module.get_function(one["symbol"]), one) for one in said["launches"]]
        self.scratch = said["scratch"]
        for kernel, one in self.launches:  # a kernel's static and dynamic part together may pass 48 KiB
            most = max(o["shared"] for o in said["launches"] if o["symbol"] == one["symbol"])
            cp.cuda.driver.funcSetAttribute(kernel.ptr, MOST_DYNAMIC, most)

    def facts(self) -> list[dict[str, Any]]:
        """Registers, spills and occupancy of each launch."""
        found = []
        most = cp.cuda.runtime.getDeviceProperties(0)["maxThreadsPerMultiProcessor"]
        for kernel, one in self.launches:
            threads = int(np.prod(one["block"]))
            blocks = cp.cuda.driver.occupancyMaxActiveBlocksPerMultiprocessor(kernel.ptr, threads, one["shared"])
            shared, local, registers = (
                cp.cuda.driver.funcGetAttribute(a, kernel.ptr) for a in (STATIC_SHARED, LOCAL, REGISTERS)
            )
            found.append(
                {
                    "registers": registers,
                    "spilled_bytes": local,
                    "shared_bytes": shared + one["shared"],
                    "occupancy": blocks * threads / most,
                }
            )
        return found

    def launch(self, buffers: dict[str, cp.ndarray]) -> None:
        """Every launch, one after the other, on the current stream."""
        for kernel, one in self.launches:
            args = tuple(buffers[a] if isinstance(a, str) else _scalar(*a) for a in one["args"])
            kernel(tuple(one["grid"]), tuple(one["block"]), args, one["shared"])


def _scalar(kind: str, value: Any) -> Any:
    if kind == "bf16":  # the upper half of a float32, rounded to nearest even
        bits = int(np.float32(value).view(np.uint32))
        return np.uint16((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16)
    return {"i32": np.int32, "u32": np.uint32, "i64": np.int64, "u64": np.uint64, "u8": np.uint8, "f32": np.float32, "f64": np.float64,
            "f16": np.float16}[kind](value)  # fmt: skip


class Zone:
    """A buffer between two guards, at a pointer that moves with every `place`."""

    def __init__(self, size: int):
        self.size, self.raw = size, cp.empty(size + 2 * MARGIN + 256 * SHIFTS, cp.uint8)
        self.at = MARGIN

    def place(self, shift: int, content: Any = None) -> cp.ndarray:
        """Bytes of the buffer: `content`, or 0xff throughout."""
        self.raw.fill(PATTERN)
        self.at = MARGIN + 256 * shift
        body = self.body
        body[:] = 0xFF if content is None else content
        return body

    @property
    def body(self) -> cp.ndarray:
        """The buffer's bytes."""
        return self.raw[self.at : self.at + self.size]

    def intact(self) -> bool:
        """Whether nothing was written outside of it."""
        return bool((self.raw[: self.at] == PATTERN).all() and (self.raw[self.at + self.size :] == PATTERN).all())


def _read(said: list[dict[str, Any]], path: str) -> dict[str, np.ndarray]:
    data = np.memmap(path, np.uint8, "r") if Path(path).stat().st_size else np.zeros(0, np.uint8)
    return {one["name"]: data[one["offset"] : one["offset"] + one["size"]] for one in said}


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Execute every run once; outputs into the answer file. Says which run broke a guard or changed an input."""
    answer = np.memmap(request["answer"], np.uint8, "r+")
    facts: list[Any] = []
    for index, one in enumerate(request["runs"]):
        program = Program(request["program"] | one["program"])
        facts = facts or program.facts()
        given = {n: cp.asarray(x) for n, x in _read(one["inputs"], request["data"]).items()}
        zones = {n: Zone(x.size) for n, x in given.items()} | {
            o["name"]: Zone(o["size"]) for o in one["outputs"] + program.scratch
        }
        buffers = {n: zone.place(random.randrange(SHIFTS), given.get(n)) for n, zone in zones.items()}
        program.launch(buffers)
        cp.cuda.runtime.deviceSynchronize()
        for name, zone in zones.items():
            if not zone.intact():
                return {"broken": [index, name], "facts": facts}
            if name in given and not bool((zone.body == given[name]).all()):
                return {"changed": [index, name], "facts": facts}
        for o in one["outputs"]:
            answer[o["offset"] : o["offset"] + o["size"]] = cp.asnumpy(zones[o["name"]].body)
    answer.flush()
    return {"facts": facts}


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Reference and candidate by turns in random order, on inputs, pointers and caches that are new each time; every output is compared.

    `samples` holds (reference ms, candidate ms, SM clock in MHz or null); `wrong` the first output that differs from the reference's.
    """
    programs = {who: Program(request[who]) for who in ("reference", "candidate")}
    given = {n: cp.asarray(x) for n, x in _read(request["inputs"], request["data"]).items()}
    rows = {one["name"]: one["row"] for one in request["inputs"]}
    outputs = {o["name"]: o for o in request["outputs"]}
    zones = {
        who: {n: Zone(x.size) for n, x in given.items()} | {n: Zone(o["size"]) for n, o in outputs.items()}
        for who in programs
    }
    for who, program in programs.items():
        zones[who] |= {o["name"]: Zone(o["size"]) for o in program.scratch}
    flush = cp.empty(2 * cp.cuda.runtime.getDeviceProperties(0)["l2CacheSize"], cp.uint8)
    clock = _clock()
    samples: list[list[Any]] = []
    repeat, repeats = 0, request["fewest"]
    while repeat < WARM_UP + repeats:
        fresh = {
            n: cp.roll(x.reshape(-1, rows[n]), random.randrange(max(1, x.size // rows[n])), axis=0).ravel()
            for n, x in given.items()
        }
        order = random.sample(list(programs), 2)
        times = {}
        for who in order:
            programs[who] = Program(request[who])  # anew: what its __device__ variables keep of the runs before is gone
            buffers = {n: z.place(random.randrange(SHIFTS), fresh.get(n)) for n, z in zones[who].items()}
            _no_persisting_lines()
            flush.fill(repeat & 0xFF)
            begin, end = cp.cuda.Event(), cp.cuda.Event()
            begin.record()
            programs[who].launch(buffers)
            end.record()
            cp.cuda.runtime.deviceSynchronize()
            times[who] = cp.cuda.get_elapsed_time(begin, end)
            if who == order[0]:  # out of reach of what runs next
                kept = {n: cp.bitwise_xor(zones[who][n].body, 0x5A) for n in outputs}
                for n in outputs:
                    zones[who][n].body.fill(0xFF)
        for n, zone in zones[order[0]].items():
            if n in outputs:
                zone.body[:] = cp.bitwise_xor(kept[n], 0x5A)
        for n, z in zones["candidate"].items():
            if not z.intact():
                return {"wrong": f"it wrote outside of {n}", "samples": samples}
            if n in fresh and not bool((z.body == fresh[n]).all()):
                return {"wrong": f"it changed its input {n}", "samples": samples}
        for n, o in outputs.items():
            wrong = _differs(zones["reference"][n].body, zones["candidate"][n].body, o)
            if wrong is not None:
                return {"wrong": f"timed run {repeat}: {n}{wrong}", "samples": samples}
        if repeat == WARM_UP:  # as many as the reference's time allows; the candidate's has no say
            repeats = int(min(max(request["seconds"] * 1e3 / times["reference"], request["fewest"]), request["most"]))
        if repeat >= WARM_UP:
            samples.append([times["reference"], times["candidate"], clock()])
        repeat += 1
    return {"samples": samples, "facts": programs["candidate"].facts()}


def _differs(reference: cp.ndarray, candidate: cp.ndarray, how: dict[str, Any]) -> str | None:
    """Where two outputs differ by more than the rounding of both."""
    if how["dtype"] in ("i32", "u32", "i64", "u64", "u8"):
        off = reference != candidate
        return f" differs in byte {int(off.argmax())}" if bool(off.any()) else None
    if how["dtype"] == "bf16":
        wide = [(x.view(cp.uint16).astype(cp.uint32) << 16).view(cp.float32) for x in (reference, candidate)]
    else:
        wide = [
            x.view({"f32": cp.float32, "f16": cp.float16, "f64": cp.float64}[how["dtype"]])
            for x in (reference, candidate)
        ]
    want, got = (x.astype(cp.float64) for x in wide)
    usual = cp.sqrt(cp.mean(cp.where(cp.isfinite(want), want, 0.0) ** 2))
    bound = how["slack"] * (cp.abs(want) + usual)
    same = (want == got) | (cp.isnan(want) & cp.isnan(got))
    wrong = ~same & ~(cp.abs(want - got) <= bound)
    if not bool(wrong.any()):
        return None
    at = int(wrong.argmax())
    return f"[{at}] is {float(got[at]):.9g} and should be {float(want[at]):.9g}"


def _no_persisting_lines() -> None:
    try:
        cp.cuda.runtime.deviceSetLimit(PERSISTING_L2, 0)
    except Exception:  # before compute capability 8.0, or a MIG slice
        pass


def _clock() -> Any:
    """A reader of the SM clock in MHz; one of None where NVML can't say."""
    try:
        import pynvml

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM)
    except Exception:  # no NVML, or not allowed (a MIG slice): times are kept without clocks
        return lambda: None
    return lambda: pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM)


def main() -> None:
    """Serve until standard input ends. The first line says what the device is.

    A kernel's printf writes to file 1 and its assert to file 2 of this process: the answers go to a file of their own.
    """
    answers = os.fdopen(os.dup(1), "w")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)

    def say(what: dict[str, Any]) -> None:
        print(json.dumps(what), file=answers, flush=True)

    try:
        about = cp.cuda.runtime.getDeviceProperties(0)
    except Exception as error:
        say({"none": f"{type(error).__name__}: {error}"})
        return
    ready = {
        "name": about["name"].decode(),
        "arch": f"sm_{about['major']}{about['minor']}",
        "l2_bytes": about["l2CacheSize"],
    }
    say(ready)
    os.dup2(null, 2)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"run": run, "time": measure, "probe": lambda _: {"alive": True}}[request["op"]](request)
        except Exception as error:  # an illegal access and its kind: the context is gone, and so is this process
            say({"died": f"{type(error).__name__}: {error}"[:400]})
            os._exit(1)  # a broken context makes destructors hang or speak
        say(answer)


if __name__ == "__main__":
    main()
