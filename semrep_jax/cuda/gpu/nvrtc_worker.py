"""A process that compiles programs with NVRTC. `nvrtc` starts it by path; JSON lines in, JSON lines out."""

import base64
import io
import json
import resource
import signal
import sys
from typing import Any

MEMORY_BYTES = 16 << 30


def compile_one(request: dict[str, Any]) -> dict[str, Any]:
    """{"cubin", "names", "report"} or {"log"}; the report is the assembler's, of registers and spills."""
    from cuda.core import Program, ProgramOptions

    options = ProgramOptions(
        name="kernel.cu",
        std="c++17",
        arch=request["arch"],
        include_path=request["include"],
        ofast_compile=request["fast"],
        lineinfo=True,
        no_display_error_number=True,
        ptxas_options="-v",
    )
    report = io.StringIO()
    try:
        program = Program(request["text"], "c++", options)
        compiled = program.compile("cubin", name_expressions=tuple(request["names"]), logs=report)
    except Exception as error:
        return {"log": str(error)}
    names = {k: v.decode() if isinstance(v, bytes) else v for k, v in compiled.symbol_mapping.items()}
    return {"cubin": base64.b64encode(compiled.code).decode(), "names": names, "report": report.getvalue()}


def main() -> None:
    """Serve until standard input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    from cuda.core import Program, ProgramOptions

    # a compiler that can't work here fails now, with its reason, and not at a candidate's cost
    Program('extern "C" __global__ void nothing() {}', "c++", ProgramOptions(arch="sm_90")).compile("cubin")
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, request["seconds"])  # its signal ends this process
        answer = compile_one(request)
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
