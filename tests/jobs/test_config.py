"""Settings: what is refused, and what the refusal says."""

import re
from pathlib import Path
from typing import get_args

import pytest

from semrep_jax.core.settings import ConfigError, Section
from semrep_jax.jobs import checks, config
from semrep_jax.jobs.job import JOBS, TRAINING

CONFIGS = Path(__file__).parents[2] / "configs"


def refusal(tree: dict) -> str:
    with pytest.raises(ConfigError) as error:
        config.build(tree, "q.yaml")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_unknown_keys_are_refused_with_the_known_ones_named():
    message = refusal({"job": "compare", "train": {"bugdet": 3}})
    assert "train.bugdet" in message and "budget" in message


def test_an_unknown_job_is_refused_with_the_jobs_named():
    message = refusal({"job": "dance"})
    assert "dance" in message and "compare" in message


@pytest.mark.parametrize("alpha", [-0.1, 1.5, "much"])
def test_alpha_outside_zero_to_one_is_refused_with_its_value(alpha):
    message = refusal({"job": "compare", "train": {"alpha": alpha}})
    assert "train.alpha" in message and str(alpha) in message


def test_a_budget_too_small_for_the_split_is_refused_with_the_fix():
    message = refusal({"job": "compare", "train": {"budget": 1}})
    assert "train.budget" in message and "raise" in message


@pytest.mark.parametrize(
    ("tree", "says"),
    [
        ({"seed": 1 << 32}, "seed = 4294967296: input should be less than"),
        ({"evaluate": {"seed": 1 << 32}}, "evaluate.seed = 4294967296"),
        ({"sweep": {"seeds": [0, -1]}}, "sweep.seeds.1 = -1: input should be greater than or equal to 0"),
        ({"train": {"learning_rate": float("inf")}}, "train.learning_rate = inf: input should be a finite number"),
        (
            {"supervised": {"sources": [{"path": "p", "weight": float("inf")}]}},
            "weight = inf: input should be a finite",
        ),
    ],
    ids=str,
)
def test_a_seed_that_draws_as_another_and_a_setting_that_is_no_number_are_refused_by_their_key(tree, says):
    assert says in refusal({"job": "compare"} | tree)


def test_comparing_two_equal_arms_is_refused():
    chosen = config.build({"job": "compare", "train": {"alpha": 0}})
    with pytest.raises(ConfigError, match=r"train\.alpha: 0 makes both arms"):
        JOBS["compare"].check(chosen)


def test_a_paired_suite_is_told_what_the_one_is_told_that_it_is_paired_with():
    settings = {"mined": {"directory": "runs/mine"}, "perturbed": {"offset": 9}}
    chosen = config.build({"job": "evaluate", "evaluate": settings})
    assert chosen.of_suite("mined_robustness") == chosen.of_suite("mined") == chosen.evaluate.mined
    assert chosen.of_suite("perturbed").offset == 9 and chosen.of_suite("robustness") is None
    assert chosen.of_suite("plain") == chosen.of_suite("reworded") == chosen.evaluate.perturbed


def test_a_remote_model_is_evaluated_and_not_trained():
    chosen = config.build({"job": "train", "remote": {"url": "http://localhost:1/v1"}})
    with pytest.raises(ConfigError, match=r"remote\.url: .* can only be evaluated"):
        JOBS["train"].check(chosen)


def test_a_remote_model_tells_no_likelihoods_to_choose_by():
    tree = {"job": "evaluate", "inference": {"choose": "likeliest"}}
    assert config.build(tree).inference.choose == "likeliest"
    message = refusal(tree | {"remote": {"url": "http://localhost:1/v1"}})
    assert "inference.choose: likeliest" in message and "set it to first" in message


@pytest.mark.parametrize("tree", [{"profile": {"steps": "2:3"}}, {"logging": {"wandb": "mine"}}], ids=str)
def test_what_follows_a_training_is_refused_in_a_job_that_trains_nothing(tree, monkeypatch):
    monkeypatch.setattr(checks, "require_wandb", lambda setting: None)
    ((section, ((key, value),)),) = [(name, tuple(one.items())) for name, one in tree.items()]
    trainless = {"evaluate", "headroom", "search", "mine", "plan"}
    for job in JOBS:
        chosen = config.build({"job": job} | tree)
        if job in trainless:
            with pytest.raises(ConfigError, match=rf"{section}\.{key}: '{value}' is of a training, and job {job}"):
                checks.services(chosen)
        else:
            checks.services(chosen)


@pytest.mark.parametrize(
    ("tree", "says"),
    [
        (
            {"tasks": {"source": "dreams"}},
            "tasks.source: there is no source of tasks 'dreams'; there are generated, mined",
        ),
        ({"evaluate": {"suites": ["dreams"]}}, "evaluate.suites: there is no suite 'dreams'; there are correctness"),
        ({"train": {"advantage": "luck"}}, "train.advantage: there is no advantage 'luck'; there are group_std"),
        ({"reward": {"rewrite": "praise"}}, "reward: there is no reward 'praise'; there are r_sem"),
        ({"preset": "moon"}, "preset = 'moon': choose one of 'none', 'nano'"),
        ({"plugins": "one.py"}, "plugins = 'one.py': a list"),
    ],
)
def test_a_name_that_is_none_is_refused_with_those_there_are(tree, says):
    assert says in refusal({"job": "compare"} | tree)


def test_a_preset_lies_under_the_file_and_over_the_defaults():
    plain, preset = config.build({"job": "compare"}), config.build({"job": "compare", "preset": "nano"})
    own = config.build({"job": "compare", "preset": "nano", "rollout": {"max_new": 64}})
    assert plain.rollout.bucket != preset.rollout.bucket == own.rollout.bucket == 128
    assert (preset.rollout.max_new, own.rollout.max_new) == (80, 64)


@pytest.mark.parametrize("preset", list(config.Preset))
def test_every_preset_is_a_config(preset):
    assert config.build({"job": "compare", "preset": preset}).preset is preset


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_config_that_ships_loads(path):
    loaded = config.load(path)
    JOBS[loaded.job].check(loaded)


def test_a_suite_that_is_added_or_changed_does_not_touch_what_a_training_is_known_by():
    base = config.build({"job": "compare"}).comparable(TRAINING)
    other = config.build({"job": "compare", "evaluate": {"suites": ["humaneval"], "tasks": 7}}).comparable(TRAINING)
    assert base == other != config.build({"job": "compare", "train": {"budget": 30}}).comparable(TRAINING)


def test_overrides_reach_nested_settings_and_bad_ones_are_named(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("job: compare\n")
    loaded = config.load(path, ["train.budget=40", "model.source=/x"])
    assert (loaded.train.budget, loaded.model.source) == (40, "/x")
    with pytest.raises(ConfigError, match="key=value"):
        config.load(path, ["train.budget"])
    with pytest.raises(ConfigError, match="'job' is a value"):
        config.load(path, ["job.x=1"])


TWICE = "job: compare\nevaluate: {tasks: 7}\nevaluate: {samples: 2}\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("job: [", "not YAML"),
        ("train: {alpha: yes}\n", "train.alpha = True: a truth value is no number"),
        ("train: fast\n", "train = 'fast': a section of settings is expected; known there: budget, alpha"),
        ("- a\n", "holds ['a'], and no settings by name"),
        ("", "is empty; start with"),
        (TWICE, "'evaluate' stands twice, again in line 3; join them"),
        ("job: compare\nevaluate: {tasks: 7, tasks: 8}\n", "'tasks' stands twice"),
        ("job: compare\n? [a, b]\n: 1\n", "found unhashable key"),
    ],
)
def test_malformed_files_are_refused(tmp_path, text, says):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(says)):
        config.load(path)


def test_a_missing_file_is_named_with_its_neighbours(tmp_path):
    (tmp_path / "quickstart.yaml").write_text("job: compare\n")
    with pytest.raises(ConfigError, match=r"quickstart\.yaml"):
        config.load(tmp_path / "quikstart.yaml")


def test_the_resolved_config_loads_back_to_the_same_settings(tmp_path):
    first = config.build({"job": "compare", "train": {"alpha": 0.25}})
    path = tmp_path / "c.yaml"
    path.write_text(first.to_yaml())
    assert config.load(path) == first


def test_work_dir_and_pool_width_do_not_change_the_identity_but_the_seed_does():
    base = config.build({"job": "compare"})
    same = config.build({"job": "compare", "work_dir": "elsewhere", "sandbox": {"workers": 7}})
    assert base.sha256 == same.sha256 != config.build({"job": "compare", "seed": 1}).sha256


def test_workers_that_a_killed_run_is_told_to_take_do_not_make_it_another():
    one, two = (config.build({"job": "mine", "mine": {"workers": n}}) for n in (0, 1))
    assert one.sha256 == two.sha256


def test_a_section_that_may_be_null_and_lists_of_sections_are_described_and_known():
    text = config.describe()
    for key in ("supervised.form_gap (default None)", "supervised.form_gap.rewrites ", "sweep.settings[].name "):
        assert key in text, key
    with pytest.raises(ConfigError, match=r"unknown key 'supervised.form_gap.foo'; known here: .*rewrites"):
        config.build({"job": "pretrain", "supervised": {"form_gap": {"foo": 1}}})


def undescribed(section: type[Section], prefix: str = "") -> list[str]:
    """Settings without a sentence, and sections without a docstring of their own."""
    found = [] if section.__doc__ else [prefix]
    for name, info in section.model_fields.items():
        held = (info.annotation, *get_args(info.annotation))
        inner = [one for one in held if isinstance(one, type) and issubclass(one, Section)]
        found += [key for one in inner for key in undescribed(one, f"{prefix}{name}.")]
        found += [f"{prefix}{name}"] if not inner and not info.description else []
    return found


def test_every_setting_is_described():
    assert undescribed(config.config_type()) == []
    told = config.describe()
    assert "train.alpha" in told and "with the devices of all in one mesh. work_dir must be" in told
