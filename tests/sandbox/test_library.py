"""A candidate's Python can do what the user's can, even where only root can walk to it (pyenv's or uv's in /root)."""

import encodings
import os
import pkgutil
import subprocess
import sys
import unicodedata

import pytest

from semrep_jax.sandbox.pool import Limits, Sandbox
from semrep_jax.sandbox.wire import decode, encode

USERS = [None] + ([65_533] if os.geteuid() == 0 else [])
# They print, open a browser, or are no part of what a candidate may read.
LEFT_OUT = {"antigravity", "this", "idlelib", "ensurepip", "test", "turtledemo"}
NAMES = sorted(name for name in sys.stdlib_module_names - LEFT_OUT if not name.startswith("_"))
IMPORTABLE = """
import importlib
def f(names):
    found = []
    for name in names:
        try: importlib.import_module(name)
        except ImportError: continue
        found.append(name)
    return found"""


@pytest.fixture(scope="module", params=USERS, ids=str)
def sandbox(request):
    with Sandbox(1, Limits(cpu_seconds=20, wall_seconds=40, memory_mb=1024), become=request.param) as one:
        yield one


def result(sandbox, source, *args):
    seen = sandbox.run(source, "f", [encode(args)])
    assert seen.outcomes and seen.outcomes[0].error is None, seen
    return decode(seen.outcomes[0].value)


@pytest.fixture(scope="module")
def importable():
    script = f"{IMPORTABLE}\nprint(*f({NAMES!r}))"
    done = subprocess.run([sys.executable, "-P", "-s", "-S", "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_every_module_that_the_user_can_import_a_candidate_can(sandbox, importable):
    assert len(importable) > 150
    assert sorted(set(importable) - set(result(sandbox, IMPORTABLE, importable))) == []


def test_every_encoding_is_there(sandbox):
    names = [m.name for m in pkgutil.iter_modules(encodings.__path__) if m.name not in ("aliases", "mbcs", "oem")]
    source = "import codecs\ndef f(names):\n for name in names: codecs.lookup(name)\n return len(names)"
    assert result(sandbox, source, names) == len(names) > 90


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("from datetime import datetime\ndef f(x): return datetime.strptime(x, '%Y-%m-%d').month", 4),
        ("import time\ndef f(x): return time.strptime(x, '%Y-%m-%d').tm_mon", 4),
        ("def f(x):\n größe = int(x[:4])\n return größe % 10", 6),
        ("def f(ﬁ): return len(fi)", 10),
        ("def f(x): return '\\N{GREEK SMALL LETTER MU}'", "μ"),
        ("def f(x): return '\\u00b5'.encode('ascii', 'namereplace')", b"\\N{MICRO SIGN}"),
        ("def f(x): return 'é'.encode('cp1252') + 'ü.de'.encode('idna')", b"\xe9xn--tda.de"),
        ("def f(x): return x.encode('utf-16-le')[:4].decode('utf_16_le')", "20"),
        ("import hashlib\ndef f(x): return hashlib.pbkdf2_hmac('sha1', b'a', b'b', 1, 2).hex()", "b08f"),
        ("def f(x):\n import decimal, locale, json.tool\n return str(decimal.Decimal(1) / 3)[:4]", "0.33"),
    ],
)
def test_what_is_imported_late_is_there(source, value, sandbox):
    assert result(sandbox, source, "2016-04-01") == value


def test_chance_is_seeded_however_it_was_imported(sandbox):
    source = "import tempfile, sys\ndef f(x): return sys.modules['random'].random()"
    with Sandbox(1) as other:
        assert result(sandbox, source, 1) == result(other, source, 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a home that others can't read")
def test_the_way_in_leads_nowhere_else(sandbox, importable):
    source = """
import os
def f(x):
    seen = []
    for fd in range(64):
        for way in ('.', '..', '../..', '../../..', 'site-packages', '../../../../../..'):
            try: seen.append(os.listdir(os.open(way, os.O_RDONLY, dir_fd=fd)))
            except OSError: pass
    return seen"""
    extensions = set(os.listdir(os.path.dirname(unicodedata.__file__)))
    assert [names for names in result(sandbox, source, 1) if not set(names) <= extensions] == []
