"""Where compiled programs are kept."""

from __future__ import annotations

import os
from pathlib import Path

from semrep_jax.core import compiled


def test_compiled_programs_are_kept_by_processor_unless_the_user_says_otherwise(tmp_path, monkeypatch):
    monkeypatch.setattr(compiled, "DIRECTORY", tmp_path)
    monkeypatch.setenv(compiled.VARIABLE, "")
    compiled.keep_compiled()
    assert os.environ[compiled.VARIABLE] == "" and not list(tmp_path.iterdir())
    monkeypatch.delenv(compiled.VARIABLE)
    compiled.keep_compiled()
    (own,) = tmp_path.iterdir()
    assert os.environ[compiled.VARIABLE] == str(own)
    (tmp_path / "cpuinfo").write_text("flags : another one's\n")
    monkeypatch.setattr(compiled, "CPUINFO", tmp_path / "cpuinfo")
    assert compiled.processor() != own.name


def test_a_home_that_can_not_be_written_to_keeps_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(compiled, "DIRECTORY", Path(tmp_path / "file"))
    monkeypatch.delenv(compiled.VARIABLE, raising=False)
    compiled.keep_compiled()
    assert compiled.VARIABLE not in os.environ
