"""The HTML report of a job: curves, tables and the programs themselves, in one self-contained file.

`write` needs only what lies in a work directory (`results.json`, `arms/*/metrics.jsonl`, `evaluation/*.json`), so a report
can be made again from an old run.
"""

from __future__ import annotations

import base64
import html
import io
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from rich.table import Table

from semrep_jax.core.workdir import WorkDir

COLOURS = {"base": "#888888", "semrep": "#1f6fb2", "finetune": "#d1682b"}
LABELS = {"base": "base", "semrep": "SemRep", "finetune": "fine-tuning only"}
_KERNELS = {
    "": "right and no copy", "_emulated": "right in emulation", "_on_gpu": "right on a GPU", "_fast_1": "right and faster than C_src",
    "_geomean": "speed-up where right",
}  # fmt: skip
TITLES = {
    "correctness": "correctness", "new_families": "generalisation: new families", "new_kinds": "generalisation: new kinds of edit",
    "robustness": "perturbed C_src", "robust_pass": "robustness: right on both", "consistency": "robustness: same verdict",
    "humaneval": "HumanEval, seeded bugs", "mined": "mined functions, seeded bugs",
    "mined_hidden": "mined: right on hidden tests too", "mined_hidden_gap": "mined: hidden-test gap",
    **{f"kernels{k}": f"CUDA kernels: {v}" for k, v in _KERNELS.items()},
    **{f"kernelbench{k}": f"KernelBench: {v}" for k, v in _KERNELS.items()}, "published": "KernelBench: right by its own tolerance",
}  # fmt: skip
EMULATED = "Kernels were run on the CPU: right means right in emulation. No GPU timed them, so speed earned nothing."
COSTS = (
    ("train_steps", "steps"),
    ("train_tokens", "tokens"),
    ("train_rollouts", "rollouts"),
    ("train_seconds", "seconds"),
)
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:1240px;margin:2rem auto;padding:0 1rem;color:#1c2430}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.2rem;border-bottom:1px solid #d8dee6}
table{border-collapse:collapse;margin:.8rem 0}td,th{padding:.25rem .7rem;border-bottom:1px solid #e4e8ee;text-align:right}
td:first-child,th:first-child{text-align:left}small,.ci{color:#6b7785;font-size:.85em;white-space:nowrap}.win{background:#e8f3e8}.loss{background:#fbeaea}
pre{background:#f6f8fa;padding:.6rem;white-space:pre-wrap;font-size:13px;margin:.2rem 0;border-radius:4px}
.row{display:grid;grid-template-columns:repeat(3,minmax(0,1fr));gap:.8rem}.ok{color:#1d7a35}.bad{color:#b3261e}
.verdict{background:#eef3f9;padding:.7rem 1rem;border-left:4px solid #1f6fb2}img{max-width:100%}
"""


def terminal_tables(results: dict[str, Any]) -> list[Table]:
    """The comparison as tables for the terminal."""
    arms = results["arms"]
    emulated = EMULATED if _emulated_only(results) else None
    quality = Table(title="share of samples correct, mean [95 % interval over tasks]", caption=emulated)
    quality.add_column("metric")
    for arm in arms:
        quality.add_column(LABELS.get(arm, arm), justify="right")
    quality.add_column("SemRep − fine-tuning", justify="right")
    for name in _quality_rows(arms):
        key = name.replace("robust_pass", "robustness")
        gap = results["differences"].get(key) if not name.startswith(("consistency", "robustness")) else None
        quality.add_row(_title(name), *[_cell(values.get(name)) for values in arms.values()], _cell(gap, sign=True))
    cost = Table(title="cost of training and of sampling")
    cost.add_column("arm")
    for _, title in COSTS:
        cost.add_column(title, justify="right")
    for turns in (1, 2):
        cost.add_column(f"evaluation tokens, T={turns}", justify="right")
    for arm, values in arms.items():
        sampled = [sum(v["value"] for k, v in values.items() if k.endswith(f"_tokens/T{t}")) for t in (1, 2)]
        cost.add_row(
            LABELS.get(arm, arm), *[f"{values[k]['value']:,.0f}" for k, _ in COSTS], *[f"{s:,.0f}" for s in sampled]
        )
    return [quality, cost]


def _emulated_only(results: dict[str, Any]) -> bool:
    """Whether kernels were judged and no GPU ran them."""
    asked = not {"kernels", "kernelbench"}.isdisjoint(results["suites"])
    return asked and not any("_on_gpu/" in name for values in results["arms"].values() for name in values)


def _quality_rows(arms: dict[str, Any]) -> list[str]:
    first = next(iter(arms.values()))
    return [f"{name}/T{t}" for name in TITLES for t in (1, 2) if f"{name}/T{t}" in first]


def _title(name: str) -> str:
    metric, turns = name.split("/T")
    return f"{TITLES[metric]}, {'direct (T=1)' if turns == '1' else 'rewrite first (T=2)'}"


def _cell(estimate: dict[str, float] | None, sign: bool = False) -> str:
    if estimate is None:
        return ""
    form = "+.3f" if sign else ".3f"
    return f"{estimate['value']:{form}} [{estimate['low']:{form}}, {estimate['high']:{form}}]"


def write(work: WorkDir) -> Path:
    """Write report.html from what the work directory holds; returns its path."""
    results = work.read("results.json")
    curves = _curves(work.path / "arms")
    parts = [
        f"<h1>semrep_jax: {html.escape(results['job'])}</h1>",
        f"<p><small>seed {results['seed']}, config {results['config_sha256'][:12]}, {results['seconds']:.0f} s</small></p>",
        f"<p class=verdict>{html.escape(results['verdict'])}</p>",
        f"<h2>Training, on one budget axis</h2><img alt='training curves' src='{_plot(curves)}'>" if curves else "",
        "<h2>Held-out tasks</h2>", _quality_table(results), f"<p>{EMULATED}</p>" if _emulated_only(results) else "",
        "<p><small>Mean over tasks of the share of samples that are correct, with a 95 % bootstrap interval over tasks. T=1 writes the "
        "edit directly, T=2 writes a rewrite first; both end with the same number of samples. Green or red: the paired difference's "
        "interval leaves out zero.</small></p>",
        "<h2>Cost</h2>", _cost_table(results),
        "<h2>SemRep as the paper uses it (T=2) against fine-tuning (T=1)</h2>" if results["differences"] else "",
        _difference_table(results),
        "<h2>Programs</h2>", _programs(work.path / "evaluation"),
    ]  # fmt: skip
    page = (
        f"<!doctype html><meta charset=utf-8><title>semrep_jax {results['job']}</title><style>{_STYLE}</style>"
        + "\n".join(parts)
    )
    return work.write("report.html", page)


def _curves(directory: Path) -> dict[str, list[dict[str, Any]]]:
    found = {}
    for path in sorted(directory.glob("*/metrics.jsonl"), reverse=True):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        if rows:
            found[path.parent.name] = rows
    return found


def _smooth(values: list[float], keep: float = 0.7) -> list[float]:
    out: list[float] = []
    for value in values:
        out.append(value if not out else keep * out[-1] + (1 - keep) * value)
    return out


def _plot(curves: dict[str, list[dict[str, Any]]]) -> str:
    panels = (
        ("reward", "mean reward (of the stage)"),
        ("correct", "share of rollouts correct"),
        ("total_tokens", "tokens sampled so far"),
    )
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.6), layout="constrained")
    for axis, (key, title) in zip(axes, panels, strict=True):
        for arm, rows in curves.items():
            steps, values = [r["step"] + 1 for r in rows], [r[key] for r in rows]
            colour = COLOURS.get(arm, "black")
            stages = [r["stage"] for r in rows]
            if key == "total_tokens":
                axis.plot(steps, values, color=colour, label=LABELS.get(arm, arm))
                continue
            axis.plot(steps, values, ".", color=colour, alpha=0.3)
            for stage in dict.fromkeys(stages):
                picked = [i for i, s in enumerate(stages) if s == stage]
                smooth = _smooth([values[i] for i in picked])
                axis.plot(
                    [steps[i] for i in picked],
                    smooth,
                    color=colour,
                    label=f"{LABELS.get(arm, arm)}: {stage}",
                    ls="--" if stage == "rewrite" else "-",
                )
        for arm, rows in curves.items():
            last = [r["step"] + 1 for r in rows if r["stage"] == "rewrite"]
            if last and last[-1] < len(rows):
                axis.axvline(last[-1] + 0.5, color=COLOURS.get(arm, "black"), lw=0.8, ls=":")
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("optimiser steps of the budget B")
        axis.grid(alpha=0.2)
        axis.legend(fontsize=7)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    plt.close(figure)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _html_estimate(estimate: dict[str, float] | None, sign: bool = False) -> str:
    if estimate is None:
        return "<td></td>"
    form = "+.3f" if sign else ".3f"
    tone = "" if not sign else " class=win" if estimate["low"] > 0 else " class=loss" if estimate["high"] < 0 else ""
    return f"<td{tone}>{estimate['value']:{form}} <span class=ci>[{estimate['low']:{form}}, {estimate['high']:{form}}]</span></td>"


def _quality_table(results: dict[str, Any]) -> str:
    arms = results["arms"]
    head = "".join(f"<th>{LABELS.get(a, a)}</th>" for a in arms)
    rows = []
    for name in _quality_rows(arms):
        gap = None
        if not name.startswith(("consistency", "robustness")):
            gap = results["differences"].get(name.replace("robust_pass", "robustness"))
        cells = "".join(_html_estimate(values.get(name)) for values in arms.values())
        rows.append(f"<tr><td>{_title(name)}</td>{cells}{_html_estimate(gap, sign=True)}</tr>")
    return f"<table><tr><th>metric</th>{head}<th>SemRep − fine-tuning</th></tr>{''.join(rows)}</table>"


def _difference_table(results: dict[str, Any]) -> str:
    rows = [
        f"<tr><td>{TITLES[k.split('/')[0].replace('robustness', 'robust_pass')]}</td>{_html_estimate(d, sign=True)}</tr>"
        for k, d in results["differences"].items()
        if k.endswith("T2 against T1")
    ]
    return f"<table><tr><th>suite</th><th>difference</th></tr>{''.join(rows)}</table>" if rows else ""


def _cost_table(results: dict[str, Any]) -> str:
    head = "".join(f"<th>{title}</th>" for _, title in COSTS) + "<th>evaluation tokens T=1</th><th>T=2</th>"
    rows = []
    for arm, values in results["arms"].items():
        sampled = [sum(v["value"] for k, v in values.items() if k.endswith(f"_tokens/T{t}")) for t in (1, 2)]
        cells = "".join(f"<td>{n:,.0f}</td>" for n in [*(values[k]["value"] for k, _ in COSTS), *sampled])
        rows.append(f"<tr><td>{LABELS.get(arm, arm)}</td>{cells}</tr>")
    return f"<table><tr><th>arm</th>{head}</tr>{''.join(rows)}</table>"


def _programs(directory: Path) -> str:
    blocks = []
    shown = [*directory.glob("*-correctness-T2.json")] or [*directory.glob("*-T2.json")]
    for path in sorted(shown, reverse=True):
        arm = path.name.split("-")[0]
        for example in json.loads(path.read_text())["examples"][:3]:
            rewrite = example["rewrite"] or "(no rewrite was accepted: C_src stood in)"
            tone = "ok" if example["status"] == "ok" else "bad"
            columns = (("source", example["source"]), ("rewrite", rewrite), ("edit", example["edit"]))
            cells = "".join(f"<div><small>{name}</small><pre>{html.escape(text)}</pre></div>" for name, text in columns)
            blocks.append(
                f"<p><b>{LABELS.get(arm, arm)}</b> · {html.escape(example['family'])} · <i>{html.escape(example['instruction'])}</i> · "
                f"<span class={tone}>{html.escape(example['status'])}</span> <small>{html.escape(example['feedback'])}</small></p>"
                f"<div class=row>{cells}</div>"
            )
    return "\n".join(blocks)
