"""What the Linux kernel can take away from a process, each in one function that says whether it worked.

Loaded by the zygote by path, so it imports only the standard library. `namespaces` and `landlock` are entered once by a
zygote and inherited; `privileges` and `syscalls` are laid on every child just before a stranger's code runs.
References: landlock(7), seccomp(2), namespaces(7), capabilities(7).
"""

import ctypes
import errno
import os
import struct
import sysconfig

_libc = ctypes.CDLL(None, use_errno=True)
NOBODY = 65534
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _PR_SET_DUMPABLE = 1, 24, 22, 38, 4
_CLONE = {
    "mount": 0x20000,
    "uts": 0x4000000,
    "ipc": 0x8000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}
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
    multiarch = f"{os.uname().machine}-linux-gnu"
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
    return (
        (["landlock"] + (["landlock tcp"] if abi >= 4 else []) + (["landlock signals"] if abi >= 6 else []))
        if held
        else []
    )


def bound_capabilities(gid: int) -> None:
    """What a zygote gives up for itself and all its children: groups, and any capability that an exec could give back."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for capability in range(64):
        if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break


def privileges(uid: int) -> None:
    """Become `uid` where root (with it every capability goes), else give up every capability. Raises OSError where that fails."""
    if os.geteuid() == 0:
        os.setresuid(uid, uid, uid)
    elif _libc.capset(struct.pack("II", 0x20080522, 0), bytes(24)) != 0:
        raise PermissionError(errno.EPERM, "capabilities stay")


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


_Instruction = tuple[int, int, int, int]
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW: list[_Instruction] = [(_RETURN, 0, 0, 0x7FFF0000)]


def _decide(ranges: list[tuple[int, list[_Instruction]]]) -> list[_Instruction]:
    """A balanced tree over [first number, action] ranges: the kernel tries each of its 900 calls when a filter is laid on."""
    if len(ranges) == 1:
        return ranges[0][1]
    middle = len(ranges) // 2
    below, above = _decide(ranges[:middle]), _decide(ranges[middle:])
    return [(_AT_LEAST, len(below), 0, ranges[middle][0]), *below, *above]


def filter_program() -> object | None:
    """The seccomp filter of this machine as a C structure to pass to `syscalls`; None on an unknown processor."""
    known = _DENIED.get(os.uname().machine)
    if known is None:
        return None
    arch, clone, clone3, denied = known
    refuse, absent = [(_RETURN, 0, 0, 0x50000 | errno.EPERM)], [(_RETURN, 0, 0, 0x50000 | errno.ENOSYS)]
    kill = (_RETURN, 0, 0, 0x80000000)
    threads_only = [(_LOAD, 0, 0, 16), (0x45, 0, 1, 0x10000), *_ALLOW, *refuse]  # CLONE_THREAD among the flags
    actions = dict.fromkeys(denied, refuse) | {clone: threads_only, clone3: absent}
    starts = {0: _ALLOW}
    for number in sorted(actions):
        starts[number] = actions[number]
        starts.setdefault(number + 1, actions.get(number + 1, _ALLOW))
    starts[0x40000000] = [kill]  # the x32 numbers
    code = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, arch), kill, (_LOAD, 0, 0, 0), *_decide(list(starts.items()))]
    blob = b"".join(struct.pack("HBBI", *instruction) for instruction in code)
    buffer = ctypes.create_string_buffer(blob, len(blob))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(code), ctypes.addressof(buffer)), 16)
    program.keep = buffer  # type: ignore[attr-defined]
    return program


def syscalls(program: object) -> None:
    """Lay the filter on this thread; it can't be taken off. Raises OSError where the kernel refuses it."""
    if _libc.prctl(_PR_SET_SECCOMP, 2, program, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the system call filter is refused")
