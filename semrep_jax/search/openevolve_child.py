"""Runs someone's evaluator on one candidate, contained; started by `openevolve.Isolated`, never imported.

    python openevolve_child.py
    # standard input: {"evaluator", "program", "suffix", "scratch", "memory_mb", "seconds"}

Leaves the host's network, process and mount namespaces where the kernel allows that (everything read-only but
`scratch`), limits memory, files and processor time, and prints the result as the last line, a JSON object: metrics,
artifacts, error.
"""

import importlib.util
import json
import os
import resource
import runpy
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

SCRATCH_MB = 256


def main() -> None:
    """See above. The evaluator runs as process 2 of a pid namespace whose end is the end of all that it started."""
    told = json.load(sys.stdin)
    os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())
    lockdown = _load(Path(__file__).parent.parent / "sandbox" / "lockdown.py")
    lockdown.die_with_parent()
    lockdown.enter_namespaces(told["scratch"], SCRATCH_MB)
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        os._exit(0)
    lockdown.die_with_parent()
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CPU, (told["seconds"], told["seconds"] + 1))
    resource.setrlimit(resource.RLIMIT_AS, (told["memory_mb"] << 20,) * 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SCRATCH_MB << 20,) * 2)  # where the file system is everybody's
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ["TMPDIR"] = told["scratch"]
    os.chdir(told["scratch"])
    print("\n" + json.dumps(_evaluate(told)), flush=True)
    os._exit(0)


def _evaluate(told: dict[str, Any]) -> dict[str, Any]:
    program = Path(told["scratch"]) / f"candidate{told['suffix']}"
    program.write_text(told["program"])
    sys.path.insert(0, str(Path(told["evaluator"]).parent))
    try:
        result = runpy.run_path(told["evaluator"], run_name="evaluation_module")["evaluate"](str(program))
        metrics, artifacts = getattr(result, "metrics", result), getattr(result, "artifacts", {})
        texts = {str(k): v.decode(errors="replace") if isinstance(v, bytes) else str(v) for k, v in artifacts.items()}
        return {"metrics": json.loads(json.dumps(metrics, default=float)), "artifacts": texts, "error": None}
    except BaseException as error:
        text = {"traceback": traceback.format_exc()}
        return {"metrics": {}, "artifacts": text, "error": f"{type(error).__name__}: {error}"}


def _load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
