"""Variants of the 164 HumanEval solutions, each run on the problem's own tests, which `perturb` never sees: how many fail?

    python tools/bench_perturb.py --variants 5          # about 6 minutes on 2 cores

The ReCode set as released breaks 1.6 to 4.7 % of its own variants, by kind. Prints JSON as its last line.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from semrep_jax.core import progress
from semrep_jax.core.errors import SemRepError
from semrep_jax.perturb import perturb
from semrep_jax.sandbox.pool import Limits, Sandbox
from semrep_jax.tasks import humaneval
from semrep_jax.verify import Verifier


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--variants", type=int, default=5, help="variants asked of each solution (default 5)")
    options.add_argument("--problems", type=int, default=164, help="the first so many problems (default all)")
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    began, rules, failing, none, short = time.perf_counter(), Counter(), [], [], 0
    variants = 0
    with Sandbox(2, Limits(5.0, 10.0, 512)) as sandbox, ThreadPoolExecutor(2) as threads:
        verifier = Verifier(sandbox)

        def one(problem):
            task = humaneval.solution_task(problem, humaneval.tests_of(problem, sandbox))
            try:
                found = perturb(task.source, sandbox, chosen.variants, chosen.seed)
            except SemRepError as error:
                return task, [], [], str(error)
            return (
                task,
                found.kept,
                verifier.verify(task, [made.program for made in found.kept]),
                str(dict(found.dropped.most_common(3))),
            )

        problems = list(humaneval.problems().values())[: chosen.problems]
        with progress.bar("problems", len(problems)) as bar:
            for task, kept, verdicts, why in threads.map(one, problems):
                variants += len(kept)
                short += len(kept) < chosen.variants
                rules.update(name for made in kept for name in made.rules)
                failing += [
                    (task.id, made.rules, v.feedback)
                    for made, v in zip(kept, verdicts, strict=True)
                    if not v.equivalent
                ]
                none += [] if kept else [f"{task.id}: {why}"]
                bar.advance(f"{variants} variants, {len(failing)} fail")
    for task_id, names, feedback in failing:
        print(f"{task_id} after {', '.join(names)}: {feedback}")
    for line in none:
        print(f"no variant of {line}")
    figures = {
        "problems": len(problems), "variants": variants, "failing": len(failing), "problems_without": len(none),
        "problems_with_fewer": short, "rules_used": len(rules), "seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip
    print(
        json.dumps(
            {"bench": "perturb", "device": "cpu", "versions": {"python": platform.python_version()}, "figures": figures}
        )
    )


if __name__ == "__main__":
    main()
