"""What a compiled kernel takes of a multiprocessor, from the assembler's report; no GPU is needed for it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ENTRY = re.compile(r"Compiling entry function '([^']+)'(.*?)(?=Compiling entry function|\Z)", re.DOTALL)
_NUMBERS = {
    "registers": r"Used (\d+) registers", "stack": r"(\d+) bytes stack frame", "spilled": r"(\d+) bytes spill stores",
    "shared": r"(\d+) bytes smem",
}  # fmt: skip
# A multiprocessor of compute capability 8.0 to 10.0: registers, threads, blocks, bytes of shared memory
REGISTERS, THREADS, BLOCKS, SHARED = 65_536, 2_048, 32, 228 << 10


@dataclass(frozen=True)
class Resources:
    """A kernel's registers a thread, and bytes of stack, of spilled registers and of static shared memory."""

    registers: int
    stack: int
    spilled: int
    shared: int

    def occupancy(self, threads: int, dynamic: int = 0) -> float:
        """Share of a multiprocessor's threads that blocks of `threads` can keep busy, with `dynamic` bytes of shared memory each."""
        warps = -(-threads // 32)
        by_warp = -(-self.registers * 32 // 256) * 256  # registers are handed out 256 at a time
        shared = self.shared + dynamic + 1024  # the system keeps 1 KiB a block
        most = min(BLOCKS, THREADS // (warps * 32), REGISTERS // max(1, by_warp * warps), SHARED // shared)
        return most * warps * 32 / THREADS

    def said(self, kernel: str, threads: int, dynamic: int = 0) -> str:
        """One line for a person or a policy."""
        spills = f"{self.spilled} bytes spilled" if self.spilled else "no spills"
        shared = f", {self.shared + dynamic} bytes shared" if self.shared + dynamic else ""
        stack = f", {self.stack} bytes of local memory" if self.stack else ""
        return f"{kernel}: {self.registers} registers, {spills}{stack}{shared}, occupancy {self.occupancy(threads, dynamic):.0%}"


def read(log: str) -> dict[str, Resources]:
    """Resources of each entry function by its linker's name, from what `ptxas -v` printed."""
    found = {}
    for symbol, body in _ENTRY.findall(log):
        numbers = {name: int(m[1]) if (m := re.search(pattern, body)) else 0 for name, pattern in _NUMBERS.items()}
        found[symbol] = Resources(**numbers)
    return found
