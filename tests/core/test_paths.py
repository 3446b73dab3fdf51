"""`~` in paths that people write."""

from __future__ import annotations

from pathlib import Path

import pytest

from semrep_jax import main
from semrep_jax.core.paths import PathError, expanded
from semrep_jax.core.shards import DataError
from semrep_jax.core.workdir import WorkDir
from semrep_jax.data.settings import SupervisedConfig
from semrep_jax.data.sources import shards_of


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def test_a_work_directory_and_a_data_set_may_be_in_somebodys_home(home):
    WorkDir("~/runs/x", {}).close()
    assert (home / "runs" / "x" / "identity.json").exists() and not Path("~").exists()
    with pytest.raises(DataError, match=str(home)):
        shards_of(SupervisedConfig(generated=0.0, sources=[{"path": "~/data"}]))


def test_a_home_that_nobody_has_is_told_in_one_line(home, capsys):
    with pytest.raises(PathError, match="write the whole path"):
        expanded("~nobody-of-that-name/x")
    arguments = ["--config", "configs/quickstart.yaml", "--set", "model.source=~nobody-of-that-name/x"]
    root = Path(__file__).parents[2]
    arguments[1] = str(root / arguments[1])
    assert main.main([*arguments, "--set", "work_dir=run"]) == 2
    assert "the ~ can't be expanded" in capsys.readouterr().err.strip().splitlines()[-1]
