"""Drawn tasks are kept packed, and read as they were drawn."""

from __future__ import annotations

from itertools import islice

from semrep_jax.tasks import kept
from semrep_jax.tasks.generated.generator import Generator
from semrep_jax.tasks.kept import Kept
from semrep_jax.tasks.kernels.suites import KERNELS
from semrep_jax.tasks.suite import SuiteRequest


def drawn(count):
    return list(islice(Generator(seed=3).tasks(), count))


def test_a_kept_task_reads_as_it_was_drawn():
    tasks = drawn(6)
    found = Kept(iter(tasks), "edits", 6)
    assert len(found) == 6 and list(found) == tasks and found[2:4] == tasks[2:4] and found[-1] == tasks[-1]
    assert [task.sha256 for task in found] == [task.sha256 for task in tasks]


def test_a_kept_task_takes_a_kilobyte_so_that_two_hundred_thousand_take_a_fifth_of_a_gigabyte():
    sizes = [len(one) for one in Kept(iter(drawn(20)), "edits", 20)._kept]
    assert sum(sizes) / len(sizes) < 1000


def test_a_long_drawing_shows_how_far_it_is(monkeypatch, capsys):
    monkeypatch.setattr(kept, "LONG", 4)
    Kept(iter(drawn(4)), "edits", 4)
    assert "drawing edits: 4/4" in capsys.readouterr().err


def test_what_only_its_language_knows_is_kept_as_it_is(verifier):
    task = next(iter(KERNELS.draw(SuiteRequest(1, 0, verifier))))
    assert task.details is not None and Kept(iter([task]), "kernels", 1)[0] is task
