"""Generated tasks, seeded bugs and HumanEval."""

import json
import resource
from collections import Counter
from itertools import islice
from random import Random

import pytest

from semrep_jax.core.errors import TaskError
from semrep_jax.core.programs import Outcome, Program
from semrep_jax.python.canonical import canonical
from semrep_jax.python.mutations import MUTATIONS, mutants
from semrep_jax.sandbox.wire import encode
from semrep_jax.tasks import humaneval
from semrep_jax.tasks.generated import families, grammar, reference
from semrep_jax.tasks.generated import generator as generated
from semrep_jax.tasks.generated.generator import EDIT_KINDS, HELD_OUT_KINDS, Generator
from semrep_jax.tasks.suite import DrawnSuite


@pytest.mark.parametrize("name", families.FAMILIES)
def test_all_templates_of_a_family_compute_the_same_function(name):
    family = families.FAMILIES[name]
    assert len(family.templates) >= 3
    for seed in range(12):
        rng = Random(seed)
        spec, names = grammar.sample_spec(family, rng), grammar.sample_names(family, rng)
        calls = [encode(grammar.sample_inputs(family.inputs, rng)) for _ in range(12)]
        texts = [grammar.Style(i, names).render(spec) for i in range(len(family.templates))]
        seen = [reference.outcomes(text, names["fn"], calls) for text in texts]
        assert all(one == seen[0] for one in seen), texts
        assert len({canonical(text) for text in texts}) == len(texts)


@pytest.mark.parametrize(
    "body",
    [
        "a = 3\n    while True:\n        a = a * a",
        "a = [1]\n    while True:\n        a = a + a",
        "a = 'ab'\n    while True:\n        a += a",
        "a = []\n    for i in range(40):\n        a = a + [a]\n    return a",
        "a = []\n    a.append(a)\n    return a",
        "return 7 ** 4000",
    ],
)
def test_a_reference_that_explodes_has_no_outcome_and_costs_little(body):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert reference.outcomes(f"def f(x):\n    {body}", "f", [encode((1,))]) == [None]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10


def test_what_stays_in_bounds_is_as_it_was():
    source = "def f(xs):\n    if len(xs) > 2:\n        return xs[9]\n    xs.append(1 << 200)\n    return xs"
    assert reference.outcomes(source, "f", [encode(([1],)), encode(([1, 2, 3],))]) == [
        Outcome(value=encode([1, 1 << 200]), mutated=encode(([1, 1 << 200],))),
        Outcome(error="IndexError"),
    ]


@pytest.mark.parametrize("rewriting", [True, False])
def test_the_values_of_many_tasks_are_bounded(rewriting):
    generator = Generator(seed=1)  # of its rewriting tasks number 1352 nests a list into itself at every element
    for task in filter(None, (generator.task(index, rewriting) for index in range(1300, 1400))):
        for case in task.preserve.cases + task.edit.cases:
            assert len(json.dumps([case.args, case.expected.value])) < 8 * reference.MAX_ITEMS


def test_there_are_enough_families_and_kinds_and_some_are_held_out():
    assert len(families.TRAIN_FAMILIES) >= 12 and len(families.HELD_OUT_FAMILIES) >= 3
    assert len(EDIT_KINDS) >= 12 and len(HELD_OUT_KINDS) >= 3


def test_an_example_depends_on_its_index_and_generator_only():
    a, b = Generator(seed=5), Generator(seed=5)
    assert [a.example(i) for i in (7, 3)] == [b.example(7), b.example(3)]
    assert a.example(3) != Generator(seed=6).example(3)


def test_every_kind_of_edit_is_drawn_and_held_out_ones_are_not():
    drawn = Counter(Generator().example(i).kind for i in range(400))
    assert set(drawn) == set(generated.TRAIN_KINDS)
    drawn_families = {Generator().example(i).family for i in range(400)}
    assert drawn_families == set(families.TRAIN_FAMILIES)


def test_tasks_keep_and_change_something_and_their_solution_passes_both(verifier):
    tasks = list(islice(Generator(seed=2).tasks(), 60))
    assert all(len(t.preserve) and len(t.edit) for t in tasks)
    sources = verifier.verify_all([(t, t.source) for t in tasks])
    solutions = verifier.verify_all([(t, t.solution) for t in tasks])
    assert all(v.preserve.all and v.edit.passed == 0 for v in sources)
    assert all(v.correct for v in solutions)


def test_rewriting_tasks_preserve_everything_and_accept_the_known_rewrite(verifier):
    tasks = list(islice(Generator(seed=3).tasks(rewriting=True), 40))
    verdicts = verifier.verify_all([(t, t.solution) for t in tasks])
    assert all(v.equivalent and not t.edit.cases for t, v in zip(tasks, verdicts, strict=True))


def test_without_bug_preserving_no_rewriting_task_is_buggy():
    kinds = {t.tags["kind"] for t in islice(Generator().tasks(rewriting=True, bug_preserving=False), 60)}
    assert not kinds & set(generated.BUG_KINDS)
    kinds = {t.tags["kind"] for t in islice(Generator().tasks(rewriting=True, bug_preserving=True), 60)}
    assert kinds & set(generated.BUG_KINDS)


def test_train_and_test_share_no_canonical_source():
    train, test = Generator("train"), Generator("test", seed=1)
    seen = set()
    for index in range(500):
        example = train.example(index)
        seen |= {canonical(text) for text in (example.source, example.rewrite, example.target)}
    sources = {canonical(test.example(i).source) for i in range(120)}
    assert not seen & sources


def test_unknown_families_and_splits_are_refused_with_the_known_ones():
    with pytest.raises(TaskError, match="filter_map"):
        Generator(families=("filtermap",))
    with pytest.raises(TaskError, match="split"):
        Generator(split="dev")
    with pytest.raises(TaskError, match="kind"):
        Generator(kinds=())


def test_an_empty_suite_is_refused():
    with pytest.raises(TaskError, match="empty"):
        DrawnSuite("none", ())


def test_the_content_hash_of_a_suite_follows_its_tests():
    tasks = tuple(islice(Generator().tasks(), 3))
    assert DrawnSuite("a", tasks).sha256 == DrawnSuite("b", tasks).sha256 != DrawnSuite("a", tasks[:2]).sha256


def test_each_kind_of_mutation_changes_the_text_and_says_how_to_mend_it():
    loop = "    for i in range(len(xs)):\n        if xs[i] > 3:\n            t = t + xs[i]\n"
    source = f"def f(xs):\n    t = 0\n{loop}    return t"
    found = mutants(source, "f")
    assert {m.kind for m in found} == set(MUTATIONS)
    assert len({m.source for m in found}) == len(found) and source not in {m.source for m in found}
    assert all(": " in m.hint for m in found)


def test_all_humaneval_solutions_pass_their_recorded_tests(verifier):
    problems = humaneval.problems()
    assert len(problems) == 164
    tests = {name: humaneval.tests_of(p, verifier.sandbox) for name, p in problems.items()}
    tasks = [humaneval.solution_task(problems[name], t) for name, t in tests.items()]
    assert all(v.equivalent for v in verifier.verify_all([(t, t.source) for t in tasks]))
    assert min(len(t.preserve) for t in tasks) >= 1


def test_humaneval_bugs_are_proved_by_the_tests_and_mended_by_the_solution(verifier):
    tasks = list(islice(humaneval.tasks(verifier.sandbox), 12))
    again = list(islice(humaneval.tasks(verifier.sandbox), 12))
    assert [t.sha256 for t in tasks] == [t.sha256 for t in again]
    bugs = verifier.verify_all([(t, t.source) for t in tasks])
    assert all(v.preserve.all and v.edit.passed < v.edit.total for v in bugs)
    assert all(v.correct for v in verifier.verify_all([(t, t.solution) for t in tasks]))
    wrong = Program(tasks[0].source.language, "def nothing(): pass")
    assert not verifier.verify(tasks[0], [wrong])[0].compiled
