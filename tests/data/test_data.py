"""Tokens, packing, the loader's exact state, the prompt stream, the supervised job."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from data_sets import run_killed, write

from semrep_jax import prompts
from semrep_jax.core import shards
from semrep_jax.core.errors import TaskError
from semrep_jax.core.shards import DataError
from semrep_jax.core.stop import Stop, Stopped
from semrep_jax.data import loader as data_loader
from semrep_jax.data import mixture, packing, tokens
from semrep_jax.data import prompts as prompt_data
from semrep_jax.data import records as record_texts
from semrep_jax.data.loader import Blocks, Loader
from semrep_jax.data.packing import PackedBatch
from semrep_jax.data.pieces import Pieces
from semrep_jax.data.settings import Rewrites
from semrep_jax.data.sources import Generated, Stored
from semrep_jax.jobs import config
from semrep_jax.languages import LANGUAGES
from semrep_jax.model import sharding
from semrep_jax.model.pretrained import NANO
from semrep_jax.sandbox import children
from semrep_jax.tasks.generated.generator import Generator

RELU = """```cuda
__global__ void relu(const float* x, float* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = x[i] > 0.0f ? x[i] : 0.0f;
}
```
```json
{"launch": [{"kernel": "relu", "grid": ["ceil_div(N, 256)"], "block": [256], "args": ["x", "y", "i32:N"]}]}
```
"""


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def stored(made, nano, cache) -> Stored:
    return Stored(made, tokens.tokenised(made, nano.tokenizer, cache), nano.tokenizer, seed=0)


def loader(*sources, rows=2, row_length=256, block=64, **more) -> Loader:
    return Loader(Blocks(list(sources), 0, row_length, block), rows, **more)


def take(stream, count):
    return [next(stream) for _ in range(count)]


def same(a, b):
    return all(np.array_equal(x, y) and x.dtype == y.dtype for x, y in zip(a, b, strict=True))


# --- tokens


def test_a_data_set_is_tokenised_once_and_a_cache_cut_short_is_refused(made, nano, tmp_path, monkeypatch):
    first = tokens.tokenised(made, nano.tokenizer, tmp_path)
    monkeypatch.setattr(tokens, "encode", None)
    again = tokens.tokenised(made, nano.tokenizer, tmp_path)
    assert np.array_equal(first.flat, again.flat) and len(again) == len(again.lengths) == 2 * len(made)
    for file in ("flat.bin", "heads.npy", "meta.json"):
        path = again.directory / file
        whole = path.read_bytes()
        for damaged in (whole[:-2], bytes(len(whole)), None):
            path.unlink() if damaged is None else path.write_bytes(damaged)
            with pytest.raises(DataError, match=rf"{file} is not what was written; delete"):
                tokens.tokenised(made, nano.tokenizer, tmp_path)
        path.write_bytes(whole)
    assert len(tokens.tokenised(made, nano.tokenizer, tmp_path)) == len(first)


def test_a_data_set_that_can_not_be_tokenised_leaves_nothing_in_the_cache(made, nano, tmp_path, monkeypatch):
    monkeypatch.setattr(tokens, "encode", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        tokens.tokenised(made, nano.tokenizer, tmp_path)
    assert not list(tmp_path.iterdir())


def test_every_pair_in_the_cache_is_its_record_in_its_prompt_format(stored, made):
    tokenizer, kept = stored.tokenizer, stored.tokens
    for i in range(0, len(kept), 7):
        asked = record_texts.PROMPT_FORMATS[kept.prompt_format[i]]
        texts = record_texts.prompt_and_completion(made[int(kept.record[i])], asked, tokenizer)
        prompt, completion = (tokenizer.encode(text) for text in texts)
        assert kept.flat[kept.offsets[i] : kept.offsets[i + 1]].tolist() == prompt + completion
        assert kept.prompt_lengths[i] == len(prompt)


def test_pairs_are_rewritten_both_ways_and_fixes_are_asked_directly_and_guided(records, nano):
    pair, fix = records[:2]
    texts = {
        asked: record_texts.prompt_and_completion(record, asked, nano.tokenizer)
        for record in (pair, fix)
        for asked in record_texts.formats_of(record)
    }
    assert set(texts) == set(record_texts.PROMPT_FORMATS)
    there, back = pair["source"], pair["rewrite"]
    assert texts["rewrite"] == (f"{prompts.REWRITE}{there}{prompts.PROGRAM}", back + prompts.END)
    assert texts["back"] == (f"{prompts.REWRITE}{back}{prompts.PROGRAM}", there + prompts.END)
    assert prompts.EQUIVALENT in texts["guided"][0] and prompts.EQUIVALENT not in texts["direct"][0]
    assert record_texts.formats_of(fix | {"rewrite": None}) == ("direct",)
    assert record_texts.formats_of({"kind": "function"}) == ()


def test_nothing_of_the_test_split_is_trained_on(records, nano, tmp_path):
    both = write(tmp_path / "both", [records[0] | {"split": "test"}, records[1]])
    assert set(tokens.tokenised(both, nano.tokenizer, tmp_path / "cache").record.tolist()) == {1}
    exam = write(tmp_path / "exam", [r | {"split": "test"} for r in records[:4]])
    with pytest.raises(DataError, match="gives no pair: it is of the test split"):
        tokens.tokenised(exam, nano.tokenizer, tmp_path / "cache", Rewrites.FLY)


def test_a_chat_model_is_asked_in_its_own_wording(records, nano):
    chat = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    tokenizer = replace(nano.tokenizer, template=chat)
    tokenizer.__dict__["compact"] = False
    prompt, answer = record_texts.prompt_and_completion(records[1], "direct", tokenizer)
    assert prompt.startswith("[system]") and records[1]["instruction"] in prompt
    assert answer == f"```python\n{records[1]['target']}\n```{prompts.END}"


def test_a_cuda_pair_becomes_a_prompt_and_a_completion_and_is_rewritten_by_the_rules_of_cuda(nano):
    kernel = {"id": "k", "language": "cuda", "entry": "relu", "source": RELU}
    canonical = LANGUAGES["cuda"].canonical
    drawn = [record_texts.fresh_rewrite(kernel | {"kind": "function"}, Random(seed)) for seed in range(8)]
    made = next(text for text in drawn if canonical(text) not in (None, canonical(RELU)))
    pair = kernel | {"kind": "pair", "rewrite": made, "rules": []}
    assert json.loads(shards.encode(pair)) == pair
    prompt, completion = record_texts.prompt_and_completion(pair, "rewrite", nano.tokenizer)
    assert (prompt, completion) == (f"{prompts.REWRITE}{RELU}{prompts.PROGRAM}", made + prompts.END)
    assert prompts.extract(completion, "cuda")[0].source.strip() == made.strip()
    with pytest.raises(DataError, match="language is 3"):
        shards.encode(pair | {"language": 3})


def test_functions_without_rewrites_are_refused_unless_drawn_on_the_fly(made, records, nano, tmp_path):
    bare = {k: records[1][k] for k in ("id", "source", "origin", "entry")} | {
        "kind": "function",
        "tests": records[1]["preserve"],
    }
    functions = write(tmp_path / "functions", [bare])
    with pytest.raises(DataError, match=r"supervised\.rewrites: fly"):
        tokens.tokenised(functions, nano.tokenizer, tmp_path / "cache")
    assert len(tokens.tokenised(functions, nano.tokenizer, tmp_path / "cache", Rewrites.FLY)) == 2


# --- packing


def test_the_plan_is_first_fit_with_the_longest_first():
    rng = np.random.default_rng(0)
    for _ in range(60):
        row_length = int(rng.integers(4, 50))
        lengths = rng.integers(1, row_length + 1, int(rng.integers(1, 60)))
        rows: list[list[int]] = []
        for i in np.argsort(-lengths, kind="stable").tolist():
            room = next((r for r in rows if lengths[r].sum() + lengths[i] <= row_length), None)
            if room is None:
                rows.append(room := [])
            room.append(i)
        plan = packing.first_fit(lengths, row_length)
        assert [plan.order[a:b].tolist() for a, b in zip(plan.first, plan.first[1:], strict=False)] == rows


def test_every_row_is_filled_up_with_padding_and_numbers_its_pairs_from_one():
    pieces = Pieces.consecutive(0, np.array([5, 3, 2, 4]), np.array([1, 1, 1, 1]))
    packed = packing.in_rows(packing.first_fit(pieces.lengths, 8), pieces, zeros=1)
    assert packed.lengths.tolist() == [5, 3, 0, 4, 2, 2] and packed.segments.tolist() == [1, 2, 0, 1, 2, 0]
    assert packed.arrays.tolist() == [0, 0, 1, 0, 0, 1] and packed.starts.tolist() == [0, 5, 0, 10, 8, 0]
    batch = packing.fill(packed, [np.arange(1, 15), np.zeros(8, np.uint16)], 8, prompt_weight=0.5)
    assert batch.tokens.tolist() == [[1, 2, 3, 4, 5, 6, 7, 8], [11, 12, 13, 14, 9, 10, 0, 0]]
    assert batch.weight.tolist() == [[0.5, 1, 1, 1, 1, 0.5, 1, 1], [0.5, 1, 1, 1, 0.5, 1, 0, 0]]
    assert batch.positions.tolist() == [[0, 1, 2, 3, 4, 0, 1, 2], [0, 1, 2, 3, 0, 1, 0, 0]]


def test_a_packed_row_holds_whole_pairs_with_weight_on_their_completions_only(stored, nano):
    blocks = Blocks([stored, Generated(Generator(), nano.tokenizer)], 0, 256, 64, prompt_weight=0.25)
    for batch in take(Loader(blocks, 2), 3):
        for tokens_T, weight, segments, positions in zip(*batch, strict=True):
            assert segments.max() >= 1 and set(np.unique(weight)) <= {0.0, 0.25, 1.0}
            for segment in range(1, segments.max() + 1):
                mine = segments == segment
                text, told = (
                    nano.tokenizer.decode(tokens_T[mine]),
                    nano.tokenizer.decode(tokens_T[mine & (weight == 1)]),
                )
                assert text.endswith(prompts.PROGRAM + told) and told.endswith(prompts.END) and text.startswith("<|")
                assert positions[mine].tolist() == list(range(mine.sum()))
            empty = segments == 0
            assert not weight[empty].any() and not tokens_T[empty].any() and not positions[empty].any()
    assert [str(x.dtype) for x in batch] == ["int32", "float32", "int32", "int32"]


@pytest.mark.parametrize("row_length", [256, 1024])
def test_packing_wastes_less_than_five_percent(stored, row_length):
    batches = take(loader(stored, row_length=row_length, rows=8, block=1024), 30)
    assert np.mean([(b.segments == 0).mean() for b in batches]) < 0.05


# --- the stream


def pairs_of(batch):
    for tokens_T, segments in zip(batch.tokens, batch.segments, strict=True):
        for segment in range(1, segments.max() + 1):
            yield tuple(tokens_T[segments == segment].tolist())


def test_an_epoch_holds_every_pair_once_and_the_next_in_another_order_over_the_whole_set(stored):
    size = len(stored.tokens)
    drawn = [stored.draw(np.arange(e * size, (e + 1) * size)).pieces.starts for e in range(3)]
    assert all(sorted(d) == stored.tokens.offsets[:-1].tolist() for d in drawn)
    assert not np.array_equal(drawn[0], drawn[1]) and not np.array_equal(drawn[1], drawn[2])
    moved = np.abs(drawn[0].argsort().argsort() - np.arange(size))
    assert moved.mean() > size / 5  # of a third, were every place as likely
    block = Blocks([stored], 0, 4096, size)
    rows = block.rows(block[0], 0, len(block[0]))
    wanted = sorted(
        tuple(stored.flat[a:b].tolist()) for a, b in zip(stored.tokens.offsets, stored.tokens.offsets[1:], strict=False)
    )
    assert sorted(pairs_of(rows)) == wanted


def test_weights_become_whole_numbers_in_proportion_and_none_of_them_zero():
    assert mixture.whole_weights([3.0, 1.0]) == [3 * mixture.SCALE // 4, mixture.SCALE // 4]
    assert mixture.whole_weights([1e9, 1e-9]) == [mixture.SCALE, 1]


def test_sources_are_mixed_in_proportion_to_their_weights_and_each_is_read_in_order():
    weights = [300, 100, 500]
    who, index = mixture.mix(np.arange(90_000), weights)
    for i, weight in enumerate(weights):
        mine = index[who == i]
        assert np.array_equal(mine, np.arange(len(mine))) and abs(len(mine) - 90_000 * weight / 900) <= 3
        assert abs((who[:900] == i).sum() - weight) <= 3
    later = mixture.mix(np.arange(5000, 6000) + (1 << 40), weights)
    assert np.array_equal(later[0], mixture.mix(np.arange(6000) + (1 << 40), weights)[0][5000:])


def test_two_sources_are_both_in_a_batch(stored, nano):
    generated = Generated(Generator(seed=77), nano.tokenizer, weight=3.0)
    block = Blocks([stored, generated], 0, 256, 64)[0]
    counts = np.bincount(block.pieces.arrays, minlength=5)  # of each source: kept, written; and padding
    assert counts.tolist() == [16, 0, 0, 48, len(block)]


def test_pairs_longer_than_a_row_are_dropped_and_counted_also_across_a_resume(stored):
    limit = int(np.median(stored.tokens.lengths))
    size = len(stored.tokens)
    stream = loader(stored, row_length=limit, block=size)
    take(stream, 3)
    too_long = int((stored.tokens.lengths > limit).sum())
    assert stream.dropped == {"too_long": too_long, "no_rewrite": 0} and too_long > 10
    state = json.loads(json.dumps(stream.get_state()))
    while stream.get_state()["block"] < 2:
        next(stream)
    assert stream.dropped["too_long"] == 3 * too_long
    other = loader(stored, row_length=limit, block=size)
    other.set_state(state)
    while other.get_state()["block"] < 2:
        next(other)
    assert other.dropped == stream.dropped


def test_a_row_that_no_pair_fits_is_refused_with_the_key_to_raise(stored, nano):
    for source in (stored, Generated(Generator(), nano.tokenizer)):
        with pytest.raises(DataError, match=r"raise supervised\.row_length"):
            next(loader(source, row_length=16, block=32))


def test_the_stream_resumes_exactly_from_json_in_the_middle_of_an_epoch_and_of_a_block(stored, nano):
    sources = (stored, Generated(Generator(), nano.tokenizer))
    stream = loader(*sources)
    take(stream, 27)
    state = json.loads(json.dumps(stream.get_state()))
    assert state["block"] > 0 and state["row"] > 0
    want = take(stream, 20)
    other = loader(*sources)
    other.set_state(state)
    assert all(same(a, b) for a, b in zip(want, take(other, 20), strict=True))
    stream.set_state(state)  # the same object goes back too
    assert same(want[0], next(stream))


LOGGED = """
import hashlib, json, os, sys
from pathlib import Path
from semrep_jax.data import loader, sources, tokens
from semrep_jax.core.shards import Shards
from semrep_jax.model import tokenizer
from semrep_jax.sandbox import children
from semrep_jax.tasks.generated.generator import Generator

def main(data, cache, nano, log, last):
    own, made = tokenizer.load(Path(nano)), Shards(data)
    both = [sources.Stored(made, tokens.tokenised(made, own, Path(cache)), own, 0), sources.Generated(Generator(), own)]
    batches = loader.Loader(loader.Blocks(both, 0, 256, 48), 3)
    done = [json.loads(line) for line in open(log)] if os.path.exists(log) else []
    if done:
        batches.set_state(done[-1]["state"])
    with open(log, "a") as file:
        for step in range(len(done), int(last)):
            digest = hashlib.sha256(b"".join(array.tobytes() for array in next(batches))).hexdigest()
            print(json.dumps({"sha256": digest, "state": batches.get_state()}), file=file, flush=True)
"""


def test_a_loader_that_was_killed_and_resumed_gives_the_same_bytes(made, cache, tmp_path, stored):
    names: dict = {}
    exec(LOGGED, names)
    given = (made.directory, cache, NANO)
    names["main"](*given, tmp_path / "whole", 24)
    run_killed(LOGGED + "\nmain(*sys.argv[1:])\nos.kill(os.getpid(), 9)", *given, tmp_path / "killed", 11)
    names["main"](*given, tmp_path / "killed", 24)
    whole, killed = (
        [json.loads(line)["sha256"] for line in (tmp_path / n).read_text().splitlines()] for n in ("whole", "killed")
    )
    assert len(whole) == len(set(whole)) == 24 and killed == whole


def test_the_rows_of_all_processes_together_are_the_batch_of_one(stored):
    whole, first, second = (loader(stored, rows=5, local_rows=local) for local in (None, (0, 2), (2, 5)))
    for _ in range(30):
        a, b, want = next(first), next(second), next(whole)
        assert same(PackedBatch(*map(np.concatenate, zip(a, b, strict=True))), want)
    assert first.get_state() == second.get_state() == whole.get_state()  # so any number of processes goes on from it


def test_one_process_holds_every_row(nano):
    place = sharding.build()
    assert place.local_rows(6) == (0, 6)
    assert np.array_equal(place.rows({"x": np.arange(6).reshape(3, 2)}, 0, 3)["x"], np.arange(6).reshape(3, 2))


def test_worker_processes_give_the_stream_of_a_thread(stored):
    stream = loader(stored, workers=1)
    try:
        assert all(same(a, b) for a, b in zip(take(loader(stored), 12), take(stream, 12), strict=True))
    finally:
        stream.close()


def test_a_worker_that_plans_ahead_watches_whose_blocks_they_are_and_ends_after_it(stored, monkeypatch):
    watched = []
    monkeypatch.setattr(children, "end_soon_after", watched.append)
    stream = loader(stored)
    packed, ours = pickle.dumps(data_loader._Ahead(stream.blocks)), os.getpid()
    assert repr(pickle.loads(packed)) == repr(stream.blocks) and not watched  # in this very process
    monkeypatch.setattr(os, "getpid", lambda: -1)
    pickle.loads(packed)
    assert watched == [ours]


def test_rewrites_on_the_fly_are_new_in_every_epoch_and_the_same_in_every_run(made, records, nano, tmp_path):
    few = write(tmp_path / "few", records[:6])
    kept = tokens.tokenised(few, nano.tokenizer, tmp_path / "cache", Rewrites.FLY)
    fly = Stored(few, kept, nano.tokenizer, 0, rewrites=Rewrites.FLY)
    blocks = Blocks([fly], 0, 512, 12)
    texts = []
    for number in (0, 1, 0):
        block = blocks[number]
        texts.append({nano.tokenizer.decode(p) for p in pairs_of(blocks.rows(block, 0, len(block)))})
    assert texts[0] == texts[2] and len(texts[0] & texts[1]) < len(texts[0]) / 2
    direct = {t for t in texts[0] if prompts.EQUIVALENT not in t and t.startswith(prompts.EDIT)}
    assert len(direct) == 3 and direct <= texts[1]  # a direct edit has no rewrite to be drawn
    known = {r["rewrite"] for r in records[:6]}
    assert any(not any(k in t for k in known) for t in texts[0] if t.startswith(prompts.REWRITE))


def test_a_changed_data_set_is_refused_and_what_changed_is_named(stored, made, records, nano, tmp_path):
    stream = loader(stored)
    take(stream, 2)
    state = json.loads(json.dumps(stream.get_state()))
    changed = write(tmp_path / "changed", records[:-1], name="made")
    other = replace(stored, shards=changed, tokens=tokens.tokenised(changed, nano.tokenizer, tmp_path / "cache"))
    with pytest.raises(DataError, match=rf"source 0 was 'made@{made.sha256[:16]}.*is 'made@{changed.sha256[:16]}"):
        loader(other).set_state(state)
    with pytest.raises(DataError, match="row_length was 256 and is 200"):
        loader(stored, row_length=200).set_state(state)
    with pytest.raises(DataError, match=r"source 0 was .* x 1' and is .* x 2'"):
        loader(replace(stored, weight=2.0)).set_state(state)


# --- the job


def test_the_supervised_job_stopped_and_gone_on_with_ends_in_the_same_bits_and_refuses_changed_data(
    made, records, nano, tmp_path
):
    def settings(path, steps=6):
        shape = {"vocab": 1024, "dim": 16, "layers": 1, "heads": 2, "kv_heads": 1, "head_dim": 8, "ffn": 16}
        own = {"steps": steps, "rows": 2, "row_length": 128, "block": 32, "checkpoint_every": 2, "warmup": 1}
        own |= {"sources": [{"path": str(path), "weight": 2}], "cache": str(tmp_path / "cache")}
        chosen = config.build({"job": "pretrain", "model": {"shape": shape}, "supervised": own})
        return WarmStart(chosen.seed, chosen.model, chosen.supervised, {})

    from semrep_jax.model import sharding
    from semrep_jax.train.supervised import WarmStart, run

    mesh = sharding.build()

    def work(name):
        (tmp_path / name).mkdir()
        shutil.copy(NANO / "tokenizer.json", tmp_path / name)
        return tmp_path / name

    data = Path(shutil.copytree(made.directory, tmp_path / "data"))
    whole = run(settings(data), mesh, work("whole"), Stop())
    stop = Stop()
    stop.asked = True
    with pytest.raises(Stopped):
        run(settings(data), mesh, work("halves"), stop)
    halves = run(settings(data), mesh, tmp_path / "halves", Stop())
    assert halves["loss"] == whole["loss"] and halves["dropped/too_long"] == whole["dropped/too_long"] > 0
    assert (tmp_path / "halves/export/model.safetensors").read_bytes() == (
        tmp_path / "whole/export/model.safetensors"
    ).read_bytes()
    shutil.rmtree(data)
    write(data, records[:-1])
    with pytest.raises(DataError, match="source 0 was"):
        run(settings(data), mesh, tmp_path / "halves", Stop())


def test_a_job_without_any_source_and_a_misspelt_source_are_refused():
    with pytest.raises(config.ConfigError, match=r"supervised\.generated: 0"):
        config.build({"job": "pretrain", "supervised": {"generated": 0}})
    with pytest.raises(config.ConfigError, match=r"supervised\.sources\.0\.wieght.*known here: path, weight"):
        config.build({"job": "pretrain", "supervised": {"sources": [{"path": "x", "wieght": 2}]}})


# --- prompts


def test_the_prompt_stream_covers_every_task_each_epoch_in_another_order():
    stream = prompt_data.stream(list(range(12)), 4, seed=1)
    first, second = (np.concatenate([next(stream) for _ in range(3)]) for _ in range(2))
    assert sorted(first) == sorted(second) == list(range(12)) and first.tolist() != second.tolist()


def test_the_prompt_stream_resumes_exactly_in_the_middle_of_an_epoch():
    stream = prompt_data.stream(list(range(10)), 4, seed=1)
    next(stream)
    state = json.loads(json.dumps(stream.get_state()))
    want = [next(stream).tolist() for _ in range(6)]
    other = prompt_data.stream(list(range(10)), 4, seed=1)
    other.set_state(state)
    assert [next(other).tolist() for _ in range(6)] == want


def test_an_empty_task_set_is_refused_with_the_keys_to_widen():
    with pytest.raises(TaskError, match=r"tasks\.train_size"):
        prompt_data.stream([], 4, seed=1)
