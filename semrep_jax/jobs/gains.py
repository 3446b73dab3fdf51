"""What training gave: each arm minus the base, paired by task, beside the arms' own difference.

found = of(measured, BASE, resamples)            # {arm: {METRIC/T1: Estimate}}
table(found, rows, BASE), sentence(found)        # for the terminal and the page
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from semrep_jax.core.results import Estimate, Row, Table
from semrep_jax.evaluate.measure import Measured
from semrep_jax.evaluate.summary import differences
from semrep_jax.report.labels import label

Gains = dict[str, dict[str, Estimate]]


def of(measured: Mapping[str, Sequence[Measured]], base: str, resamples: int) -> Gains:
    """Each trained arm's differences to the base, at the same turns.

    measured: of every arm and the base, on the same tasks with the same draws. base: its name. resamples: of the
    bootstrap.
    """
    found = {arm: differences(ms, measured[base], resamples) for arm, ms in measured.items() if arm != base}
    return {arm: {key: gap for key, gap in of_arm.items() if "against" not in key} for arm, of_arm in found.items()}


def table(gains: Gains, rows: Sequence[Row], base: str) -> tuple[Table, ...]:
    """One table, a row a metric and a column an arm; none where nothing was trained. rows: of the main table.

    gains: as `of` gives them. base: its name.
    """
    if not gains:
        return ()
    lines = []
    for row in rows:
        estimates = [of_arm.get(row.metric) for of_arm in gains.values()]
        if any(estimates):
            cells = [e.signed if e else "" for e in estimates]
            lines.append((row.title, *cells))
    columns = ("metric", *(f"{label(arm)} − {label(base)}" for arm in gains))
    return (Table("what training gave: difference to the base, paired by task [95 % interval]", columns, tuple(lines)),)


def sentence(gains: Gains) -> str:
    """Which arms end above or below the base, from intervals that leave out zero; "" where nothing was trained."""
    parts = []
    for arm, of_arm in gains.items():
        for above, word in ((True, "above"), (False, "below")):
            keys = [key for key, gap in of_arm.items() if gap.decided and (gap.value > 0) is above]
            if keys:
                parts.append(f"{label(arm)} ends {word} the base on {', '.join(keys)}")
    return f"{'; '.join(parts)}." if parts else "No arm's difference to the base is decided." if gains else ""
