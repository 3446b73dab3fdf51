"""Processes that end with this one, even where it is killed.

    process = children.start([sys.executable, "-c", children.ENDING_WITH_US, "worker.py"], stdin=subprocess.PIPE)

The kernel sends a process the signal that it has asked for when the *thread* that started it ends. So all are started
by one thread, which ends with this process. A shell command that starts others is a session of its own, with a watch on
a pipe that closes when this process ends:

    pipe = children.lifeline()
    command = ["/bin/sh", "-c", f"{children.WATCH} exec g++ ..."]
    subprocess.Popen(command, start_new_session=True, pass_fds=[pipe], env={"LIFELINE": str(pipe)})
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import Future
from functools import cache
from queue import SimpleQueue
from threading import Thread
from typing import Any

_PR_SET_PDEATHSIG = 1
# Runs the script that is its argument, killed when the thread that started it ends.
ENDING_WITH_US = """
import ctypes, runpy, sys
ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

# The start of a shell command that kills its whole process group when this process has ended.
WATCH = '(read -r _ <"/proc/self/fd/$LIFELINE"; kill -KILL 0) >/dev/null 2>&1 &'


def start(command: Sequence[str], **how: Any) -> subprocess.Popen[bytes]:
    """A process as `subprocess.Popen` starts it, by the thread that lives as long as this process."""
    future: Future[subprocess.Popen[Any]] = Future()
    _requests().put((command, how, future))
    return future.result()


def lifeline() -> int:
    """The descriptor of a pipe that reads as ended when this process has; others get it by `pass_fds`."""
    return _pipe()[0]


Request = tuple[Sequence[str], dict[str, Any], Future[subprocess.Popen[Any]]]


@cache
def _requests() -> SimpleQueue[Request]:
    """What the thread is to start. It is a daemon, so that it ends last of all."""
    requests: SimpleQueue[Request] = SimpleQueue()
    Thread(target=_start_each, args=(requests,), name="children", daemon=True).start()
    return requests


def _start_each(requests: SimpleQueue[Request]) -> None:
    while True:
        command, how, future = requests.get()
        try:
            future.set_result(subprocess.Popen(command, **how))
        except BaseException as error:
            future.set_exception(error)


@cache
def _pipe() -> tuple[int, int]:
    return os.pipe()


os.register_at_fork(after_in_child=_requests.cache_clear)  # a thread is not there after a fork
os.register_at_fork(after_in_child=_pipe.cache_clear)


def end_soon_after(parent: int) -> None:
    """End this process a second after its `parent` has, whichever of its threads started it; returns at once."""

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    Thread(target=look, name="parent", daemon=True).start()


def end_with(parent: int) -> None:
    """End this process when the thread that started it does; now, where its `parent` has ended before."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
