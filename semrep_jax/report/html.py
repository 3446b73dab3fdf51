"""The page of a job: curves, tables and the programs themselves, in one file that needs no network.

    write(Path("runs/quickstart"))           # runs/quickstart/report.html, about a second

It needs only what lies in a work directory (`reading.py`), so a page can be made again from an old run, and of a run
that is not done yet. Plots are SVG, colours CSS variables: one page for the light and the dark theme.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jinja2

from semrep_jax.core.workdir import write_atomically
from semrep_jax.report import bands, code, curves, forest, gallery, kernels, reasons, tree
from semrep_jax.report.curves import STEPS, TOKENS, Source
from semrep_jax.report.forest import Forest
from semrep_jax.report.labels import colours, difference, label, over, sampled_tokens
from semrep_jax.report.panels import Panel, png
from semrep_jax.report.reading import Row, Run, State, read
from semrep_jax.report.svg import css_variables

GENERATOR = "semrep_jax report"
T2_AGAINST_T1 = "/T2 against T1"


def write(directory: Path) -> Path:
    """Write report.html from what a work directory holds; returns its path. Raises ReportError."""
    text = page(read(directory))
    path = directory / "report.html"
    write_atomically(path, text)
    return path


def page(run: Run) -> str:
    """The text of a run's page."""
    return render("report.html.j2", _content(run))


def render(template: str, content: Row) -> str:
    """A page from one of templates/.

    content: what the template names.
    """
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    environment.globals.update(
        generator=GENERATOR,
        variables=css_variables(),
        code_css=code.css(),
        label=label,
        legend=legend,
        sampled_tokens=sampled_tokens,
        difference=difference,
        over=over,
    )
    environment.filters["minus"] = lambda text: text.replace("-", "−")  # as wide as a plus
    text = environment.get_template(template).render(content)
    return text.encode("utf-8", "replace").decode()  # a program may hold half of a surrogate pair


def legend(plots: Sequence[Panel | Forest]) -> list[tuple[str, str, str]]:
    """(name, colour, kind) of everything that the plots draw, without repetition."""
    return list(dict.fromkeys(entry for one in plots for entry in one.legend))


def curves_of(directory: Path) -> bytes | None:
    """The training curves of a work directory as a PNG; None where nothing was trained."""
    found = _main_curves(training_sources(read(directory)))
    return png(found) if found else None


def _main_curves(sources: Sequence[Source]) -> list[Panel]:
    return curves.panels(sources, curves.TRAINING) or curves.panels(sources, curves.SUPERVISED)


def training_sources(run: Run) -> list[Source]:
    """A line for each arm that was trained."""
    colour = colours(run.arms)
    return [Source(label(arm), colour[arm], [rows]) for arm, rows in run.metrics.items()]


def suite_titles(results: Row | None) -> dict[str, str]:
    """How a person calls each suite, in order."""
    titles = {row["metric"]: row["title"].rsplit(",", 1)[0] for row in (results or {}).get("rows", ())}
    return {name: titles.get(f"{name}/T1", name) for name in (results or {}).get("suites", ())}


def widest(differences: Iterable[Row]) -> float:
    """What half of a whisker's width stands for: the farthest end of any interval."""
    return max((abs(gap[edge]) for gap in differences for edge in ("low", "high")), default=1.0) or 1.0


def _content(run: Run) -> Row:
    results, titles = run.results, suite_titles(run.results)
    cards = gallery.cards(run, titles)
    differences: Row = (results or {}).get("differences", {})
    config = run.path / "config.yaml"
    content: dict[str, Any] = {
        "run": run,
        "results": results,
        "state": state(run),
        "scale": widest(differences.values()),
        "headline": _headline(results) if results else {},
        "forests": forest.of_arms(results or {}),
        "changes": forest.of_settings(results or {}),
        "training": training(training_sources(run)),
        "diagnostics": _diagnostics(run),
        "window": bands.window(run.step),
        "held_out": _held_out(run, titles),
        "rejected": _rejected(run),
        "fast_p": kernels.fast_p(run),
        "times": kernels.times(run),
        "search": tree.read(run),
        "cards": cards,
        "measured": bool(run.measurements),
        "arm_choices": [(arm, label(arm)) for arm in run.arms],
        "suites": list({card.suite: (card.suite, card.title) for card in cards}.values()),
        "verdicts": [(status, status) for status in gallery.verdicts(cards)],
        "colours": colours(run.arms),
        "settings": config.read_text(errors="replace") if config.exists() else "",
    }
    return content | {"contents": _contents(content)}


def _contents(content: Row) -> list[tuple[str, str]]:
    """(anchor, title) of the sections that the page has."""
    results = content["results"] or {}
    sections = (
        ("figures", "figures", results.get("rows")),
        ("differences", "differences", content["forests"]),
        ("changes", "settings compared", content["changes"]),
        ("held-out", "held-out curve", content["held_out"]),
        ("training", "training", content["training"]),
        ("rejected", "rejections", content["rejected"]),
        ("kernels", "kernel times", content["times"]),
        ("cost", "cost", results.get("costs")),
        ("tables", "tables", results.get("tables")),
        ("search", "search", content["search"]),
        ("programs", "programs", content["cards"]),
        ("settings", "settings", content["settings"]),
    )
    return [(anchor, title) for anchor, title, there in sections if there]


def state(run: Run) -> str:
    """What a reader of a page of an unfinished run has to know; "" of a finished one."""
    if run.state is State.FINISHED:
        return ""
    arms = [f"{label(arm)} at step {rows[-1]['step'] + 1}" for arm, rows in run.metrics.items()]
    at = f"{', '.join(arms)} of {run.total}" if run.total else "before its first step"
    if run.state is State.RUNNING:
        return f"still running, {at}: this page shows what there is so far."
    return f"stopped, {at}: this page shows what there is; the run's command, given again, goes on from there."


def training(sources: Sequence[Source]) -> list[Panel]:
    """The training curves: on the budget axis, and against tokens where those were counted."""
    found = _main_curves(sources)
    if any("total_tokens" in row for source in sources for seed in source.seeds for row in seed[:1]):
        found += curves.panels(sources, curves.AGAINST_TOKENS, TOKENS)
    return found


def _diagnostics(run: Run) -> list[Panel]:
    """Further panels, of what is not shown already."""
    shown = {panel.title for panel in _main_curves(training_sources(run))}
    return [panel for panel in curves.panels(training_sources(run), curves.DIAGNOSTICS) if panel.title not in shown]


def _held_out(run: Run, titles: dict[str, str]) -> list[Panel]:
    colour = colours(run.arms)
    sources = [Source(label(arm), colour[arm], [rows]) for arm, rows in run.curves.items()]
    return [panel for against in (STEPS, TOKENS) for panel in curves.held_out(sources, titles, against)]


def _rejected(run: Run) -> list[Panel]:
    """A panel for each arm whose samples or statuses were kept."""
    found = []
    for arm, rows in run.metrics.items():
        counts = reasons.for_steps(run.samples(arm), run.duplicate_rule) or reasons.from_metrics(rows)
        if counts:
            found.append(curves.rejections(label(arm), counts))
    return found


def _headline(results: Row) -> Row:
    """Differences of T=2 against T=1, by the title of their suite."""
    titles = {row["difference"]: row["title"].rsplit(",", 1)[0] for row in results["rows"] if row["difference"]}
    return {
        titles[f"{suite}/T1"]: gap
        for key, gap in results["differences"].items()
        if key.endswith(T2_AGAINST_T1) and f"{(suite := key.removesuffix(T2_AGAINST_T1))}/T1" in titles
    }
