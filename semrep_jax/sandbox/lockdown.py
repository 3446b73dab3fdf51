"""What the Linux kernel can take away from a process, each layer in one function that says whether it holds.

Loaded by the zygote by path, so it imports only the standard library. `enter_namespaces` and `enter_landlock` are
called once by a zygote and inherited; `drop_privileges` and `filter_syscalls` are laid on every child just before a
stranger's code runs. References: landlock(7), seccomp(2), namespaces(7), capabilities(7), mount_setattr(2).
"""

import ctypes
import errno
import os
import struct
import sysconfig

_libc = ctypes.CDLL(None, use_errno=True)

# prctl(2)
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_SECCOMP = 22
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2
_SIGKILL = 9

# System calls that have one number on every processor.
_SYS_MOUNT_SETATTR = 442
_SYS_LANDLOCK_CREATE_RULESET = 444
_SYS_LANDLOCK_ADD_RULE = 445
_SYS_LANDLOCK_RESTRICT_SELF = 446

_CLONE_NEW = {
    "mount": 0x20000,
    "uts": 0x4000000,
    "ipc": 0x8000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}
_MS_REC_PRIVATE = 0x4000 | 0x40000
_MS_NOSUID_NODEV_NOEXEC = 2 | 4 | 8
_MOUNT_ATTR_RDONLY = 1
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000

# Rights of Landlock on files; those of a directory alone can't be given on a file.
_EXECUTE = 1
_WRITE_FILE = 2
_READ_FILE = 4
_READ_DIR = 8
_TRUNCATE = 1 << 14
_IOCTL_DEV = 1 << 15
_RIGHTS_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_FILE_RIGHTS_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15}  # how many an ABI knows; 16 from the fifth on
_BIND_AND_CONNECT_TCP = 3  # from ABI 4
_ABSTRACT_SOCKETS_AND_SIGNALS = 3  # from ABI 6


def enter_namespaces(scratch: str, size_mb: int) -> list[str]:
    """Leave the host's user, pid, network, IPC, UTS and mount namespaces for new ones; returns the names of those
    entered.

    The pid namespace holds from the next fork on. Inside, everything is mounted read-only but an empty tmpfs on
    `scratch`. An ordinary user needs user namespaces; where those are off, none is entered.

    scratch: the directory that stays writable. size_mb: what may be written there (MiB).
    """
    root = os.geteuid() == 0
    wanted = [name for name in _CLONE_NEW if not (root and name == "user")]
    flags = sum(_CLONE_NEW[name] for name in wanted)
    if not root and not _unshare_as_user(flags):
        return []
    if root and _libc.unshare(flags) != 0:
        return []
    _libc.mount(None, b"/", None, _MS_REC_PRIVATE, None)
    attributes = struct.pack("QQQQ", _MOUNT_ATTR_RDONLY, 0, 0, 0)
    read_only = _libc.syscall(_SYS_MOUNT_SETATTR, _AT_FDCWD, b"/", _AT_RECURSIVE, attributes, len(attributes)) == 0
    options = f"size={size_mb}m,nr_inodes=2000,mode=0777".encode()
    on_tmpfs = _libc.mount(b"tmpfs", scratch.encode(), b"tmpfs", _MS_NOSUID_NODEV_NOEXEC, options) == 0
    return wanted + (["read-only root"] if read_only and on_tmpfs else [])


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
    """Ask the kernel to kill this process when the thread that started it ends. A fork or a change of ids clears
    this; a candidate can't."""
    _libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)


def readable_paths(doors: dict[str, str]) -> list[str]:
    """What a candidate may read: the standard library without site-packages, shared libraries, a few devices.

    doors: paths to be taken in the place of folders that an ordinary user can't walk to.
    """
    paths = ["/dev/null", "/dev/zero", "/dev/urandom", "/usr/share/zoneinfo", "/etc/localtime", "/lib64", "/usr/lib64"]
    multiarch = f"{os.uname().machine}-linux-gnu"
    paths += [f"/lib/{multiarch}", f"/usr/lib/{multiarch}"]
    for name in ("stdlib", "platstdlib"):
        folder = sysconfig.get_path(name)
        base = doors.get(folder, folder)
        hidden = ("site-packages", "dist-packages", "test", "idlelib", "ensurepip")
        paths += [os.path.join(base, entry) for entry in os.listdir(base) if entry not in hidden]
    return sorted({p for p in paths if os.path.exists(p)})


def enter_landlock(readable: list[str], writable: list[str]) -> list[str]:
    """Deny the file system but for `readable` and `writable`, TCP, and signals to the outside; returns what holds."""
    abi = _libc.syscall(_SYS_LANDLOCK_CREATE_RULESET, None, 0, 1)
    if abi < 1:
        return []
    every = (1 << _FILE_RIGHTS_BY_ABI.get(abi, 16)) - 1
    tcp, signals = abi >= 4, abi >= 6
    attributes = struct.pack(
        "QQQ", every, _BIND_AND_CONNECT_TCP if tcp else 0, _ABSTRACT_SOCKETS_AND_SIGNALS if signals else 0
    )
    known_bytes = 24 if signals else 16 if tcp else 8  # a kernel refuses fields that it does not know
    ruleset = _libc.syscall(_SYS_LANDLOCK_CREATE_RULESET, attributes[:known_bytes], known_bytes, 0)
    if ruleset < 0:
        return []
    read = _EXECUTE | _READ_FILE | _READ_DIR
    for path, rights in [(p, read) for p in readable] + [(p, every) for p in writable]:
        try:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue  # not reachable for this user: stays denied
        allowed = rights & every if os.path.isdir(path) else rights & every & _RIGHTS_ON_FILES
        _libc.syscall(_SYS_LANDLOCK_ADD_RULE, ruleset, 1, struct.pack("=Qi", allowed, fd), 0)
        os.close(fd)
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    held = _libc.syscall(_SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0) == 0
    os.close(ruleset)
    if not held:
        return []
    return ["landlock"] + (["landlock tcp"] if tcp else []) + (["landlock signals"] if signals else [])


def bound_capabilities(gid: int) -> None:
    """Give up all groups but `gid`, and any capability that an exec could give back, here and in all children."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for capability in range(64):
        if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break


def drop_privileges(uid: int) -> None:
    """Become `uid` where root (capabilities go too), else give up every capability. Raises OSError if that fails."""
    if os.geteuid() == 0:
        os.setresuid(uid, uid, uid)
    elif _libc.capset(struct.pack("II", 0x20080522, 0), bytes(24)) != 0:
        raise PermissionError(errno.EPERM, "capabilities stay")


# The system calls that a candidate is refused, with their numbers on (x86_64, aarch64); None where there is no such
# call.
DENIED = {
    # new processes; `clone` is decided by its flags, `clone3` (whose flags a filter can't read) is absent
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281),
    # signals to others, and handles on other processes
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "pidfd_send_signal": (424, 424), "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438), "timer_create": (222, 107),
    # locks on what all candidates share; `fcntl` is decided by its command
    "flock": (73, 32),
    # tracing, and the memory of others
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    # how others run, and how a process itself does: what gives way to all others looks like a machine too busy for it
    "sched_yield": (24, 124), "sched_setparam": (142, 118), "sched_setscheduler": (144, 119),
    "sched_setattr": (314, 274), "sched_setaffinity": (203, 122),
    "setpriority": (141, 140), "ioprio_set": (251, 30), "migrate_pages": (256, 238), "move_pages": (279, 239),
    # sockets
    "socket": (41, 198), "connect": (42, 203), "socketpair": (53, 199),
    # mounts, roots, namespaces
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "unshare": (272, 97),
    "setns": (308, 268), "open_by_handle_at": (304, 265), "open_tree": (428, 428), "move_mount": (429, 429),
    "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "mount_setattr": (442, 442),
    # keys
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    # interfaces of the kernel that have often been its weak spot, modules, the machine
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "init_module": (175, 105),
    "delete_module": (176, 106), "finit_module": (313, 273), "reboot": (169, 142),
    # IPC that outlives a run
    "mq_open": (240, 180), "shmget": (29, 194), "semget": (64, 190), "msgget": (68, 186),
}  # fmt: skip
# Calls that a process may make about itself (a first argument of 0): a candidate that is the zygote's own user could
# else take limits from it, and so from all candidates after it.
OWN_ONLY = {"prlimit64": (302, 261)}
# Commands of fcntl that have a signal sent, to whomever, or leave something at an open file that others share.
FCNTL = {"x86_64": 72, "aarch64": 25}
_SIGNALS_AND_LOCKS = (8, 10, 15, 37, 38, 1024, 1026)  # F_SETOWN, _SETSIG, _SETOWN_EX, _OFD_SETLK(W), _SETLEASE, _NOTIFY
# machine: (its audit architecture, the numbers of clone, clone3 and prctl, its column in DENIED)
_MACHINES = {"x86_64": (0xC000003E, 56, 435, 157, 0), "aarch64": (0xC00000B7, 220, 435, 167, 1)}

_Instruction = tuple[int, int, int, int]  # of classic BPF: code, jump if true, jump if false, constant
_LOAD = 0x20
_EQUAL = 0x15
_AT_LEAST = 0x35
_ANY_BIT = 0x45
_RETURN = 0x06
_NUMBER_AT = 0  # offsets in struct seccomp_data
_ARCHITECTURE_AT = 4
_FIRST_ARGUMENT_AT = 16
_SECOND_ARGUMENT_AT = 24
_CLONE_THREAD = 0x10000
_X32_NUMBERS = 0x40000000
_ALLOW: list[_Instruction] = [(_RETURN, 0, 0, 0x7FFF0000)]
_REFUSE: list[_Instruction] = [(_RETURN, 0, 0, 0x50000 | errno.EPERM)]
_ABSENT: list[_Instruction] = [(_RETURN, 0, 0, 0x50000 | errno.ENOSYS)]
_KILL: _Instruction = (_RETURN, 0, 0, 0x80000000)
_ITSELF_ONLY = [(_LOAD, 0, 0, _FIRST_ARGUMENT_AT), (_EQUAL, 0, 1, 0), *_ALLOW, *_REFUSE]
_SIGNAL_OF_PARENT_STAYS = [(_LOAD, 0, 0, _FIRST_ARGUMENT_AT), (_EQUAL, 0, 1, _PR_SET_PDEATHSIG), *_REFUSE, *_ALLOW]
_NO_SIGNALS = [
    (_LOAD, 0, 0, _SECOND_ARGUMENT_AT),
    *(step for command in _SIGNALS_AND_LOCKS for step in ((_EQUAL, 0, 1, command), *_REFUSE)),
    *_ALLOW,
]
_THREADS_ONLY = [(_LOAD, 0, 0, _FIRST_ARGUMENT_AT), (_ANY_BIT, 0, 1, _CLONE_THREAD), *_ALLOW, *_REFUSE]


def _decide(ranges: list[tuple[int, list[_Instruction]]]) -> list[_Instruction]:
    """A balanced tree over ranges (first number, action): the kernel tries all its calls when a filter is laid on."""
    if len(ranges) == 1:
        return ranges[0][1]
    middle = len(ranges) // 2
    below, above = _decide(ranges[:middle]), _decide(ranges[middle:])
    return [(_AT_LEAST, len(below), 0, ranges[middle][0]), *below, *above]


def filter_instructions(machine: str) -> list[_Instruction] | None:
    """The seccomp filter of a processor (`uname -m`) in classic BPF; None if its system calls are not in the table."""
    if machine not in _MACHINES:
        return None
    architecture, clone, clone3, prctl, column = _MACHINES[machine]
    denied = [numbers[column] for numbers in DENIED.values() if numbers[column] is not None]
    own_only = [numbers[column] for numbers in OWN_ONLY.values()]
    actions = dict.fromkeys(denied, _REFUSE) | dict.fromkeys(own_only, _ITSELF_ONLY)
    actions |= {clone: _THREADS_ONLY, clone3: _ABSENT, prctl: _SIGNAL_OF_PARENT_STAYS, FCNTL[machine]: _NO_SIGNALS}
    starts = {0: _ALLOW}
    for number in sorted(actions):
        starts[number] = actions[number]
        starts.setdefault(number + 1, actions.get(number + 1, _ALLOW))
    starts[_X32_NUMBERS] = [_KILL]
    return [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 1, 0, architecture),
        _KILL,
        (_LOAD, 0, 0, _NUMBER_AT),
        *_decide(list(starts.items())),
    ]


def filter_program() -> object | None:
    """This machine's seccomp filter as a C structure to pass to `filter_syscalls`; None on an unknown processor."""
    code = filter_instructions(os.uname().machine)
    if code is None:
        return None
    blob = b"".join(struct.pack("HBBI", *instruction) for instruction in code)
    buffer = ctypes.create_string_buffer(blob, len(blob))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(code), ctypes.addressof(buffer)), 16)
    program.keep = buffer  # type: ignore[attr-defined]
    return program


def filter_syscalls(program: object) -> None:
    """Lay the filter on this thread; it can't be taken off. Raises OSError where the kernel refuses it."""
    if _libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the system call filter is refused")
