"""What a process shares beside objects: printed text, the working directory, the environment, `random`'s state, the
time limit. Each goes along with the next message where it has changed. Loaded by path by `contained.py`.
"""

import builtins
import logging
import os
import random
import signal
import sys
import warnings

# Modules that neither tests nor programs are to find when they import one of that name.
OURS = (
    *("zygote", "child", "faults", "lockdown", "observe", "scratch", "standard", "wire"),
    *("crossing", "described", "compared", "operations", "mirrors", "bridge", "aside", "suite", "program"),
)
MAX_PRINTED = 8 << 20  # characters that a program may print in all
MANY_PARTS = 1000


class TooMuchOutput(BaseException):
    """The program has printed more than MAX_PRINTED characters."""


class Aside:
    """One side's half. `printed` are texts for the other side: [["out" or "err", text], ...]."""

    def __init__(self):
        self.printed, self.size = [], 0
        self.deadline, self.told = None, None  # of the running test, on the clock of time.monotonic
        self.levels = None  # of the tests' loggers, which decide what the program logs; None in the program's process
        self.folder, self.environment, self.random = os.getcwd(), dict(os.environ._data), random.getstate()

    def collect(self):
        """Facts for the other side."""
        facts = {}
        if self.printed:
            facts["printed"], self.printed = self.printed, []
        if self.deadline != self.told:
            facts["deadline"] = self.told = self.deadline
        if self.levels is not None:
            levels = logger_levels()
            if levels != self.levels:
                facts["levels"] = self.levels = levels
        try:
            folder = os.getcwd()
        except OSError:
            folder = self.folder
        if folder != self.folder:
            facts["folder"] = self.folder = folder
        if os.environ._data != self.environment:  # the texts as bytes, which need no decoding to be compared
            self.environment = dict(os.environ._data)
            facts["environment"] = dict(os.environ)
        state = random.getstate()
        if state != self.random:
            self.random = state
            facts["random"] = [state[0], list(state[1]), state[2]]
        return facts

    def apply(self, facts):
        """Take over the other side's facts."""
        for stream, text in facts.get("printed", ()):
            self.size += len(text)
            if self.size > 2 * MAX_PRINTED:
                raise ValueError("too much output")
            target = sys.stdout if stream == "out" else sys.stderr
            if target is not None:
                target.write(text)
        if "deadline" in facts:
            self.deadline = self.told = facts["deadline"]
        for name, level in facts.get("levels", {}).items():
            logging.getLogger(name).setLevel(level)
        if "folder" in facts:
            self.folder = facts["folder"]
            os.chdir(self.folder)
        if "environment" in facts:
            os.environ.clear()
            os.environ.update(facts["environment"])
            self.environment = dict(os.environ._data)
        if "random" in facts:
            version, numbers, gauss = facts["random"]
            random.setstate((version, tuple(numbers), gauss))
            self.random = random.getstate()


def logger_levels():
    """The level of each logger that has been given one."""
    loggers = logging.root.manager.loggerDict
    named = {n: x.level for n, x in loggers.items() if isinstance(x, logging.Logger)}
    return {"root": logging.root.level, **named}


class LogHandler(logging.Handler):
    """The program's only log handler at first: hands records to the tests' loggers."""

    def __init__(self, bridge):
        super().__init__()
        self.bridge = bridge

    def emit(self, record):
        try:
            text = record.getMessage()
        except Exception as error:
            text = f"{record.msg} ({error})"
        self.bridge.request("log", record.name, record.levelno, str(text), record.funcName, record.lineno)


def log(bridge, name, level, text, function, line):
    """Log what the program has logged.

    bridge: given to every operation; not used here. name: the logger's. level: as `logging` numbers it. text: the
    message, formatted already. function, line: where in the program it was logged (`funcName`, `lineno`).
    """
    logger = logging.getLogger(name)
    if logger.isEnabledFor(level):
        logger.handle(logger.makeRecord(name, level, "program", line, text, (), None, function))


def forward_warnings(bridge):
    """Hand the warnings of the program's process to the tests', whose filters decide what becomes of them.

    bridge: the program's.
    """

    def hand_over(message):
        bridge.request("warn", message.category.__name__, str(message.message), message.lineno)

    warnings.simplefilter("always")
    warnings._showwarnmsg_impl = hand_over


def warn(bridge, category, text, line):
    """Warn as the program has warned. Raises the warning where the tests' filters make it an error.

    bridge: given to every operation; not used here. category: the name of its class; one that is not built in is a
    UserWarning here. text: the message. line: where in the program.
    """
    kind = getattr(builtins, category, None)
    known = isinstance(kind, type) and issubclass(kind, Warning)
    warnings.warn_explicit(text, kind if known else UserWarning, "program", line)


class Printer:
    """The program's sys.stdout or sys.stderr: text goes to the tests' with the next message."""

    encoding, errors, newlines, mode = "utf-8", "strict", None, "w"

    def __init__(self, aside, stream, flush):
        self.aside, self.stream, self.flush_all = aside, stream, flush
        self.buffer = _Bytes(self)

    def write(self, text):
        """Keep a text for the next message; returns its length (characters). After many parts one is sent at once.

        Raises TypeError for what is no text, and TooMuchOutput.
        """
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        aside = self.aside
        aside.size += len(text)
        if aside.size > MAX_PRINTED:
            raise TooMuchOutput(f"more than {MAX_PRINTED} characters printed")
        aside.printed.append([self.stream, str(text)])
        if len(aside.printed) > MANY_PARTS:
            self.flush_all()
        return len(text)

    def writelines(self, lines):
        """Write texts one after another."""
        for line in lines:
            self.write(line)

    def flush(self):
        """Nothing to do: what was printed goes along with the next message."""
        pass

    def isatty(self):
        """Whether it is a terminal: never."""
        return False

    def writable(self):
        """Whether it can be written to: always."""
        return True

    def readable(self):
        """Whether it can be read: never."""
        return False

    closed = False


class _Bytes:
    """`sys.stdout.buffer` of the program."""

    def __init__(self, printer):
        self.printer = printer

    def write(self, data):
        self.printer.write(bytes(data).decode("utf-8", "backslashreplace"))
        return len(data)

    def flush(self):
        pass


def set_alarm(seconds, again=0.2):
    """Have SIGALRM come after so many seconds (at once where there are none left), and again and again after that."""
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001), again)


def stop_alarm():
    """Have no SIGALRM come."""
    signal.setitimer(signal.ITIMER_REAL, 0)
