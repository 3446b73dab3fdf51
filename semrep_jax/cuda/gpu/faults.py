"""Whose fault it is when a worker of the GPU ends: the kernel's that it ran, or ours, the driver's, the machine's.

    is_candidates("CUDARuntimeError: cudaErrorIllegalAddress: ...")     # True: only a kernel can cause that
    is_candidates("OutOfMemoryError: Out of memory allocating ...")     # False: others use this GPU too

What is not known to be a kernel's doing is not: such a candidate is left unjudged, with the reason.
"""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Mapping
from typing import Any

from semrep_jax.core.programs import Status
from semrep_jax.cuda.status import KernelStatus
from semrep_jax.sandbox.json_worker import JsonWorker

# Errors by their names in the driver's interface and in the runtime's, without case and underscores
CRASHES = (
    "illegaladdress",
    "launchfailed",
    "launchfailure",
    "assert",
    "misalignedaddress",
    "illegalinstruction",
    "invalidaddressspace",
    "invalidpc",
    "hardwarestackerror",
)
SLOW = ("launchtimeout",)
NO_LAUNCH = (
    "launchoutofresources",
    "invalidconfiguration",
    "invalidvalue",
    "cooperativelaunchtoolarge",
    "sharedobjectinitfailed",
)
LONGER = "it takes longer than"
SHARED_BYTES = 2 << 30  # of a GPU's memory in use before the worker has any: others are there
_NAME = re.compile(r"\b(?:cudaError|CUDA_ERROR_)(\w+)")


def status_of(reason: str) -> str:
    """The status of a candidate whose fault it is; UNJUDGED where it is not."""
    if reason.startswith(LONGER):
        return Status.TIMEOUT
    found = _NAME.search(reason)
    name = "" if found is None else found[1].replace("_", "").lower()
    for names, status in ((CRASHES, Status.CRASH), (SLOW, Status.TIMEOUT), (NO_LAUNCH, KernelStatus.LAUNCH)):
        if name in names:
            return status
    return Status.UNJUDGED


def is_candidates(reason: str) -> bool:
    """Whether an error is one that a kernel can cause, and nothing else."""
    return status_of(reason) is not Status.UNJUDGED


def exit_code(worker: JsonWorker) -> int | None:
    """How a worker that gave no answer has ended; None where it has not, because it hangs."""
    try:
        return worker.process.wait(1.0)
    except subprocess.TimeoutExpired:
        return None


def named(code: int) -> str:
    """An exit code in words."""
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def notes(device: Mapping[str, Any]) -> list[str]:
    """What a user should know of a device before times of it are read; `device` is as a worker describes it."""
    found = []
    used = device["total_bytes"] - device["free_bytes"]
    if "MIG" in device["name"]:
        found.append(f"{device['name']} is a slice of a GPU: its times and share of the roofline are the slice's own")
    if used > SHARED_BYTES:
        found.append(
            f"{used >> 30} of {device['total_bytes'] >> 30} GiB of {device['name']} are in use by others: "
            "what runs beside a timing makes it longer"
        )
    return found


def not_run(device: Mapping[str, Any], reason: str) -> str:
    """Why a device can't run what is compiled for it, and what helps."""
    driver, nvrtc = device["driver"], ".".join(str(part) for part in device["nvrtc"])
    versions = f"its driver is for CUDA {driver // 1000}.{driver % 1000 // 10}, CuPy's NVRTC is {nvrtc}"
    return (
        f"{device['name']} does not run what is compiled for it ({reason}); {versions}: "
        "update the driver, or install the extra for its CUDA (cuda12 or cuda13)"
    )
