"""Worlds of generated programs: perturbed twins, what is seen of them, and that nothing leaks between the splits."""

import re
from itertools import islice
from random import Random
from typing import get_args

import pytest

from semrep_jax.core.errors import TaskError
from semrep_jax.core.settings import ConfigError
from semrep_jax.jobs.config import build
from semrep_jax.sandbox.wire import encode
from semrep_jax.tasks.generated import families, grammar, near_families, perturbations, reference, wordings
from semrep_jax.tasks.generated.generator import HELD_OUT_KINDS, Generator, text_split
from semrep_jax.tasks.generated.world_suites import WORLD_KINDS
from semrep_jax.tasks.generated.worlds import Forms
from semrep_jax.tasks.settings import GeneratedConfig, PerturbationConfig, Seen, Wording, World
from semrep_jax.tasks.source import SOURCES, SourceRequest
from semrep_jax.tasks.suite import SUITES, SuiteRequest, base_of, draw

WHICH = (wordings.TRAINING, wordings.HELD_OUT)
TEXT = "def f(xs):\n    out = 0\n    for x in xs:\n        if x > 3:\n            out += x * 2\n    return out"


def pairs(split, dial, count):
    forms = Forms(Generator(split, kinds=WORLD_KINDS, seed=4), dial)
    return list(islice(filter(None, (forms.pair(i) for i in range(200))), count))


@pytest.mark.parametrize("rules", [["sums"], ["turned"], ["quotients"], ["doubled"], ["rewrites"]])
def test_every_rule_changes_the_text_and_nothing_that_it_does(rules, verifier):
    found = pairs("train", PerturbationConfig(rules=rules, changes=None, offset=9), 4)
    verdicts = verifier.verify_all([(plain, twin.source) for plain, twin in found])
    assert len(found) == 4 and all(v.equivalent and v.edit.passed == 0 for v in verdicts)
    assert all(plain.source != twin.source for plain, twin in found)


def test_a_twin_has_the_tests_the_instruction_and_the_target_of_its_plain_task(verifier):
    for plain, twin in pairs("test", PerturbationConfig(), 3):
        assert (twin.preserve, twin.edit, twin.instruction) == (plain.preserve, plain.edit, plain.instruction)
        assert twin.solution == plain.solution and verifier.verify(twin, [twin.solution])[0].correct
        assert twin.tags["base"] == plain.id and twin.tags["rewrite"] == plain.source.source


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_twin_is_of_the_split_of_its_plain_program(split):
    for plain, twin in pairs(split, PerturbationConfig(changes=1), 6):
        assert text_split(plain.source.source) == text_split(twin.source.source) == split


def test_the_dial_says_how_many_places_change_and_by_how_much():
    def texts(**dial):
        config = PerturbationConfig(rules=["sums"], **dial)
        return [perturbations.perturbed(TEXT, Random(i), config) for i in range(40)]

    narrow, wide = texts(changes=1, offset=1), texts(changes=None, offset=9)
    assert len(set(narrow)) < len(set(wide))
    assert {text.count(" - ") + text.count(" + ") for text in narrow} == {1}
    assert {text.count(" - ") + text.count(" + ") for text in wide} == {3}
    assert {text is None for text in texts(share=0.2)} == {True, False}


def test_a_program_that_no_rule_changes_has_no_perturbation():
    assert perturbations.perturbed("def f(x):\n    return x", Random(0), PerturbationConfig()) is None


@pytest.mark.parametrize("section", ["tasks.generated.perturbation", "evaluate.perturbed"])
def test_an_unknown_rule_is_refused_under_the_key_that_names_it(section):
    tree = {"rules": ["sum"]}
    for name in reversed(section.split(".")):
        tree = {name: tree}
    with pytest.raises(ConfigError, match=rf"{section}.rules.*sums.*turned.*rewrites"):
        build({"job": "compare"} | tree)


def test_every_rule_that_settings_may_name_is_there():
    (named,) = get_args(PerturbationConfig.model_fields["rules"].annotation)
    assert set(get_args(named)) == {*perturbations.RULES, perturbations.REWRITES}


def drawn(setting, rewriting=False, count=12):
    source, request = SOURCES["generated"], SourceRequest(count, 3, settings=setting)
    stream = source.rewriting(request) if rewriting else source.transform(request)
    return list(islice(stream, count))


def is_perturbed(task):
    return task.id.endswith("/perturbed")


def test_a_stage_sees_the_forms_that_it_is_to_see():
    both = GeneratedConfig(world=World.BOTH, edits=Seen.PLAIN, rewrites=Seen.PERTURBED)
    assert not any(map(is_perturbed, drawn(both))) and all(map(is_perturbed, drawn(both, rewriting=True)))
    mixed = [is_perturbed(t) for t in drawn(GeneratedConfig(world=World.BOTH), rewriting=True)]
    assert any(mixed) and not all(mixed)
    assert all(map(is_perturbed, drawn(GeneratedConfig(world=World.PERTURBED))))


def test_the_plain_world_is_what_it_was():
    plain = [t.sha256 for t in islice(Generator(seed=3).tasks(), 5)]
    assert [t.sha256 for t in drawn(GeneratedConfig(), count=5)] == plain
    seen = drawn(GeneratedConfig(world=World.BOTH, edits=Seen.PLAIN), count=5)
    assert [t.sha256 for t in seen] == plain


def test_a_stage_is_not_to_see_what_the_world_has_not():
    with pytest.raises(ConfigError, match=r"tasks.generated.rewrites: perturbed .* set tasks.generated.world to both"):
        build({"job": "compare", "tasks": {"generated": {"rewrites": "perturbed"}}})


def test_stage_1_of_a_perturbed_program_knows_its_plain_twin(verifier):
    task = drawn(GeneratedConfig(world=World.PERTURBED), rewriting=True, count=1)[0]
    assert task.solution.source == task.tags["rewrite"] != task.source.source
    assert verifier.verify(task, [task.solution])[0].equivalent


def test_the_suites_of_twins_are_of_the_plain_suite(verifier):
    plain, *others = (draw(n, SuiteRequest(8, 2, verifier)) for n in ("plain", "perturbed", "perturbed_unseen"))
    for suite in others:
        assert {task.tags["base"] for task in suite.tasks} <= {task.id for task in plain.tasks}
        assert len(suite.tasks) >= 5
    assert {t.source for t in others[0].tasks}.isdisjoint(t.source for t in others[1].tasks)


def test_the_plain_suite_has_tasks_that_the_rules_of_the_perturbed_one_can_change(verifier):
    turned = PerturbationConfig(rules=["turned"])
    plain, twins = (draw(name, SuiteRequest(8, 2, verifier, turned)) for name in ("plain", "perturbed"))
    assert all(perturbations.perturbed(task.source.source, Random(0), turned) for task in plain.tasks)
    assert {task.tags["base"] for task in twins.tasks} <= {task.id for task in plain.tasks}
    assert plain.sha256 != draw("plain", SuiteRequest(8, 2, verifier)).sha256


def test_a_changed_task_is_found_again_by_its_id_and_its_tag(verifier):
    for name in ("perturbed", "perturbed_unseen", "reworded", "robustness"):
        pairing = SUITES[name].paired_with
        known = {task.id for task in draw(pairing.suite, SuiteRequest(4, 2, verifier)).tasks}
        for task in draw(name, SuiteRequest(4, 2, verifier)).tasks:
            assert base_of(task.id) == task.tags["base"] in known


def test_the_rules_of_tests_are_none_of_training():
    assert not set(GeneratedConfig().perturbation.rules) & set(perturbations.UNSEEN)


@pytest.mark.parametrize("kind", wordings.WORDINGS)
def test_every_instruction_of_a_kind_has_other_wordings_that_say_as_much(kind):
    generator = Generator(kinds=(kind,), seed=1)
    for index in range(4):
        own = generator.example(index).instruction
        said = {which: {wordings.reworded(kind, own, Random(i), which) for i in range(12)} for which in WHICH}
        assert own in said[wordings.TRAINING] and own not in said[wordings.HELD_OUT]
        assert not said[wordings.TRAINING] & said[wordings.HELD_OUT]
        numbers = sorted(re.findall(r"\d+", own))
        assert all(sorted(re.findall(r"\d+", text)) == numbers for texts in said.values() for text in texts)


def test_an_instruction_of_another_kind_is_refused():
    with pytest.raises(TaskError, match="is not worded as one of kind 'order'"):
        wordings.reworded("order", "negate the condition", Random(0), wordings.TRAINING)


def test_wordings_vary_in_training_only_where_they_are_asked_to(verifier):
    one, varied = drawn(GeneratedConfig()), drawn(GeneratedConfig(wording=Wording.VARIED))
    assert [t.source for t in one] == [t.source for t in varied]
    assert [t.instruction for t in one] != [t.instruction for t in varied]
    suite = draw("reworded", SuiteRequest(3, 2, verifier))
    plain = {t.id: t for t in draw("plain", SuiteRequest(3, 2, verifier)).tasks}
    assert all(t.instruction != plain[t.tags["base"]].instruction for t in suite.tasks)


@pytest.mark.parametrize("name", near_families.NEAR_FAMILIES)
def test_a_near_family_is_of_equivalent_templates_and_never_trained_on(name):
    family = near_families.ALL_FAMILIES[name]
    for seed in range(8):
        rng = Random(seed)
        spec, names = grammar.sample_spec(family, rng), grammar.sample_names(family, rng)
        calls = [encode(grammar.sample_inputs(family.inputs, rng)) for _ in range(12)]
        texts = [grammar.Style(i, names).render(spec) for i in range(len(family.templates))]
        seen = [reference.outcomes(text, names["fn"], calls) for text in texts]
        assert all(one == seen[0] for one in seen), texts
    assert name not in Generator().families + families.HELD_OUT_FAMILIES


def test_two_edits_at_once_are_two_of_training(verifier):
    task = draw("near_kinds", SuiteRequest(2, 2, verifier)).tasks[0]
    assert ", then " in task.instruction and verifier.verify(task, [task.solution])[0].correct
    assert "two" not in Generator().kinds and "two" not in HELD_OUT_KINDS
