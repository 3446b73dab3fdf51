"""`job: search`: case study and suite end to end, the trees on the page, killed and gone on with."""

from __future__ import annotations

import json
import re

import pytest

from semrep_jax.jobs import config as configuration
from semrep_jax.jobs.run import run
from semrep_jax.main import main

BLIND = {
    "job": "search",
    "search": {
        "case": "circles",
        "strategies": ["restarts", "hopping", "coordinates"],
        "turns": 2,
        "samples": 3,
        "seeds": 2,
        "budget": {"verifier_seconds": 60.0},
    },
}


def build(tmp_path, tree):
    return configuration.build(tree | {"work_dir": str(tmp_path / "run")})


def values(tmp_path):
    found = {}
    for path in sorted((tmp_path / "run" / "trees").glob("*/*.jsonl")):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        found[f"{path.parent.name}/{path.name}"] = [(n.get("program"), n.get("value")) for n in lines if "id" in n]
    return found


def test_a_case_study_without_a_model_has_a_curve_a_table_and_a_tree_on_the_page(tmp_path, capsys):
    assert run(build(tmp_path, BLIND)) == 0
    out = capsys.readouterr().out
    assert "at equal seconds of judging" in out and "hopping" in out
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    best = results["arms"]["hopping"]["best"]
    assert 2.5 < best["value"] < 2.636 and best["low"] <= best["value"] <= best["high"] and best["n"] == 2
    assert results["arms"]["hopping"]["tokens"]["value"] == 0
    numbers = results["arms"]["coordinates"]
    assert numbers["best"]["value"] > best["value"] and numbers["verifier_seconds"]["value"] > 0.1
    page = (tmp_path / "run" / "report.html").read_text()
    assert page.count("<circle") == 6 * 7 and "hopping on circles, seed 1" in page
    targets = set(re.findall(r'href="#(t\dn\d+)"', page))
    assert targets and targets <= set(re.findall(r'id="(t\dn\d+)"', page))
    assert not re.search(r'(src|href)="(?!#|data:)', page)
    first = values(tmp_path)
    path = tmp_path / "run" / "trees" / "hopping" / "circles-s1.jsonl"
    path.write_bytes(path.read_bytes()[:-500])  # killed in its last round
    (tmp_path / "run" / "trees" / "restarts" / "circles-s0.jsonl").unlink()
    assert run(build(tmp_path, BLIND)) == 0
    assert values(tmp_path) == first and len(first) == 6


def test_the_best_of_a_search_for_speed_is_timed_anew_on_graphs_that_no_search_saw(tmp_path, monkeypatch):
    monkeypatch.setattr("semrep_jax.search.cases.mst.TIMES_HELD_OUT", 5)
    search = {"case": "mst", "strategies": ["hopping"], "turns": 2, "samples": 4}
    assert run(build(tmp_path, {"job": "search", "search": search})) == 0
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    arm = results["arms"]["hopping"]
    nodes = [value for _, value in values(tmp_path)["hopping/mst-s0.jsonl"]]
    assert arm["best"]["value"] == pytest.approx(max(1.0, *(v for v in nodes if v is not None)), abs=1e-5)
    assert arm["held_out"]["value"] > 0 and arm["held_out"]["value"] != arm["best"]["value"]
    assert "held-out inputs" in {row["metric"]: row["title"] for row in results["rows"]}["held_out"]


def test_training_tasks_are_searched_with_the_nano_base_and_improving_steps_are_written(tmp_path, capsys):
    tree = {
        "job": "search",
        "preset": "nano",
        "evaluate": {"tasks": 2},
        "search": {
            "tasks": "training",
            "strategies": ["semrep", "iid"],
            "samples": 4,
            "beam": 2,
            "export": True,
            "budget": {"tokens": 700},
        },
    }
    assert run(build(tmp_path, tree)) == 0
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    for arm in ("semrep", "iid"):
        assert 0 < results["arms"][arm]["tokens"]["value"] <= 2 * 700
        assert results["arms"][arm]["best@8"]["n"] == 2
    assert "The paper reports 25% less compute" in capsys.readouterr().out
    solved = results["arms"]["iid"]["best@8"]["value"] + results["arms"]["semrep"]["best@8"]["value"]
    assert solved > 0  # so that there is a step to write
    from semrep_jax.core.shards import Shards

    records = list(Shards(tmp_path / "run" / "fixes"))
    assert records and all(r["kind"] == "fix" and r["split"] == "train" for r in records)


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ({"strategies": ["beam"]}, "there is no search strategy 'beam'; there are semrep"),
        ({"case": "squares"}, "there is no case study 'squares'; there are circles, mst"),
        ({"strategies": ["hopping"]}, "hopping draws programs of a case study; set search.case"),
        ({"strategies": ["adapt"], "budget": {"tokens": -1}}, "search.budget.tokens"),
        ({"budget": {"tokens": 0}}, "search.budget.tokens"),
        ({"budget": {"dollars": 5}}, "known here: tokens, verifier_seconds, wall_seconds"),
    ],
    ids=str,
)
def test_a_search_that_can_not_be_is_refused_with_the_fix(tmp_path, capsys, search, said):
    import yaml

    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump({"job": "search", "work_dir": str(tmp_path / "run"), "search": search}))
    assert main(["--config", str(path)]) == 2
    assert said in capsys.readouterr().err


def test_tasks_whose_prompts_are_all_too_long_are_refused_before_the_search(tmp_path, capsys):
    tree = {"job": "search", "preset": "nano", "evaluate": {"tasks": 2}, "rollout": {"max_prompt": 16, "bucket": 16}}
    path = tmp_path / "c.yaml"
    path.write_text(json.dumps(tree | {"work_dir": str(tmp_path / "run"), "search": {"tasks": "training"}}))
    assert main(["--config", str(path)]) == 2
    assert "rollout.max_prompt: all 2 prompts of the tasks that are searched on" in capsys.readouterr().err


def test_a_dead_endpoint_is_one_line_and_the_trees_so_far_are_kept(tmp_path, capsys):
    import yaml

    path = tmp_path / "c.yaml"
    remote = {"url": "http://127.0.0.1:9/v1", "retries": 0, "timeout": 2}
    search = {"case": "circles", "strategies": ["restarts", "iid"], "turns": 1, "samples": 2}
    path.write_text(
        yaml.safe_dump({"job": "search", "work_dir": str(tmp_path / "run"), "remote": remote, "search": search})
    )
    assert main(["--config", str(path)]) == 2
    assert "is it up, is remote.url right?" in capsys.readouterr().err
    assert len(values(tmp_path)["restarts/circles-s0.jsonl"]) == 2


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ("seed='def make(xs: pass'", "starts from does not run"),
        ("evaluate=lambda source, sandbox: 'good'", "evaluate returned 'good', and has to return an Evaluation"),
    ],
)
def test_a_case_study_of_ones_own_that_is_broken_is_one_line(tmp_path, capsys, changed, said):
    import yaml

    name = f"broken_{len(said)}"
    (tmp_path / f"{name}.py").write_text(
        "from dataclasses import replace\nfrom semrep_jax.search.cases.case import CASES\n"
        f"CASES.add('{name}', replace(CASES['circles'], {changed}))\n"
    )
    search = {"case": name, "strategies": ["restarts"], "turns": 1, "samples": 1}
    path = tmp_path / "c.yaml"
    path.write_text(
        yaml.safe_dump({"job": "search", "plugins": [f"{name}.py"], "work_dir": str(tmp_path / "r"), "search": search})
    )
    assert main(["--config", str(path)]) == 2
    assert said in capsys.readouterr().err
