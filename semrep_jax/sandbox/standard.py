"""What a candidate may import of the standard library, loaded into the zygote before it forks.

Loaded by the zygote by path, so it imports only the standard library. A child may be a user that can't walk to this
Python's files: what programs name is imported once for all of them, and where Landlock says what may be read, a child's
imports come through descriptors of the folders ("doors").
"""

import importlib
import os
import sys

CORE = "bisect collections copy functools heapq itertools math operator re string typing".split()  # noqa: SIM905
# Loaded into the zygote when a program first names them, so that no child has to (it may not be able to read them).
ON_DEMAND = """
    abc argparse array ast base64 binascii calendar cmath codecs collections.abc colorsys configparser contextlib
    contextvars csv dataclasses datetime decimal difflib enum errno fnmatch fractions gettext getopt glob graphlib
    hashlib hmac html html.entities html.parser inspect io ipaddress json keyword linecache locale logging mimetypes
    numbers opcode optparse os os.path pathlib pickle posixpath pprint queue quopri random reprlib sched secrets
    selectors shlex shutil signal socket sqlite3 stat statistics stringprep struct subprocess symtable sys tempfile
    textwrap threading time token tokenize tomllib traceback types unicodedata urllib.parse uuid warnings weakref
    xml.etree.ElementTree xml.sax.saxutils zipfile zlib zoneinfo
    asyncio cmd concurrent.futures copyreg doctest email marshal plistlib shelve timeit unittest urllib.request
""".split()  # noqa: SIM905
# What the standard library and the compiler import late, by the text that calls for it.
LATE = {"strptime": "_strptime", "\\N{": "unicodedata", "unicode_escape": "unicodedata", "idna": "encodings.idna"}
# OpenSSL's tables are 5 MB that each child would have to map: what is loaded here does without.
OPENSSL = ("_hashlib", "_ssl")


def load(names):
    """Import standard modules into this process, for every child to come.

    Hooks after a fork are left out: they touch 160 pages, and one reseeds `random`, where a verdict must not hang on
    chance. So is OpenSSL.
    """
    register, os.register_at_fork = os.register_at_fork, lambda **hooks: None
    unseeded = "random" not in sys.modules
    hidden = [name for name in OPENSSL if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:
            pass  # not in this Python: the program will say so
    for name in hidden:
        del sys.modules[name]
    if unseeded and "random" in sys.modules:
        sys.modules["random"].seed(0)
    os.register_at_fork = register


def names_in(source):
    """The modules that a program's text names, and those that the standard library imports late for it."""
    names = [name for name in ON_DEMAND if name in source] + [late for text, late in LATE.items() if text in source]
    if not source.isascii():
        names.append("unicodedata")  # for the compiler, which brings identifiers into one form
    return names


def open_doors():
    """Descriptors of the folders that modules lie in and that a child's user can't walk to, as a path for each.

    Root's own Python (pyenv's or uv's in a container) lies in /root. A descriptor leads past the folders above; the
    files themselves everybody may read. While this process is the user that it was started as, and may list folders:
    each is listed once, for all imports.
    """
    finder = importlib.import_module("importlib.machinery").PathFinder
    doors = {}
    for folder in sys.path:
        if os.path.isdir(folder) and not open_to_all(folder):
            doors[folder] = f"/proc/self/fd/{os.open(folder, os.O_PATH | os.O_DIRECTORY)}"
            finder.find_spec("", [doors[folder]])
    return doors


def open_to_all(folder):
    """Whether every user may walk down to a folder."""
    while os.stat(folder).st_mode & 0o001:
        if folder == "/":
            return True
        folder = os.path.dirname(folder)
    return False


def import_through(doors):
    """Let all imports from here on, a candidate's too, come through `doors`.

    Only where Landlock says what may be read: a descriptor leads up as well as down.
    """
    sys.path[:] = [doors.get(folder, folder) for folder in sys.path]
    for module in list(sys.modules.values()):
        path = getattr(module, "__path__", None)
        if isinstance(path, list):
            path[:] = [through(doors, folder) for folder in path]


def through(doors, path):
    """A path, by the door that leads to it where there is one."""
    for folder, door in doors.items():
        if path == folder or path.startswith(folder + "/"):
            return door + path[len(folder) :]
    return path
