"""Data sets on disk, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from data_sets import run_killed, write

from semrep_jax.core import shards
from semrep_jax.core.shards import DataError, Shards, Writer
from semrep_jax.data import tokens
from semrep_jax.tasks import mined
from semrep_jax.tasks.generated.generator import Generator


@pytest.fixture
def copy(made, tmp_path) -> Path:
    return Path(shutil.copytree(made.directory, tmp_path / "copy"))


def files(directory: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(directory.iterdir())}


def test_a_data_set_gives_back_its_records_at_random_and_in_order(made, records):
    assert len(made) == len(records) > 64 and list(made) == records
    assert [made[i] for i in (0, 15, 16, len(records) - 1, -1)] == [records[i] for i in (0, 15, 16, -1, -1)]
    with pytest.raises(IndexError):
        made[len(records)]


def test_the_same_records_make_the_same_bytes_and_other_records_another_hash(made, records, tmp_path):
    again = write(tmp_path / "again", records)
    assert files(again.directory) == files(made.directory) and repr(again) == repr(made)
    other = write(tmp_path / "other", [records[0] | {"entry": "other"}, *records[1:]])
    assert other.sha256 != made.sha256 and made.sha256 in repr(made)


def test_a_writer_killed_at_any_point_goes_on_from_its_finished_shards_to_the_same_bytes(made, records, tmp_path):
    code = """
import json, os, sys
from semrep_jax.core.shards import Writer
writer = Writer(sys.argv[1], "made", 16)
for record in json.load(open(sys.argv[2]))[writer.done:][:40]:
    writer.write(record)
os.kill(os.getpid(), 9)
"""
    (tmp_path / "records.json").write_text(json.dumps(records))
    run_killed(code, tmp_path / "data", tmp_path / "records.json")
    with pytest.raises(DataError, match=r"manifest\.json is missing: the data set was never finished"):
        Shards(tmp_path / "data")
    with Writer(tmp_path / "data", "made", 16) as writer:
        assert writer.done == 32
    assert files(write(tmp_path / "data", records).directory) == files(made.directory)


def test_a_writer_killed_between_the_last_shard_and_the_manifest_writes_that_shard_again(made, records, copy):
    (copy / shards.MANIFEST).unlink()
    with Writer(copy, "made", 16) as writer:
        assert writer.done == len(records) // 16 * 16
    assert files(write(copy, records).directory) == files(made.directory)


def test_a_finished_data_set_can_be_grown_but_not_under_another_shard_size(made, records, copy):
    with Writer(copy, "made", 16) as writer:
        assert writer.done == len(records) // 16 * 16
    with pytest.raises(DataError, match="never finished"):
        Shards(copy)
    with pytest.raises(DataError, match="same per_shard"):
        Writer(copy, "made", 8)
    assert list(write(copy, [*records, records[0]])) == [*records, records[0]]


@pytest.mark.parametrize("content", [b"[1]", b"3", b"{}", b'{"kind": "foo", "id": "x"}'])
def test_a_record_of_no_kind_is_refused_where_it_lies(made, copy, content):
    path, manifest = copy / made.shards[0].file, json.loads((copy / "manifest.json").read_text())
    writer = shards.ArrayRecordWriter(str(path), shards.OPTIONS)
    writer.write(content)
    writer.close()
    manifest["shards"] = [vars(shards._described(path))]
    manifest |= {"records": 1, "sha256": shards._content([shards._described(path)])}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=f"{path.name}: .*write the data set again"):
        list(Shards(copy))


@pytest.mark.parametrize(
    ("field", "value"),
    [("file", None), ("bytes", "x"), ("records", 1.5), ("records", -16), ("records", True), ("sha256", 3)],
)
def test_a_manifest_with_a_field_of_another_type_or_a_shard_twice_is_refused(copy, field, value):
    manifest = json.loads((copy / "manifest.json").read_text())
    first, *others = manifest["shards"]
    twice = manifest | {"shards": [first, *others, first]}
    manifest["shards"] = [first | {field: value}, *others]
    for spoilt, says in ((manifest, f"a shard whose {field}"), (twice, "lists a shard twice")):
        (copy / "manifest.json").write_text(json.dumps(spoilt))
        with pytest.raises(DataError, match=says):
            Shards(copy)


def test_a_manifest_that_moves_records_from_one_shard_to_another_is_refused_where_it_is_read(copy):
    manifest = json.loads((copy / "manifest.json").read_text())
    first, second, *others = manifest["shards"]
    moved = [first | {"records": first["records"] - 1}, second | {"records": second["records"] + 1}, *others]
    (copy / "manifest.json").write_text(json.dumps(manifest | {"shards": moved}))
    with pytest.raises(DataError, match=rf"{first['file']} holds 16 records and manifest\.json lists 15; copy"):
        list(Shards(copy))


@pytest.mark.parametrize("kind", ["functions", "fixes"])
def test_a_record_that_lacks_what_its_task_is_made_of_is_refused_with_the_field(records, tmp_path, kind):
    name, fields = mined.NEEDED[kind]
    whole = {"kind": name, "id": "f", "source": "x", "entry": "f", "tests": [], "preserve": [], "edit": []}
    whole |= {"instruction": "i", "target": "y"} | dict.fromkeys(fields, "p") | {"split": "test", "hidden": []}
    made = mined.rewriting if kind == "functions" else mined.fixing
    for number, field in enumerate((None, "split", *fields, "hidden")):
        directory = tmp_path / str(number)
        with Writer(directory / kind, "d") as writer:
            writer.write({key: value for key, value in whole.items() if key != field})
            writer.finish()
        if field in (None, "split"):
            assert len(made(str(directory), "train" if field else "test")) == 1
        else:
            with pytest.raises(DataError, match=rf"{name} 'f' lacks .*{field}; write the data set with job: mine"):
                made(str(directory), "test")
    with Writer(tmp_path / "other" / kind, "d") as writer:
        writer.write(next(record for record in records if record["kind"] == "pair"))
        writer.finish()
    with pytest.raises(DataError, match=f"is no {name}"):
        made(str(tmp_path / "other"), "train")


def test_half_of_a_surrogate_pair_is_refused_where_it_lies(records):
    with pytest.raises(DataError, match=r"source can't be written as JSON in UTF-8"):
        shards.check(records[0] | {"source": "x = '\ud800'"})


def test_a_record_that_json_can_not_hold_is_refused_before_it_is_written(records, tmp_path):
    with Writer(tmp_path / "d", "d") as writer:
        for value in ("\ud800", b"bytes", float("nan")):
            with pytest.raises(DataError, match=r"can't be written as JSON"):
                writer.write(records[0] | {"origin": value})


def test_a_data_set_of_nothing_is_refused(tmp_path):
    with Writer(tmp_path, "none") as writer:
        writer.finish()
    with pytest.raises(DataError, match="no records; write it again"):
        Shards(tmp_path)


def test_records_that_are_none_of_the_schema_are_refused_with_kind_and_field(records):
    pair, fix = records[0], records[1]
    wrong = [
        ({"kind": "poem"}, "pair, fix, function"),
        (pair | {"source": None}, "source is None"),
        (pair | {"split": "exam"}, "'exam'"),
    ]
    wrong += [
        ({k: v for k, v in fix.items() if k != "preserve"}, "preserve is None and has to be list"),
        (fix | {"rewrite": 3}, "str or"),
    ]
    for record, says in wrong:
        with pytest.raises(DataError, match=says):
            shards.encode(record)
    assert json.loads(shards.encode({k: v for k, v in fix.items() if k != "rewrite"} | {"more": 1}))["more"] == 1


def test_tests_survive_as_records(records):
    task = next(Generator(seed=5).tasks())
    fix = json.loads(json.dumps(next(r for r in records if r["id"] == task.id)))
    assert (shards.cases_of(fix["preserve"]), shards.cases_of(fix["edit"])) == (task.preserve.cases, task.edit.cases)
    with pytest.raises(DataError, match="wire form"):
        shards.cases_of([["t"]])


def edit_manifest(directory: Path, **values) -> None:
    path = directory / shards.MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_shard_cut_short_is_named_with_its_sizes_and_refused(copy):
    part = copy / "part-00001.array_record"
    size = part.stat().st_size
    os.truncate(part, size // 2)
    with pytest.raises(
        DataError, match=rf"part-00001\.array_record is cut short: {size // 2} bytes of {size}; copy it again"
    ):
        Shards(copy)
    part.unlink()
    with pytest.raises(DataError, match=r"part-00001\.array_record is missing"):
        Shards(copy)


@pytest.mark.parametrize(
    ("schema", "fix"), [(2, "update semrep_jax"), (0, "write the data set again"), (None, "write the data set again")]
)
def test_a_schema_of_another_version_is_named_and_refused_with_the_fix(copy, schema, fix):
    edit_manifest(copy, schema=schema)
    with pytest.raises(DataError, match=f"has schema {schema} and this version reads 1; {fix}"):
        Shards(copy)


def test_changed_bytes_are_found_when_verifying_and_when_tokenising(copy, nano, tmp_path):
    part = copy / "part-00000.array_record"
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    with pytest.raises(DataError, match=r"part-00000\.array_record was changed"):
        Shards(copy, verify=True)
    with pytest.raises(DataError, match=r"part-00000\.array_record was changed"):
        tokens.tokenised(Shards(copy), nano.tokenizer, tmp_path / "cache")


def test_a_manifest_that_contradicts_its_shards_or_is_damaged_is_refused(copy, tmp_path):
    edit_manifest(copy, sha256="0" * 64)
    with pytest.raises(DataError, match="contradicts itself"):
        Shards(copy)
    (copy / shards.MANIFEST).write_text('{"schema": 1}')
    with pytest.raises(DataError, match="lacks 'records'"):
        Shards(copy)
    (copy / shards.MANIFEST).write_text("{")
    with pytest.raises(DataError, match="not JSON"):
        Shards(copy)
    with pytest.raises(DataError, match="is no data set"):
        Shards(tmp_path / "nowhere")
