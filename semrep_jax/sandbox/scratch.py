"""Emptying the directory that a candidate could write, whatever it has built there.

    scratch.empty("/tmp/semrep-x1")        # OSError where something is left

Loaded by the zygote by path, so it imports only the standard library. A tree may be thousands of levels deep: its paths
are too long for the kernel, and a descriptor for each level would be too many. So it is walked with one descriptor,
down by a name and up by "..", which leads back as nobody moves anything by then.
"""

import errno
import os
import stat

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o777  # of scratch itself, which its candidate may own


def empty(directory: str) -> None:
    """Remove all that is in a directory, and give it back its mode. Raises OSError where something stays."""
    os.chmod(directory, _MODE)
    here = os.open(directory, _DIRECTORY)
    try:
        for name in _attributes(here):
            os.removexattr(here, name)
        above: list[tuple[str, list[str]]] = []  # of each level over this one: the name it went down by, names left
        folders = _remove_files(here)
        while folders or above:
            if folders:
                name = folders.pop()
                os.chmod(name, 0o700, dir_fd=here)
                here = _move(here, name)
                above.append((name, folders))
                folders = _remove_files(here)
            else:
                name, folders = above.pop()
                here = _move(here, "..")
                os.rmdir(name, dir_fd=here)
    finally:
        os.close(here)


def _attributes(here: int) -> list[str]:
    """What a candidate may have attached to scratch itself: texts of its own, and access lists."""
    try:
        return [name for name in os.listxattr(here) if name.startswith(("user.", "system."))]
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return []
        raise


def _move(here: int, name: str) -> int:
    """The descriptor of a directory beside or over `here`, which is closed."""
    there = os.open(name, _DIRECTORY, dir_fd=here)
    os.close(here)
    return there


def _remove_files(here: int) -> list[str]:
    """Remove what is no folder; the names of the folders."""
    folders = []
    for name in os.listdir(here):
        if stat.S_ISDIR(os.stat(name, dir_fd=here, follow_symlinks=False).st_mode):
            folders.append(name)
        else:
            os.unlink(name, dir_fd=here)
    return folders
