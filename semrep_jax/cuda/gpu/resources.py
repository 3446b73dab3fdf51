"""What a compiled kernel takes of a multiprocessor, from the assembler's report; no GPU is needed for it.

resources.read(log)["_Z4reluPf"].summary("relu", threads=256)
# relu: 12 registers, no spills, occupancy 100%
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ENTRY = re.compile(r"Compiling entry function '([^']+)'(.*?)(?=Compiling entry function|\Z)", re.DOTALL)
_NUMBERS = {
    "registers": r"Used (\d+) registers",
    "stack": r"(\d+) bytes stack frame",
    "spilled": r"(\d+) bytes spill stores",
    "shared": r"(\d+) bytes smem",
}
# A multiprocessor of compute capability 8.0 to 10.0
REGISTERS = 65_536
THREADS = 2_048
BLOCKS = 32
SHARED_BYTES = 228 << 10
SYSTEM_SHARED_BYTES = 1 << 10  # that the system keeps a block
REGISTER_UNIT = 256  # registers are handed out in such numbers
WARP = 32


@dataclass(frozen=True)
class Resources:
    """A kernel's registers a thread, and bytes of stack, of spilled registers and of static shared memory."""

    registers: int
    stack: int
    spilled: int
    shared: int

    def occupancy(self, threads: int, dynamic: int = 0) -> float:
        """Share of a multiprocessor's threads that blocks of `threads` can keep busy.

        `dynamic` is what a block takes of shared memory beside the static part, in bytes.
        """
        warps = -(-threads // WARP)
        registers_a_warp = -(-self.registers * WARP // REGISTER_UNIT) * REGISTER_UNIT
        blocks = min(
            BLOCKS,
            THREADS // (warps * WARP),
            REGISTERS // max(1, registers_a_warp * warps),
            SHARED_BYTES // (self.shared + dynamic + SYSTEM_SHARED_BYTES),
        )
        return blocks * warps * WARP / THREADS

    def summary(self, kernel: str, threads: int, dynamic: int = 0) -> str:
        """One line for a person or a policy; `threads` and `dynamic` as in `occupancy`.

        kernel: the name that the line begins with.
        """
        parts = [
            f"{self.registers} registers",
            f"{self.spilled} bytes spilled" if self.spilled else "no spills",
        ]
        if self.stack:
            parts.append(f"{self.stack} bytes of local memory")
        if self.shared + dynamic:
            parts.append(f"{self.shared + dynamic} bytes shared")
        parts.append(f"occupancy {self.occupancy(threads, dynamic):.0%}")
        return f"{kernel}: {', '.join(parts)}"


def read(log: str) -> dict[str, Resources]:
    """Resources of each entry function by its linker's name, from what `ptxas -v` printed."""
    found = {}
    for symbol, body in _ENTRY.findall(log):
        numbers = {name: int(m[1]) if (m := re.search(pattern, body)) else 0 for name, pattern in _NUMBERS.items()}
        found[symbol] = Resources(**numbers)
    return found
