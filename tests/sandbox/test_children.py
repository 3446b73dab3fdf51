"""However a process of ours ends, 5 s later nothing of it runs: zygotes, candidates, workers, compilers."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest
from processes import kill_when

from semrep_jax.sandbox.pool import Sandbox
from semrep_jax.sandbox.wire import encode

JOBS = {
    "a sandbox": """
import threading
from semrep_jax.sandbox.pool import Limits, Sandbox
sandbox = Sandbox(2, Limits(cpu_seconds=300, wall_seconds=300), namespaces={namespaces})
for body in ("import time\\n while True: time.sleep(60)", "while True: pass"):
    threading.Thread(target=sandbox.run, args=("def f():\\n " + body, "f", [["t"]])).start()
""",
    "workers": """
from pathlib import Path
from semrep_jax.sandbox.json_worker import JsonWorker
script = Path({folder!r}, "worker.py")
script.write_text("import json, sys\\nprint(json.dumps({{}}), flush=True)\\nsys.stdin.readline()\\nwhile True: pass")
workers = [JsonWorker(script), JsonWorker(script)]
workers[0].process.stdin.write(b"1\\\\n")
workers[0].process.stdin.flush()
""",
    "what a thread started that has ended": """
import subprocess, sys, threading
ending = "import os, time; from semrep_jax.sandbox import children; children.end_soon_after(os.getppid()); {{}}"
started = lambda: subprocess.Popen([sys.executable, "-c", ending.replace("{{}}", "time.sleep(600)")])
thread = threading.Thread(target=started)
thread.start()
thread.join()
""",
    "a shell's children": """
import os, subprocess
from semrep_jax.sandbox import children
pipe = children.lifeline()
command = ["/bin/sh", "-c", children.WATCH + " sleep 1000 | sleep 1000"]
subprocess.Popen(command, start_new_session=True, pass_fds=[pipe], env=os.environ | {{"LIFELINE": str(pipe)}})
""",
}


@pytest.mark.parametrize("namespaces", [True, False])
@pytest.mark.parametrize("job", JOBS)
def test_nothing_outlives_a_killed_process(job, namespaces, tmp_path):
    mark = tmp_path / "ready"
    script = JOBS[job].format(namespaces=namespaces, folder=str(tmp_path))
    script += f"\nimport time\ntime.sleep(0.7)\nopen({str(mark)!r}, 'w').close()\ntime.sleep(600)\n"
    process = subprocess.Popen([sys.executable, "-c", script])
    assert kill_when(process, mark.exists) == []


def test_a_zygote_outlives_the_thread_that_asked_for_it():
    with Sandbox(1) as sandbox:
        index, zygote = sandbox.free.get()
        zygote.process.kill()
        zygote.process.wait()
        sandbox.free.put((index, zygote))
        for _ in range(2):
            thread = threading.Thread(target=sandbox.run, args=("def f(): return 1", "f", [["t"]]))
            thread.start()
            thread.join()
        time.sleep(0.2)
        assert sandbox.run("def f(): return 1", "f", [encode(())]).outcomes[0].value == 1
        assert sandbox.restarts == 1
