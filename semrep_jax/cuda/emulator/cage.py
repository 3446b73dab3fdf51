"""A zygote whose children load one shared object and launch its kernels on buffers that they share with it.

Started by `emulate` as `python -P -s -S cage.py SETTINGS` with the sandbox's lockdown; never imported by the package. A
request's JSON is followed by the bytes of the shared memory; the reply's bytes are the same memory afterwards, whatever
became of the child.
"""

import _ctypes
import ctypes
import importlib
import json
import mmap
import os
import sys

_package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(_package, "sandbox"))
zygote = importlib.import_module("zygote")
del sys.path[0]

PAGE = mmap.PAGESIZE
_libc = ctypes.CDLL(None, use_errno=True)
SCALARS = {
    "i32": ctypes.c_int32,
    "u32": ctypes.c_uint32,
    "i64": ctypes.c_int64,
    "u64": ctypes.c_uint64,
    "u8": ctypes.c_uint8,
    "f32": ctypes.c_float,
    "f64": ctypes.c_double,
    "f16": ctypes.c_uint16,
    "bf16": ctypes.c_uint16,
}


def load(request, base):
    """The candidate's library, told where to report."""
    library = ctypes.CDLL(request["library"])
    library.semrep_begin(ctypes.c_void_p(base))
    pointer = ctypes.c_void_p
    library.semrep_launch.argtypes = [pointer, pointer, pointer, pointer, ctypes.c_ulong, ctypes.c_uint, ctypes.c_long]
    return library


def unload(library):
    """Forget the library with all its variables."""
    library.semrep_end()
    _ctypes.dlclose(library._handle)


def launch(library, run, index, base):
    """Make one launch of a run; what is wrong where its arguments have other sizes than the kernel's parameters.

    library: from `load`. run: one of the request's. index: which of its launches. base: the address of the shared
    memory. What is wrong is [index, wanted, given], with the sizes in bytes.
    """
    kernel, dims, shared, size, args = run["launches"][index]
    parameter_size = getattr(library, f"semrep_size_{kernel}")
    values = [ctypes.c_void_p(base + a) if isinstance(a, int) else SCALARS[a[0]](a[1]) for a in args]
    given = [ctypes.sizeof(v) for v in values]
    wanted = [parameter_size(i + 1) for i in range(parameter_size(0))]
    if given != wanted:
        return [index, wanted, given]
    pointers = (ctypes.c_void_p * len(values))(*[ctypes.addressof(v) for v in values])
    entry = ctypes.cast(getattr(library, f"semrep_kernel_{kernel}"), ctypes.c_void_p)
    library.semrep_launch(entry, pointers, (ctypes.c_uint * 6)(*dims), base + shared, size, run["schedule"], index)
    return None


def launch_all(request, base):
    """Load the candidate and make every launch of every run; progress and faults go into the report at `base`."""
    done = ctypes.c_int64.from_address(base + request["done_at"])
    library = None
    for run in request["runs"]:
        if library is not None and run["schedule"]:
            unload(library)  # inputs that came before: no __device__ variable may know the answer
            library = None
        if library is None:
            library = load(request, base)
        for page in run["guards"]:
            _libc.mprotect(ctypes.c_void_p(base + page), ctypes.c_size_t(PAGE), 0)
        for index in range(len(run["launches"])):
            wrong = launch(library, run, index, base)
            if wrong is not None:
                return {"launch": wrong}
        done.value += 1
    return {"launch": None}


def run_native(request, containment):
    """Answer one request: facts about the child's end, its one line, and the shared memory."""
    memory = mmap.mmap(-1, request["size"])
    view = (ctypes.c_char * request["size"]).from_buffer(memory)
    received = 0
    while received < request["size"]:
        received += os.readv(0, [memoryview(memory)[received:]])
    base = ctypes.addressof(view)
    facts, raw = zygote.child.run_child(request, containment, lambda request: launch_all(request, base))
    facts |= {"base": base, "output": raw.decode("utf-8", "replace")}
    after = bytes(memory)
    return facts, after


if __name__ == "__main__":
    zygote.serve(run_native, json.loads(sys.argv[1]))
