"""In the child: what a program has around it while a step is made, and what it does to that.

    around = Surroundings(source)
    around.begin(turn)                       # streams, typed input and files as they are before every step
    around.output, around.errors, around.files()

Standard output and error are kept apart and bounded; what is typed on standard input hangs on the turn. Where a
program's text says that it may go past `sys.stdin` and `sys.stdout`, to the descriptors 0, 1 and 2 or to what Python
started with, these are files in memory, and the streams are real ones on them, which keep nothing back. Some small
files lie where the program stands. Warnings of the program's own are written as their class and text, and tracebacks
without the places in the program: lines move when a program is rewritten. Loaded by path, so it imports only the
standard library.
"""

import importlib
import io
import os
import re
import sys
import warnings
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
process = importlib.import_module("process")
values = importlib.import_module("values")
del sys.path[0]

MAX_OUTPUT = 64 << 10  # characters
MAX_FILES = 30
MAX_BYTES = 4096  # of a file, that are written down
# What a program's text has where it may read or write files, or standard input.
_FILES = ("open(", "read_text", "write_text", "read_bytes", "write_bytes", "import os", "from os", "shutil", "sqlite3",
          "pathlib", "tempfile", "zipfile", "shelve", "glob", "FileIO", "GzipFile", "BZ2File", "LZMAFile", "dbm",
          "FileHandler", "basicConfig", "fileinput", "configparser")  # fmt: skip
_TYPED = ("input(", "stdin")
_DESCRIPTORS = re.compile(
    r"\bos\.(?:read|write|readv|writev|pread|pwrite|sendfile|dup2?|fdopen|open|close|fstat|isatty|lseek)\b"
    r"|from (?:os|posix|_io|io) import|\bposix\b|open\(\s*(?:file\s*=\s*)?(?:\d|\w+\s*[,)])"
    r"|__std(?:in|out|err)__|\.buffer\b|fileno|FileIO|detach\(|reconfigure\(|/dev/|/proc/"
)
_GZIP = b"\x1f\x8b"
LYING_AROUND = {
    "notes.txt": "alpha 1\nbeta, 2\n\n# gamma\nalpha 10\n",
    "data.csv": "name,value\na,1\nb,2.5\n",
    "config.json": '{"name": "a", "size": 3}',
    "empty.txt": "",
    "sub/more.txt": "one more\n",
}
LINES = ["Ada\n7\n3.5\nyes\nq\n", "7\n2\n0\n-3\n", "", "no\n\nquit\n", "a b c\n1 2 3\n4,5\n", "3\n1\n2\n3\n"]


class TooMuchOutput(BaseException):
    """More was printed than is looked at."""


class Printed:
    """A bounded stand-in for sys.stdout or sys.stderr."""

    def __init__(self):
        self.parts, self.size = [], 0
        self.encoding, self.errors, self.closed = "utf-8", "strict", False

    def write(self, text):
        """Keep a text; returns its length (characters). Raises TypeError for what is no text, and TooMuchOutput."""
        if type(text) is not str:
            raise TypeError("write() argument must be str")
        self.size += len(text)
        if self.size > MAX_OUTPUT:
            raise TooMuchOutput
        self.parts.append(text)
        return len(text)

    def writelines(self, lines):
        """Write texts one after another."""
        for line in lines:
            self.write(line)

    def flush(self):
        """Nothing to do: everything is kept."""
        pass

    def isatty(self):
        """Whether it is a terminal: never."""
        return False

    def writable(self):
        """Whether it can be written to: always."""
        return True

    def text(self):
        """All that was written; what UTF-8 can't hold stands as a backslash escape."""
        return values.without_places("".join(self.parts).encode("utf-8", "backslashreplace").decode())


class _Bounded(io.FileIO):
    """A standard stream's descriptor, to which no more is written than is looked at. Raises TooMuchOutput."""

    def write(self, data):
        """Write bytes; returns their number."""
        if os.fstat(self.fileno()).st_size + len(data) > MAX_OUTPUT:
            raise TooMuchOutput
        return super().write(data)


class _Descriptor:
    """A file in memory in the place of a descriptor, and a stream on it that keeps nothing back. number: 0, 1 or 2."""

    def __init__(self, number):
        self.number, self.file = number, os.memfd_create(f"standard {number}")

    def begin(self, typed=""):
        """The stream of a step. typed: what the file holds."""
        os.ftruncate(self.file, 0)
        os.pwrite(self.file, typed.encode(), 0)
        os.lseek(self.file, 0, os.SEEK_SET)
        os.dup2(self.file, self.number, inheritable=False)
        if self.number == 0:
            return io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8")
        raw = _Bounded(self.number, "wb", closefd=False)
        return io.TextIOWrapper(raw, "utf-8", "backslashreplace", newline="", write_through=True)

    def write(self, text):
        """Write a text of ours behind the program's."""
        os.write(self.file, text.encode("utf-8", "backslashreplace"))

    def text(self):
        """All that was written, however; what is no UTF-8 or longer than is looked at stands as its length and sum."""
        size = os.fstat(self.file).st_size
        data = os.pread(self.file, MAX_OUTPUT, 0)
        try:
            return values.without_places(data.decode()) + (f"... {size} bytes" if size > MAX_OUTPUT else "")
        except UnicodeDecodeError:
            return f"{size} bytes {zlib.crc32(data)} {data[:200]!r}"


class Surroundings:
    """Streams, input and files of one program. source: its text."""

    def __init__(self, source):
        self.has_files = any(text in source for text in _FILES)
        self.has_input = any(text in source for text in _TYPED)
        direct = _DESCRIPTORS.search(source)
        self.descriptors = [_Descriptor(number) for number in range(3)] if direct else []
        self.output, self.errors = Printed(), Printed()
        self.before = {}
        self.has_environment = "environ" in source or "putenv" in source
        self.process = process.Process(source)
        self.logs = _Logged(self) if "logging" in source else None
        warnings.simplefilter("always")
        warnings._showwarnmsg_impl = _written_warning

    def afresh(self):
        """Put the files in their place and remove others, and forget loggers, before the program is loaded."""
        self.process.afresh()
        if self.logs is not None:
            self.logs.afresh()
        if self.has_files and (not self.before or _files(".") != self.before):
            _clear(".")
            _lay(LYING_AROUND)
            self.before = _files(".")

    def begin(self, turn):
        """New streams for a step. turn: decides what is typed."""
        if self.descriptors:
            typed, self.output, self.errors = self.descriptors
            sys.stdin = sys.__stdin__ = typed.begin(LINES[turn % len(LINES)])
            sys.stdout = sys.__stdout__ = self.output.begin()
            sys.stderr = sys.__stderr__ = self.errors.begin()
        else:
            self.output, self.errors = sys.stdout, sys.stderr = Printed(), Printed()
        self.environment = dict(os.environ) if self.has_environment else {}
        if self.has_input and not self.descriptors:
            sys.stdin = io.StringIO(LINES[turn % len(LINES)])

    def files(self):
        """What differs from the files before: [name, content, or None where it is gone]; content is text, or its
        length and checksum where it is long or none. Environment variables that a step has changed are among them."""
        if not self.has_files:
            return []
        changed = dict(set(os.environ.items()) ^ set(self.environment.items())) if self.has_environment else {}
        now = _files(".")
        variables = [[f"${name}", os.environ.get(name)] for name in sorted(changed)]
        files = [[n, now.get(n)] for n in sorted({*now, *self.before}) if now.get(n) != self.before.get(n)]
        return variables + files[:MAX_FILES]


class _Logged:
    """Writes what is logged to the errors, as level, logger and text: all of it, whatever handlers there are."""

    def __init__(self, around):
        logging = importlib.import_module("logging")

        class Handler(logging.Handler):
            def emit(self, record):
                try:
                    text = record.getMessage()
                except Exception:
                    text = repr((record.msg, record.args))
                raised = f" {record.exc_info[0].__name__}" if record.exc_info and record.exc_info[0] else ""
                around.errors.write(f"{record.levelname}:{record.name}:{text}{raised}\n")

        self.logging, self.handler = logging, Handler()

    def afresh(self):
        """No loggers but the root, which hands everything to our handler."""
        root = self.logging.getLogger()
        self.logging.Logger.manager.loggerDict.clear()
        self.logging.disable(self.logging.NOTSET)
        root.handlers[:], root.filters[:], root.disabled = [self.handler], [], False
        root.setLevel(self.logging.DEBUG)


def _written_warning(message):
    """Write a warning of the program's down; one that the library gives of itself is left out, and one of a file that
    nobody closed, which Python does not show unasked."""
    if message.category is ResourceWarning:
        return
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename == warnings.__file__:
        frame = frame.f_back
    if frame is not None and frame.f_code.co_filename == values.FILE:
        sys.stderr.write(f"{message.category.__name__}: {message.message}\n")


def _lay(files):
    for name, text in files.items():
        try:
            os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
            with open(name, "w", encoding="utf-8") as file:
                file.write(text)
        except OSError:
            return  # a full or closed folder is the same for both programs


def _files(folder):
    """The files under a folder by their names, bounded; folders are there with a slash."""
    found = {}
    for here, folders, names in os.walk(folder):
        for name in sorted(folders):
            found[os.path.join(here, name)[2:] + "/"] = ""
        for name in sorted(names):
            path = os.path.join(here, name)
            found[path[2:].encode("utf-8", "backslashreplace").decode()] = _content(path)
        if len(found) > MAX_FILES:
            break
    return found


_known = {}  # what was read of a file, by path, while nothing has changed it


def _content(path):
    """What is in a file: its text, or its length and checksum."""
    try:
        stat = os.lstat(path)
        mark = (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    except OSError:
        mark = None
    if _known.get(path, (None,))[0] != mark or mark is None:
        _known[path] = (mark, _read(path))
    return _known[path][1]


def _read(path):
    try:
        with open(path, "rb") as file:
            data = file.read(1 << 20)
        text = data.decode() if len(data) <= MAX_BYTES else None
    except (OSError, UnicodeDecodeError):
        text = None
        data = b"" if not os.path.isfile(path) else data
    if data[:2] == _GZIP:
        data = data[:4] + data[8:]  # but for the time when it was written
    return text if text is not None else [len(data), zlib.crc32(data)]


def _clear(folder):
    for here, folders, names in os.walk(folder, topdown=False):
        for name in names:
            _quietly(os.unlink, os.path.join(here, name))
        for name in folders:
            _quietly(os.rmdir, os.path.join(here, name))


def _quietly(action, path):
    try:
        action(path)
    except OSError:
        pass
