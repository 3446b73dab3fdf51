"""The searches on a page: what was cut off is left out, text of strangers stays text, and every link has an end."""

from __future__ import annotations

import json
import re

from semrep_jax.report import tree


def lines(path, nodes, cut=""):
    about = {"strategy": "semrep", "place": "sums-000", "seed": 0, "instruction": "add <b>", "source": "x = 1"}
    path.parent.mkdir(parents=True)
    rows = [{"search": about}, *nodes, {"closed": 1, "budget": {}}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + cut)


def node(number, **other):
    facts = {"compiled": True, "status": "ok", "preserve": [1, 1], "edit": [0, 1], "score": 0.5, "round": 1}
    return {"id": number, "parent": 0, "kind": "rewrite", "step": "rewrite", "program": "y = 1"} | facts | other


def test_a_tree_is_a_picture_with_a_card_for_each_node_and_no_text_becomes_markup(tmp_path):
    evil = "</pre><script>alert(1)</script>"
    best = node(3, edit=[1, 1], score=1.0, round=2, guide=1, kind="transform", program=evil)
    nodes = [node(1), node(2, copy_of=1), best, node(4, beyond=True, program=None, round=2)]
    lines(tmp_path / "trees" / "semrep" / "sums-000-s0.jsonl", nodes, cut='{"id": 5, "parent"')
    page = tree.fragment(tmp_path)
    assert page.count("<circle") == 5 and page.count('class="edge dashed"') == 1
    assert "best is #3 with a score of 1" in page and "copy of #1" in page
    assert "<script" not in page and "add &lt;b&gt;" in page
    assert set(re.findall(r'href="#(\w+)"', page)) <= set(re.findall(r'id="(\w+)"', page))


def test_a_run_that_searched_nothing_has_no_such_part_and_many_trees_are_counted(tmp_path):
    assert tree.fragment(tmp_path) == ""
    for number in range(tree.MOST_TREES + 3):
        lines(tmp_path / "trees" / f"s{number}" / "sums-000-s0.jsonl", [node(1)])
    assert "3 further trees" in tree.fragment(tmp_path)


def test_curves_are_drawn_from_what_the_results_hold(tmp_path):
    line = [[0, 0.0, 0.0, 0.0], [10, 0.5, 0.25, 0.75]]
    pictures = [{"x": "tokens", "y": "tasks solved", "lines": {"semrep": line, "iid": line}}]
    (tmp_path / "results.json").write_text(json.dumps({"search": {"curves": pictures}}))
    (plot,) = tree.plots(tmp_path)
    assert [one.name for one in plot.lines] == ["SemRep", "iid"] and plot.lines[0].points == plot.lines[1].points
    (x0, y0), (x1, y1) = (map(float, point.split(",")) for point in plot.lines[0].points.split())
    assert x1 > x0 and y1 < y0 and plot.y_ticks[-1][1] == "0.75"
