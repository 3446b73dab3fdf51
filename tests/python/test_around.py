"""What a program reads of its surroundings, and does to them: environment variables, a command line, logs."""

from __future__ import annotations

from random import Random

import pytest

from semrep_jax.languages import Answer
from semrep_jax.python import around
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
