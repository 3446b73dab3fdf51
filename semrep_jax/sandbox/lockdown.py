"""What the Linux kernel can take away from a process, each in one function that says whether it worked.

Loaded by the zygote by path, so it imports only the standard library. `namespaces` and `landlock` are entered once by a
zygote and inherited; `privileges` and `syscalls` are laid on every child just before a stranger's code runs.
References: landlock(7), seccomp(2), namespaces(7), capabilities(7).
"""

import ctypes
import errno
import os
import platform
import struct
import sysconfig

_libc = ctypes.CDLL(None, use_errno=True)
NOBODY = 65534
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _PR_SET_DUMPABLE = 1, 24, 22, 38, 4
_CLONE = {"mount": 0x20000, "uts": 0x4000000, "ipc": 0x8000000, "user": 0x10000000, "pid": 0x20000000, "net": 0x40000000}
_MS_REC_PRIVATE, _MS_NOSUID_NODEV_NOEXEC = 0x4000 | 0x40000, 2 | 4 | 8


def namespaces(scratch: str, size_mb: int) -> list[str]:
    """Leave the host's user, pid, network, IPC, UTS and mount namespaces; returns those left.

    The pid namespace holds from the next fork on. Inside, everything is mounted read-only but an empty tmpfs of
    `size_mb` MiB on `scratch`. An ordinary user needs user namespaces; where those are off, nothing is left.
    """
    root = os.geteuid() == 0
    flags = sum(v for k, v in _CLONE.items() if not (root and k == "user"))
    if not root and not _unshare_as_user(flags):
        return []
    if root and _libc.unshare(flags) != 0:
        return []
    left = [k for k in _CLONE if not (root and k == "user")]
    _libc.mount(None, b"/", None, _MS_REC_PRIVATE, None)
    attributes = struct.pack("QQQQ", 1, 0, 0, 0)  # MOUNT_ATTR_RDONLY on the whole tree
    read_only = _libc.syscall(442, -100, b"/", 0x8000, attributes, len(attributes)) == 0
    options = f"size={size_mb}m,nr_inodes=2000,mode=0777".encode()
    on_tmpfs = _libc.mount(b"tmpfs", scratch.encode(), b"tmpfs", _MS_NOSUID_NODEV_NOEXEC, options) == 0
    return left + (["read-only root"] if read_only and on_tmpfs else [])


def _unshare_as_user(flags: int) -> bool:
    uid, gid = os.geteuid(), os.getegid()
    _libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
    if _libc.unshare(flags) != 0:
        return False
    try:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    except OSError:
        pass  # unmapped ids are no more powerful than mapped ones
    return True


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0)


def readable_paths() -> list[str]:
    """What a candidate may read: the standard library without site-packages, shared libraries, a few devices."""
    paths = ["/dev/null", "/dev/zero", "/dev/urandom", "/usr/share/zoneinfo", "/etc/localtime", "/lib64", "/usr/lib64"]
    multiarch = f"{platform.machine()}-linux-gnu"
    paths += [f"/lib/{multiarch}", f"/usr/lib/{multiarch}"]
    for name in ("stdlib", "platstdlib"):
        base = sysconfig.get_path(name)
        hidden = ("site-packages", "dist-packages", "test", "idlelib", "ensurepip")
        paths += [os.path.join(base, entry) for entry in os.listdir(base) if entry not in hidden]
    return sorted({p for p in paths if os.path.exists(p)})


def landlock(readable: list[str], writable: list[str]) -> list[str]:
    """Deny the file system but for `readable` and `writable`, TCP, and signals to the outside; returns what holds."""
    abi = _libc.syscall(444, None, 0, 1)
    if abi < 1:
        return []
    every = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(abi, 16)) - 1
    attributes = struct.pack("QQQ", every, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0)
    attributes = attributes[: 24 if abi >= 6 else 16 if abi >= 4 else 8]
    ruleset = _libc.syscall(444, attributes, len(attributes), 0)
    if ruleset < 0:
        return []
    of_files = 1 | 2 | 4 | (1 << 14) | (1 << 15)
    for path, rights in [(p, 1 | 4 | 8) for p in readable] + [(p, every) for p in writable]:
        try:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue  # not reachable for this user: stays denied
        allowed = rights & every if os.path.isdir(path) else rights & every & of_files
        _libc.syscall(445, ruleset, 1, struct.pack("=Qi", allowed, fd), 0)
        os.close(fd)
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    held = _libc.syscall(446, ruleset, 0) == 0
    os.close(ruleset)
    return (["landlock"] + (["landlock tcp"] if abi >= 4 else []) + (["landlock signals"] if abi >= 6 else [])) if held else []


def bound_capabilities() -> None:
    """Empty the bounding set, once for the zygote and all its children: no exec can gain a capability again."""
    for capability in range(64):
        if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break


def privileges(uid: int) -> None:
    """Become `uid` where root, and give up every capability and the way back. Raises OSError where that fails."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    header, nothing = struct.pack("II", 0x20080522, 0), bytes(24)
    _libc.capset(header, nothing)
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.geteuid() == 0:
        raise PermissionError(errno.EPERM, "still root")


# Denied system calls: processes, signals, tracing, sockets, mounts, keys, kernel interfaces, IPC that outlives a run.
_DENIED = {
    "x86_64": (
        0xC000003E, 56, 435,
        (57, 58, 59, 322, 62, 200, 234, 129, 297, 424, 434, 438, 101, 310, 311, 312, 41, 42, 53, 165, 166, 155, 161, 272, 308,
         248, 249, 250, 321, 298, 323, 425, 426, 427, 175, 176, 313, 240, 29, 64, 68, 169, 304, 428, 429, 430, 431, 432, 442),
    ),
    "aarch64": (
        0xC00000B7, 220, 435,
        (221, 281, 129, 130, 131, 138, 240, 424, 434, 438, 117, 270, 271, 272, 198, 203, 199, 40, 39, 41, 51, 97, 268,
         217, 218, 219, 280, 241, 282, 425, 426, 427, 105, 106, 273, 180, 194, 190, 186, 142, 265, 428, 429, 430, 431, 432, 442),
    ),
}  # fmt: skip


def filter_program() -> object | None:
    """The seccomp filter of this machine as a C structure to pass to `syscalls`; None on an unknown processor."""
    known = _DENIED.get(platform.machine())
    if known is None:
        return None
    arch, clone, clone3, denied = known
    load = lambda offset: (0x20, 0, 0, offset)  # noqa: E731
    refuse, allow, kill = (0x06, 0, 0, 0x50000 | errno.EPERM), (0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, 0x80000000)
    code = [load(4), (0x15, 1, 0, arch), kill, load(0), (0x35, 0, 1, 0x40000000), kill]
    for number in denied:
        code += [(0x15, 0, 1, number), refuse]
    code += [(0x15, 0, 1, clone3), (0x06, 0, 0, 0x50000 | errno.ENOSYS)]
    code += [(0x15, 0, 3, clone), load(16), (0x45, 1, 0, 0x10000), refuse, allow]  # clone only for threads
    blob = b"".join(struct.pack("HBBI", *instruction) for instruction in code)
    buffer = ctypes.create_string_buffer(blob, len(blob))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(code), ctypes.addressof(buffer)), 16)
    program.keep = buffer  # type: ignore[attr-defined]
    return program


def syscalls(program: object | None) -> bool:
    """Lay the filter on this thread; it can't be taken off."""
    return program is not None and _libc.prctl(_PR_SET_SECCOMP, 2, program, 0, 0) == 0
