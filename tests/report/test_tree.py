"""The searches on a page: what was cut off is left out, text of strangers stays text, and every link has an end."""

from __future__ import annotations

import json
import re

from semrep_jax.report import tree
from semrep_jax.report.html import render
from semrep_jax.report.reading import Run, State


def lines(path, nodes, cut=""):
    about = {"strategy": "semrep", "place": "sums-000", "seed": 0, "instruction": "add <b>", "source": "x = 1"}
    path.parent.mkdir(parents=True)
    rows = [{"search": about}, *nodes, {"closed": 1, "budget": {}}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + cut)


def node(number, **other):
    facts = {"compiled": True, "status": "ok", "preserve": [1, 1], "edit": [0, 1], "score": 0.5, "round": 1}
    return {"id": number, "parent": 0, "kind": "rewrite", "step": "rewrite", "program": "y = 1"} | facts | other


def page_of(path, results=None):
    found = tree.read(Run(path, State.RUNNING, results, {}, {}, {}, ()))
    return "" if found is None else render("tree.html.j2", {"search": found})


def test_a_tree_is_a_picture_with_a_card_for_each_node_and_no_text_becomes_markup(tmp_path):
    evil = "</pre><script>alert(1)</script>"
    best = node(3, edit=[1, 1], score=1.0, round=2, guide=1, kind="transform", program=evil)
    nodes = [node(1), node(2, copy_of=1), best, node(4, beyond=True, program=None, round=2)]
    lines(tmp_path / "trees" / "semrep" / "sums-000-s0.jsonl", nodes, cut='{"id": 5, "parent"')
    page = page_of(tmp_path)
    assert page.count("<circle") == 5 and page.count('class="edge dashed"') == 1
    assert "best is #3 with a score of 1" in page and "copy of #1" in page
    assert "<script" not in page and "add &lt;b&gt;" in page
    assert set(re.findall(r'href="#(\w+)"', page)) <= set(re.findall(r'id="(\w+)"', page))


def test_a_run_that_searched_nothing_has_no_such_part_and_many_trees_are_counted(tmp_path):
    assert page_of(tmp_path) == ""
    for number in range(tree.MOST_TREES + 3):
        lines(tmp_path / "trees" / f"s{number}" / "sums-000-s0.jsonl", [node(1)])
    assert "3 further trees" in page_of(tmp_path)


def test_curves_are_drawn_from_what_the_results_hold(tmp_path):
    line = [[0, 0.0, 0.0, 0.0], [10, 0.5, 0.25, 0.75]]
    pictures = [{"x": "tokens", "y": "tasks solved", "lines": {"semrep": line, "iid": line}}]
    (panel,) = tree.panels({"search": {"curves": pictures}})
    assert (panel.title, panel.x_label) == ("tasks solved", "tokens") and panel.names == ["SemRep", "iid"]
    one, other = panel.series
    assert one.colour == "semrep" != other.colour
    assert (list(one.xs), list(one.ys), list(one.low), list(one.high)) == ([0, 10], [0, 0.5], [0, 0.25], [0, 0.75])
    lines(tmp_path / "trees" / "semrep" / "sums-000-s0.jsonl", [node(1)])
    assert "tasks solved, against tokens" in page_of(tmp_path, {"search": {"curves": pictures}})
