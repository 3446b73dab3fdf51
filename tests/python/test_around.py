"""What a program reads of its surroundings, and does to them: environment variables, a command line, logs."""

from __future__ import annotations

import datetime
import os
from dataclasses import replace
from random import Random

import pytest

from semrep_jax.languages import Answer
from semrep_jax.python import around
from semrep_jax.python.behaviour import Behaviour
from semrep_jax.python.equivalence import Reference

ENVIRONMENT = "import os\ndef f():\n    return {}\n"
PARSER = (
    "import argparse\ndef main({0}):\n    p = argparse.ArgumentParser(prog='p')\n"
    "    p.add_argument('--count', type=int, default=1)\n    p.add_argument('--loud', action='store_true')\n"
    "    a = p.parse_args({0})\n    return a.count * (10 if a.loud else {1})\n"
)
LOGS = "import logging\nlog = logging.getLogger('a')\ndef f(n: int):\n    log.{}\n    return n\n"
DIFFERENT = {
    "the value of a variable": (
        ENVIRONMENT.format("os.environ.get('APP_MODE') == '1'"),
        ENVIRONMENT.format("os.environ.get('APP_MODE') == 'true'"),
    ),
    "the name of a variable": (
        ENVIRONMENT.format("os.getenv('TIMEOUT', '3')"),
        ENVIRONMENT.format("os.getenv('TIME_OUT', '3')"),
    ),
    "a variable that is read as the program is loaded": (
        "import os\n_ON = 'app_on' in os.environ\ndef f(n: int):\n    return n if _ON else -n\n".replace(
            "'app_on' in os.environ", "os.environ.get('app_on') == '1'"
        ),
        "import os\n_ON = os.environ.get('app_on') in ('1', 'yes')\ndef f(n: int):\n    return n if _ON else -n\n",
    ),
    "a variable that is set": (
        "import os\ndef f(s: str):\n    os.environ['APP_MODE'] = 'a'\n",
        "import os\ndef f(s: str):\n    os.environ['APP_MODE'] = 'b'\n",
    ),
    "a command line that is given": (PARSER.format("argv=None", 1), PARSER.format("argv=None", 2)),
    "the command line": (PARSER.format("", 1), PARSER.format("", 2)),
    "the level of a log": (LOGS.format("warning('n %d', n)"), LOGS.format("error('n %d', n)")),
    "a log that nobody shows": (LOGS.format("debug('n %d', n)"), LOGS.format("debug('m %d', n)")),
}
DIFFERENT["a command line that is given"] = tuple(
    text.replace("parse_args(argv=None)", "parse_args(argv)") for text in DIFFERENT["a command line that is given"]
)
ALIKE = {
    "a variable that is asked for in two ways": (
        ENVIRONMENT.format("os.environ.get('APP_MODE', '') == '1'"),
        ENVIRONMENT.format("os.getenv('APP_MODE') == '1'"),
    ),
    "logs under another handler": (LOGS.format("info('n %d', n)"), LOGS.format("info('n %s' % n)")),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_programs_that_differ_in_what_surrounds_them_are_told(name, sandbox):
    a, b = DIFFERENT[name]
    assert Reference(a, sandbox, 60).compare(b).answer is Answer.DIFFERENT
    assert Reference(a, sandbox, 60).compare(a + "\n# the same\n").answer is Answer.EQUIVALENT


@pytest.mark.parametrize("name", ALIKE)
def test_programs_that_read_the_same_in_other_words_are_equivalent(name, sandbox):
    a, b = ALIKE[name]
    finding = Reference(a, sandbox, 60).compare(b)
    assert finding.answer is Answer.EQUIVALENT, finding


def test_what_a_sequence_sets_is_gone_in_the_next_one(sandbox):
    source = (
        "import os\ndef f(s: str):\n    old = os.environ.get('APP_X')\n    os.environ['APP_X'] = 'a'\n    return old\n"
    )
    counts = Reference(source, sandbox, 60).compare(source).evidence["f"]
    assert counts["unsteady"] == 0 and counts["distinct"] == 2


def test_names_options_and_words_are_read_from_the_text():
    read = around.read("import os, sys\ndef f():\n    return os.environ['a_b'], sys.argv, '--loud', '-n', 'LIMIT'\n")
    assert read.names == ("LIMIT", "a_b") and read.options == ("--loud", "-n")
    assert read.steps(Random(0)) == read.steps(Random(0)) and not around.read("def f(n):\n    return n\n")


YEAR = datetime.date.today().year
# Programs that hang on their surroundings, each with one that gives the same here and now.
HANGING = {
    "the clock": (
        "import time\ndef f(n: int) -> int:\n    return int(time.time() * 1000) // 100 + n\n",
        "def f(n: int) -> int:\n    return n\n",
    ),
    "the time that passes": (
        "import time\ndef f(n: int) -> float:\n    start = time.time()\n    if n > 3:\n"
        "        return time.time() - start\n    return 0.0\n",
        "import time\ndef f(n: int) -> float:\n    start = time.time()\n    if n > 3:\n"
        "        return -1.0\n    return 0.0\n",
    ),
    "the date": (
        "import datetime\ndef f() -> int:\n    return datetime.date.today().year\n",
        f"def f() -> int:\n    return {YEAR}\n",
    ),
    "the date and time": (
        "from datetime import datetime\ndef f() -> int:\n    return datetime.now().year\n",
        f"def f() -> int:\n    return {YEAR}\n",
    ),
    "the date in words": (
        "import time\ndef f() -> str:\n    return time.strftime('%Y')\n",
        f"def f() -> str:\n    return '{YEAR}'\n",
    ),
    "the process": (
        "import os\ndef f(n: int) -> int:\n    return os.getpid() % 2 + n\n",
        "def f(n: int) -> int:\n    return 0 + n\n",
    ),
    "the processors": (
        "import os\ndef f() -> int:\n    return os.cpu_count()\n",
        f"def f() -> int:\n    return {os.cpu_count()}\n",
    ),
    "the hash of a text": (
        "def f(n: int) -> int:\n    return hash('abc') % 2 + n\n",
        "def f(n: int) -> int:\n    return 0 + n\n",
    ),
    "the order of a set": (
        "def f() -> str:\n    return ''.join({'x', 'y', 'z'})[0]\n",
        "def f() -> str:\n    return 'y'\n",
    ),
}


@pytest.mark.parametrize("name", HANGING)
def test_what_hangs_on_the_moment_or_the_machine_is_unknown(name, sandbox):
    hanging, same_now = HANGING[name]
    reference = Reference(hanging, sandbox, 30)
    assert reference.compare(hanging).answer is Answer.UNKNOWN
    assert reference.compare(same_now).answer is Answer.UNKNOWN
    assert Reference(same_now, sandbox, 30).compare(hanging).answer is not Answer.EQUIVALENT


STEADY = {
    "the time that passes, in seconds": (
        "import time\ndef f(n: int) -> str:\n    start = time.time()\n    return f'{n}: {time.time() - start:.0f} s'\n",
        "import time\ndef f(n: int) -> str:\n    start = time.time()\n"
        "    return str(n) + f': {time.time() - start:.0f} s'\n",
    ),
    "the size of a set": (
        "def f(words: list[str]) -> int:\n    return len(set(words))\n",
        "def f(words: list[str]) -> int:\n    return len({word for word in words})\n",
    ),
    "a moment that is given": (
        "from datetime import datetime\ndef f(d: datetime) -> int:\n    return d.year * 12 + d.month\n",
        "from datetime import datetime\ndef f(d: datetime) -> int:\n    return d.month + 12 * d.year\n",
    ),
}


@pytest.mark.parametrize("name", STEADY)
def test_what_uses_clocks_and_sets_steadily_is_compared(name, sandbox):
    a, b = STEADY[name]
    found = Reference(a, sandbox, 30).compare(b)
    assert found.answer is Answer.EQUIVALENT, found


def test_a_difference_that_the_first_program_shows_too_is_none(sandbox):
    source = "def f(n: int) -> int:\n    return n\n"
    behaviour = Behaviour(source, "f", [["t", n] for n in range(20)], sandbox)
    for recording in behaviour.recordings:  # as if it had given something else, both times
        recording.outcomes = [replace(seen, value=7) for seen in recording.outcomes]
    found = behaviour.compare(source)
    assert found.answer is Answer.UNKNOWN and "not again" in found.reason
