"""The process of the tests: pytest on a text that no file holds, with the program's module a stand-in.

`run` reports one event a line: {"event": "start" | "result" | "problem" | "end", ...}. Loaded by `contained.py`, which
has imported pytest with all its plugins before any lockdown.
"""

import ast
import asyncio
import builtins
import collections.abc
import importlib.abc
import importlib.machinery
import inspect
import io
import linecache
import os
import signal
import sys
import time
import types

import _pytest.runner
import compared
import pytest
from _pytest.assertion.rewrite import rewrite_asserts
from aside import OURS, Aside, log, logger_levels, set_alarm, stop_alarm, warn
from bridge import Bridge, ProgramEnded, TookTooLong

LONGEST_MESSAGE = 300
LATE_SECONDS = 1.0  # how much later than the program's own alarm the tests' comes
CHECK = "@semrep"  # no name of Python's, so no test can hold it
OPTIONS = (
    "-q --capture=sys --import-mode=importlib -c /dev/null -p no:cacheprovider -p no:faulthandler -p no:doctest "
    "-p no:junitxml -p no:pastebin -p no:unraisableexception -p no:threadexception -p no:terminalprogress"
).split()


class Names(collections.abc.MutableMapping):
    """What the program's module shows as its `__dict__`."""

    def __getitem__(self, name):
        return _bridge.request("module own", name)

    def __setitem__(self, name, value):
        _bridge.request("module set", name, value)

    def __delitem__(self, name):
        if name not in self:
            raise KeyError(name)
        _bridge.request("module delete", name)

    def __iter__(self):
        return iter(_bridge.request("module all names"))

    def __len__(self):
        return len(_bridge.request("module all names"))


class ProgramModule(types.ModuleType):
    """The program's module as the tests import it: every name is asked for."""

    __dict__ = property(lambda self: Names())

    def __getattr__(self, name):
        if name == "__path__" or name.startswith("@"):
            raise AttributeError(name)
        if name == "__all__":
            return _bridge.request("module names")
        return _bridge.request("module get", name)

    def __setattr__(self, name, value):
        if name.startswith("__"):
            return super().__setattr__(name, value)
        return _bridge.request("module set", name, value)

    def __delattr__(self, name):
        return _bridge.request("module delete", name)

    def __dir__(self):
        return _bridge.request("module all names")


_bridge = None


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the program by having it loaded in its own process."""

    def __init__(self, name, path):
        self.name, self.path, self.trouble = name, path, None

    def find_spec(self, name, path=None, target=None):
        if name != self.name:
            return None
        return importlib.machinery.ModuleSpec(name, self, origin=self.path)

    def create_module(self, spec):
        return ProgramModule(spec.name)

    def exec_module(self, module):
        try:
            types.ModuleType.__setattr__(module, "__file__", self.path)
            types.ModuleType.__setattr__(module, "__doc__", _bridge.request("load"))
        except BaseException as error:
            self.trouble = error
            raise


class Shared(types.ModuleType):
    """The class given to modules of the standard library: what a test puts into one is put into the program's too."""

    def __setattr__(self, name, value):
        before = vars(self).get(name)
        super().__setattr__(name, value)
        if (
            not _bridge.broken
            and before is not value
            and not name.startswith("__")
            and (self.__name__, name) not in NOT_SHARED
        ):
            key = (self.__name__, name)
            original = _originals.setdefault(key, before)
            _bridge.request("patch", self.__name__, name, ("original",) if value is original else value)


_originals = {}
NOT_SHARED = {("sys", n) for n in ("stdout", "stderr", "stdin", "modules", "last_value", "last_type", "last_traceback")}
NOT_SHARED |= {("sys", n) for n in ("last_exc", "path", "meta_path", "displayhook", "excepthook", "unraisablehook")}
NOT_SHARED |= {("builtins", n) for n in ("input", "_", "print")} | {("os", "environ")}
NEVER_SHARED = (
    "_pytest",
    "warnings",
    "linecache",
    "gc",
    "tempfile",
    "enum",
    "functools",
    "types",
    "typing",
    "pytest",
    "pluggy",
    "importlib",
    "asyncio",
    "unittest",
    "threading",
    "signal",
    "iniconfig",
)


def share_patches():
    """Have the standard library's modules tell what tests put into them."""
    for name, module in list(sys.modules.items()):
        if type(module) is types.ModuleType and not name.startswith((*NEVER_SHARED, "_")) and name in STANDARD:
            module.__class__ = Shared


STANDARD = frozenset(sys.stdlib_module_names) | {"os.path", "urllib.request", "urllib.parse"}


class Plugin:
    """Collects the text as a module and reports what becomes of each test."""

    def __init__(self, request, text, report):
        self.text, self.report = text, report
        self.seconds = request["seconds"]
        self.decided = set(request["decided"])
        self.file = request["tests_path"]
        self.finder = Finder(request["module"], request["path"])
        self.module_name = request["tests_module"]
        self.log = f"{os.path.dirname(self.file)}/log"  # pytest opens one, and may not open /dev/null
        self.placeholder = f"{os.path.dirname(self.file)}/suite"  # pytest collects files that are there
        self.running, self.outcome, self.message = None, None, ""
        self.found = 0
        self.importing = False
        self.late = False
        self.problem = None
        self.session = None

    # Time

    def begin(self, name):
        """A test begins."""
        self.report({"event": "start", "name": name})
        self.running, self.outcome, self.message, self.late = name, None, "", False
        _bridge.aside.deadline = time.monotonic() + self.seconds
        set_alarm(self.seconds + LATE_SECONDS)

    def alarm(self, signum, frame):
        """Time is up: the test is ended where it is."""
        self.late = True
        if _bridge.busy or _bridge.depth:
            _bridge.broken = _bridge.broken or f"took longer than {self.seconds:g} s"
        raise TookTooLong(f"took longer than {self.seconds:g} s")

    def finish(self):
        """A test has ended."""
        stop_alarm()
        if self.importing:
            set_alarm(self.seconds + LATE_SECONDS)
        if self.outcome == "passed" and (self.late or _bridge.broken):
            self.outcome, self.message = "failed", str(_bridge.broken or f"took longer than {self.seconds:g} s")
        if self.outcome is None:
            self.outcome, self.message = "failed", "it ended early"
        if _bridge.broken and _bridge.broken not in self.message:
            self.message = _bridge.broken
        self.found += 1
        self.report({"event": "result", "name": self.running, "outcome": self.outcome, "message": self.message})
        self.running = None
        if _bridge.broken and self.session is not None:
            self.session.shouldstop = "the program ended"

    # Statements at the top of the file

    def check(self, name):
        """Whether a statement at the top is to be run as a test."""
        if name in self.decided or _bridge.broken:
            return False
        self.begin(name)
        return True

    def passed(self):
        """The statement that `check` let run has passed."""
        self.outcome = "passed"
        self.finish()

    def failed(self, error):
        """The statement that `check` let run has raised this error."""
        self.outcome, self.message = "failed", self.explain(error)
        self.finish()

    def explain(self, error):
        """One line about an exception, with the line of the tests where it came up."""
        line, traceback = None, error.__traceback__
        while traceback is not None:
            if traceback.tb_frame.f_code.co_filename == self.file:
                line = traceback.tb_lineno
            traceback = traceback.tb_next
        try:
            said = " ".join(str(error).split())
        except BaseException:
            said = ""
        where = f" at line {line}" if line is not None else ""
        return f"{type(error).__name__}{where}: {said}"[:LONGEST_MESSAGE]

    # Hooks of pytest

    @pytest.hookimpl
    def pytest_collect_file(self, file_path, parent):
        """Collect the text where pytest comes to the placeholder."""
        if str(file_path) == self.placeholder:
            module = TextModule.from_parent(parent, path=file_path)
            module.plugin = self
            return module
        return None

    @pytest.hookimpl
    def pytest_sessionstart(self, session):
        """Keep the session, so that it can be stopped, and remove the log that pytest has opened."""
        self.session = session
        os.unlink(self.log)

    @pytest.hookimpl
    def pytest_internalerror(self, excrepr):
        """A fault of pytest's own is a problem of the whole run."""
        self.problem = "pytest: " + str(excrepr).strip().splitlines()[-1][:LONGEST_MESSAGE]

    @pytest.hookimpl(tryfirst=True)
    def pytest_pycollect_makeitem(self, obj):
        """Collect nothing that the program has defined."""
        number = _bridge.number(obj)
        return None if number is None or _bridge.mine(number) else []  # the program's own tests decide nothing

    @pytest.hookimpl
    def pytest_collection_modifyitems(self, items):
        """Leave out the tests that are decided already."""
        items[:] = [item for item in items if name_of(item.nodeid) not in self.decided]

    @pytest.hookimpl
    def pytest_collectreport(self, report):
        """The first failed collection is a problem of the whole run."""
        if report.failed and self.problem is None:
            self.problem = str(report.longrepr).strip().splitlines()[-1][:LONGEST_MESSAGE]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        """Report a test's start and end; a time limit that cuts off pytest's own work fails it too."""
        self.begin(name_of(item.nodeid))
        try:
            return (yield)
        except TookTooLong as error:
            self.outcome, self.message = "failed", str(error)
            return True
        finally:
            self.finish()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item):
        """A KeyboardInterrupt that a test raises is its failure, and does not end the run."""
        try:
            return (yield)
        except KeyboardInterrupt as error:
            raise RuntimeError(f"KeyboardInterrupt: {error}") from None

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem):
        """Run a test that is a coroutine function to its end."""
        if not inspect.iscoroutinefunction(pyfuncitem.obj):
            return None
        given = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
        asyncio.run(pyfuncitem.obj(**given))
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        """Take down a test's outcome and message from the reports of its set-up, call and tear-down."""
        report = yield
        if report.failed and self.outcome != "failed":
            self.outcome = "failed"
            self.message = self.explain(call.excinfo.value) if call.excinfo else str(report.longrepr)[:LONGEST_MESSAGE]
        elif report.skipped and self.outcome is None:
            expected = hasattr(report, "wasxfail")
            self.outcome = "passed" if expected else "skipped"
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            self.message = "failed, as expected" if expected else reason.removeprefix("Skipped: ")
        elif report.when == "call" and report.passed and self.outcome is None:
            self.outcome = "passed"
        return report


def name_of(nodeid):
    """A test's name as people write it: without the file."""
    return nodeid.partition("::")[2]


class TextModule(pytest.Module):
    """The tests' module, made of a text."""

    def _getobj(self):
        plugin = self.plugin
        module = types.ModuleType(plugin.module_name)
        module.__file__ = plugin.file
        vars(module)[CHECK] = plugin
        sys.modules[plugin.module_name] = module
        linecache.cache[plugin.file] = (len(plugin.text), None, plugin.text.splitlines(True), plugin.file)
        plugin.importing = True
        set_alarm(plugin.seconds + LATE_SECONDS)
        _bridge.aside.deadline = time.monotonic() + plugin.seconds
        try:
            exec(compile(with_checks(plugin.text, plugin.file, self.config), plugin.file, "exec"), vars(module))
        except (Exception, TookTooLong, ProgramEnded, SystemExit, KeyboardInterrupt) as error:
            plugin.report(problem(plugin, error))
            plugin.problem = ""
            raise self.CollectError(str(error)) from None
        finally:
            plugin.importing = False
            stop_alarm()
        return module


def problem(plugin, error):
    """The event of tests that can't be run: why, and whether that is for want of something in the program."""
    name = plugin.finder.name
    ours = plugin.finder.trouble is error or _bridge.broken is not None
    ours = ours or (isinstance(error, ImportError) and error.name == name)
    ours = ours or (isinstance(error, AttributeError) and name in str(error))
    return {"event": "problem", "message": plugin.explain(error), "program": bool(ours)}


def with_checks(text, file, config):
    """The tests' tree, each statement at its top that asserts made into a test that is reported.

    text: of the tests. file: the name that errors give for it. config: pytest's, for how it rewrites asserts. Raises
    SyntaxError.
    """
    tree = ast.parse(text, file)
    defined = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
    body = []
    for statement in tree.body:
        if not is_check(statement, defined):
            body.append(statement)
            continue
        name = ast.Constant(f"line {statement.lineno}")
        holder = lambda method, *args: ast.Call(  # noqa: E731
            ast.Attribute(ast.Name(CHECK, ast.Load()), method, ast.Load()), list(args), []
        )
        error = "@error"
        handler = ast.ExceptHandler(
            ast.Name("BaseException", ast.Load()), error, [ast.Expr(holder("failed", ast.Name(error, ast.Load())))]
        )
        attempt = ast.Try([statement], [handler], [ast.Expr(holder("passed"))], [])
        guarded = ast.If(holder("check", name), [attempt], [])
        body.append(ast.fix_missing_locations(ast.copy_location(guarded, statement)))
    tree.body = body
    rewrite_asserts(tree, text.encode(), file, config)
    return tree


def is_check(statement, defined):
    """Whether a statement at the top asserts something: an assert, a block that holds one, a call of a function of the
    file's own."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) or is_main(statement):
        return False
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        called = statement.value.func
        return isinstance(called, ast.Name) and called.id in defined
    return holds_assert(statement)


def is_main(statement):
    """Whether a statement is an `if` about `__name__`."""
    return isinstance(statement, ast.If) and "__name__" in ast.dump(statement.test)


def holds_assert(node):
    """Whether there is an assert in a node, outside of functions and classes."""
    if isinstance(node, ast.Assert):
        return True
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
        return False
    return any(holds_assert(child) for child in ast.iter_child_nodes(node))


def run(request, text, reader, writer, report):
    """Run the tests and report events.

    request: module, path, tests_module, tests_path, seconds, decided. text: of the tests. reader, writer: descriptors
    to the program's process. report: takes an event.
    """
    global _bridge
    foreign = {request["module"], request["tests_module"], "__main__"}
    _bridge = Bridge(reader, writer, 0, True, Aside(), foreign)
    _bridge.texts[request["module"]] = request["path"]
    linecache.cache[request["path"]] = (
        len(request["source"]),
        None,
        request["source"].splitlines(True),
        request["path"],
    )
    _bridge.operations |= {
        "input": lambda bridge, prompt: str(builtins.input(prompt)),
        "stdin": lambda bridge, name, args: stdin(name, args),
        "printed": lambda bridge: None,
        "log": log,
        "warn": warn,
    }
    for name in (*OURS, request["module"]):
        sys.modules.pop(name, None)
    _bridge.aside.levels = logger_levels()
    plugin = Plugin(request, text, report)
    sys.meta_path.insert(0, plugin.finder)
    signal.signal(signal.SIGALRM, plugin.alarm)
    with open(plugin.placeholder, "w"):
        pass
    share_patches()
    compared.shuffler.seed()  # as the program's process could not have seen
    _pytest.runner._update_current_test_var = lambda item, when: None  # it would tell the program names and parameters
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # no plugins that happen to be installed
    folder = os.path.dirname(plugin.file)
    try:
        said = sys.stderr = io.StringIO()
        code = pytest.main(
            [
                *OPTIONS,
                f"--rootdir={folder}",
                f"--confcutdir={folder}",
                f"--log-file={plugin.log}",
                f"--basetemp={folder}/pytest",
                plugin.placeholder,
            ],
            plugins=[plugin],
        )
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED):
            plugin.problem = plugin.problem if plugin.problem is not None else f"pytest: {said.getvalue().strip()}"
    except BaseException as error:
        plugin.problem = plugin.problem or plugin.explain(error)
    if plugin.problem and not (_bridge.broken and plugin.found):
        report({"event": "problem", "message": plugin.problem, "program": _bridge.broken is not None})
    report({"event": "end", "broken": _bridge.broken})


def stdin(name, args):
    """What the tests' sys.stdin gives."""
    if name not in ("read", "readline"):
        raise AttributeError(name)
    return str(getattr(sys.stdin, name)(*args))
