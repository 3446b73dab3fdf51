"""Supervised examples with a gap of forms, and a base that is trained further on them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from semrep_jax import main
from semrep_jax.core.settings import ConfigError
from semrep_jax.data.form_gap import FormGap
from semrep_jax.data.settings import FormGapConfig
from semrep_jax.jobs.config import build
from semrep_jax.tasks.generated import reference
from semrep_jax.tasks.generated.generator import Generator

COUNT = 60


@pytest.fixture(scope="module")
def gap(nano):
    setting = FormGapConfig()
    return FormGap(Generator(kinds=setting.kinds, seed=3), nano.tokenizer, setting=setting)


@pytest.fixture(scope="module")
def pairs(gap):
    return [gap.pair(i) for i in range(COUNT)]


def test_edits_are_of_plain_programs_and_most_rewrites_lead_to_them(gap, pairs):
    plain = [gap.generator.example(i) for i in range(COUNT)]
    edits = [(r, e) for (r, how), e in zip(pairs, plain, strict=True) if how in ("direct", "guided")]
    rewrites = [(r, e) for (r, how), e in zip(pairs, plain, strict=True) if how == "rewrite"]
    assert len(edits) + len(rewrites) == COUNT and 10 <= len(edits) <= 38
    assert all((r["source"], r["target"], r["rewrite"]) == (e.source, e.target, e.rewrite) for r, e in edits)
    from_perturbed = [(r, e) for r, e in rewrites if r["source"] != e.source]
    assert len(from_perturbed) > len(rewrites) / 2
    for record, example in from_perturbed[:8]:
        assert record["rewrite"] == example.source
        calls = gap.generator.calls(int(record["id"]), example, True)
        texts = (record["source"], example.source)
        assert len({repr(reference.outcomes(text, example.entry, calls)) for text in texts}) == 1


def test_a_pair_depends_on_its_index_alone(gap, pairs):
    assert [gap.pair(i) for i in (9, 2)] == [pairs[9], pairs[2]]
    drawn, alone = gap.draw(np.arange(4)), gap.draw(np.array([3]))
    assert drawn.written[-len(alone.written) :].tolist() == alone.written.tolist()


def test_a_shorter_schedule_than_the_training_is_refused():
    with pytest.raises(ConfigError, match=r"supervised.schedule: 10 is shorter than supervised.steps, 3000"):
        build({"job": "pretrain", "supervised": {"schedule": 10}})
    with pytest.raises(ConfigError, match=r"supervised.form_gap: it is of generated examples"):
        build({"job": "pretrain", "supervised": {"form_gap": {}, "generated": 0, "sources": [{"path": "x"}]}})


def test_a_base_trained_further_keeps_its_tokenizer_and_goes_on_from_its_weights(tiny_directory, tmp_path, capsys):
    path, work = tmp_path / "c.yaml", tmp_path / "run"
    supervised = {"start": "model", "steps": 1, "schedule": 2, "rows": 2, "block": 16, "warmup": 0, "form_gap": {}}
    supervised["learning_rate"] = 1e-5
    settings = {"job": "pretrain", "work_dir": str(work), "model": {"source": str(tiny_directory)}}
    path.write_text(json.dumps(settings | {"supervised": supervised}))
    assert main.main(["--config", str(path)]) == 0, capsys.readouterr().err
    before, after = (load_file(d / "model.safetensors") for d in (tiny_directory, work / "export"))
    moved = max(float(np.abs(before[name] - after[name]).max()) for name in before)
    assert 0 < moved < 1e-4
    assert (work / "export" / "tokenizer.json").read_text() == (tiny_directory / "tokenizer.json").read_text()
    results = (work / "results.json").read_text()
    (work / "results.json").unlink()  # as after a kill between the last checkpoint and the results
    assert main.main(["--config", str(path)]) == 0, capsys.readouterr().err
    assert json.loads((work / "results.json").read_text())["arms"] == json.loads(results)["arms"]
