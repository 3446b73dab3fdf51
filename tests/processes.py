"""What runs below a process, and what of it is left when it is killed."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path


def descendants(pid: int) -> dict[int, str]:
    """All processes below a process, each with its start time."""
    table = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        table[int(path.parent.name)] = (after_name[0], int(after_name[1]), after_name[19])
    found: dict[int, str] = {}
    new = {pid}
    while new:
        new = {child for child, (state, parent, _) in table.items() if parent in new and state != "Z"}
        found |= {child: table[child][2] for child in new}
    return found


def alive(processes: dict[int, str]) -> list[str]:
    """The command lines of those that still run."""
    commands = []
    for pid, started in processes.items():
        try:
            after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            if after_name[0] != "Z" and after_name[19] == started:
                commands.append(Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return commands


def kill_when(process: subprocess.Popen, ready: Callable[[], bool]) -> list[str]:
    """Kill a process once it is ready; what of it runs 5 s later."""
    deadline = time.monotonic() + 60
    while not ready() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert ready() and process.poll() is None
    below = descendants(process.pid)
    assert below
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 5
    while alive(below) and time.monotonic() < deadline:
        time.sleep(0.05)
    return alive(below)
