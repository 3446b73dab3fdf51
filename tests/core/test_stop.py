"""How a run is stopped: by a signal that is heard and told, twice at once; and whose directory it leaves to whom."""

from __future__ import annotations

import os
import signal
from contextlib import closing

import pytest

from semrep_jax.commands.command import guarded
from semrep_jax.core.stop import Stop
from semrep_jax.core.workdir import WorkDir, WorkDirError


def test_who_asks_to_stop_is_told_that_it_was_heard(capfd):
    with Stop() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.wanted and "stopping: what is under way is ended and saved" in capfd.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupt_is_one_line_and_the_exit_code_of_a_shell(capsys):
    def interrupted() -> int:
        raise KeyboardInterrupt

    assert guarded(interrupted) == 130
    assert capsys.readouterr().err.startswith("interrupted; ")


def test_a_directory_in_which_nothing_has_been_made_takes_another_config(tmp_path):
    with closing(WorkDir(tmp_path, {"job": "train", "seed": 0})) as work:
        work.write("config.yaml", "seed: 0\n")
    with closing(WorkDir(tmp_path, {"job": "train", "seed": 1})):
        (tmp_path / "metrics.jsonl").write_text("")
    with pytest.raises(WorkDirError, match="epochs was not recorded and is 2, seed was 1 and is 0"):
        WorkDir(tmp_path, {"job": "train", "seed": 0, "epochs": 2})
