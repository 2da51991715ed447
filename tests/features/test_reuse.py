"""Pictures added, removed and moved: what earlier tables have of them is not computed again."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from pipeline.datasets.pictures import Split, from_arrays
from pipeline.features import partial
from pipeline.features.table import here, load_table, rows_left
from tests.features_of_noise import dying_after, load, only_table, pictures, tables

ALL = pictures(40)
KNOWN = np.arange(0, 40, 2)


def part(rows: np.ndarray | list[int], name: str = "train") -> Split:
    return dataclasses.replace(ALL.subset(np.asarray(rows)), name=name)


def counted(computed: list[int]):
    """A `run` that files of each pass how many pictures it is given, and of how many each table gets features."""

    def run(task, split, wanted, *args, **kwargs):
        computed.extend([len(split), *(int(one.lacks.sum()) for one in wanted)])
        return here(task, split, wanted, *args, **kwargs)

    return run


@pytest.fixture(scope="module")
def whole(backbone, tmp_path_factory) -> np.ndarray:
    """Of all pictures, made at once."""
    return np.array(load(ALL, backbone, tmp_path_factory.mktemp("whole")).features)


def test_of_added_pictures_alone_features_are_computed(backbone, tmp_path, whole, capsys):
    load(part(KNOWN), backbone, tmp_path)
    capsys.readouterr()
    assert rows_left(ALL, "noise:1", backbone, str(tmp_path)) == (20, 20)
    computed: list[int] = []
    made = load_table(ALL, "noise:1", backbone, str(tmp_path), run=counted(computed))
    assert computed == [20, 20]
    np.testing.assert_array_equal(made.features, whole)
    line = "features train mobilenet_0.25_32: 20 of 40 pictures are known from earlier tables, 20 are new"
    assert capsys.readouterr().err.count(line) == 1
    assert tables(tmp_path) == 2
    assert rows_left(ALL, "noise:1", backbone, str(tmp_path)) == (0, 0)


def test_nothing_is_said_where_nothing_is_reused(backbone, tmp_path, capsys):
    for _ in range(2):
        load(ALL, backbone, tmp_path)
    assert "known" not in capsys.readouterr().err


def test_known_pictures_are_not_decoded(backbone, tmp_path):
    decoded: list[int] = []

    def decode(picture: tf.Tensor) -> tf.Tensor:
        picture = tf.numpy_function(lambda image: (decoded.append(1), image)[1], [picture], tf.uint8)
        return tf.ensure_shape(picture, (20, 24, 3))

    load(part(KNOWN), backbone, tmp_path)
    load(dataclasses.replace(ALL, decode=decode), backbone, tmp_path)
    assert len(decoded) == 20


def test_what_is_left_of_pictures_and_what_moved_to_the_test_is_not_computed(backbone, tmp_path, whole):
    load(ALL, backbone, tmp_path)
    computed: list[int] = []
    for split in (part(KNOWN), part([1, 3, 5], "test")):
        made = load_table(split, "noise:1", backbone, str(tmp_path), run=counted(computed))
        rows = KNOWN if split.name == "train" else [1, 3, 5]
        np.testing.assert_allclose(made.features, whole[rows], atol=1e-5)
    assert computed == []


def test_other_labels_of_the_same_pictures_cost_nothing(backbone, tmp_path):
    first = load(ALL, backbone, tmp_path)
    computed: list[int] = []
    turned = dataclasses.replace(ALL, labels=ALL.labels[::-1])
    again = load_table(turned, "noise:1", backbone, str(tmp_path), run=counted(computed))
    assert computed == []
    assert again.key != first.key
    np.testing.assert_array_equal(again.features, first.features)


def test_another_network_has_no_use_for_them(backbone, larger, tmp_path):
    load(part(KNOWN), backbone, tmp_path)
    assert rows_left(ALL, "noise:1", larger, str(tmp_path)) == (40, 0)


@pytest.mark.parametrize(
    ("has", "other_has", "computed"),
    [
        (KNOWN, np.arange(10), [35, 20, 30]),  # all but 0, 2, 4, 6 and 8, which both have
        (np.arange(20), np.arange(20, 40), [40, 20, 20]),
        (KNOWN, [], [40, 20, 40]),
        (np.arange(40), [3], [39, 39]),
    ],
)
def test_cells_that_lack_different_pictures_share_one_pass(
    backbone, larger, tmp_path, whole, has, other_has, computed, capsys
):
    load(dataclasses.replace(part(has), labels=np.zeros(len(has), np.int32)), backbone, tmp_path)
    if len(other_has):
        load(part(other_has), larger, tmp_path)
    capsys.readouterr()
    passes: list[int] = []
    made = load_table(ALL, "noise:1", backbone, str(tmp_path), beside=[larger], run=counted(passes))
    assert passes == computed
    assert capsys.readouterr().err.count("are known") == 1
    np.testing.assert_array_equal(made.features, whole)
    found = load(ALL, larger, tmp_path)
    np.testing.assert_array_equal(found.features, load(ALL, larger, tmp_path / "anew").features)


def test_mirror_images_are_taken_from_mirror_images(backbone, tmp_path):
    where = ("noise:1", backbone, str(tmp_path))
    load_table(part(KNOWN), *where, views="flip")
    computed: list[int] = []
    made = load_table(ALL, *where, views="flip", run=counted(computed))
    assert computed == [20, 20, 20]
    alone = load_table(ALL, "noise:1", backbone, f"{tmp_path}/other", views="flip")
    np.testing.assert_array_equal(made.mirrored.features, alone.mirrored.features)


@pytest.mark.parametrize("damage", ["flipped", "no hashes", "empty hashes", "cut hashes"])
def test_a_damaged_table_and_one_that_does_not_tell_are_not_used(backbone, tmp_path, whole, damage):
    load(part(KNOWN), backbone, tmp_path)
    folder = only_table(tmp_path)
    if damage == "flipped":
        numbers = bytearray((folder / "features.npy").read_bytes())
        numbers[-1] ^= 1
        (folder / "features.npy").write_bytes(numbers)
    elif damage == "no hashes":
        (folder / "hashes.npy").unlink()
    else:
        hashes = (folder / "hashes.npy").read_bytes()
        (folder / "hashes.npy").write_bytes(b"" if damage == "empty hashes" else hashes[:-32])
    computed: list[int] = []
    made = load_table(ALL, "noise:1", backbone, str(tmp_path), run=counted(computed))
    assert computed == [40, 40]
    np.testing.assert_allclose(made.features, whole, atol=1e-5)


@pytest.mark.parametrize("gone", [False, True], ids=["", "and the earlier table is removed"])
def test_who_dies_on_the_way_goes_on_after_the_last_whole_chunk(backbone, tmp_path, monkeypatch, gone):
    many = pictures(160)
    has = np.arange(0, 160, 4)
    load(many.subset(has), backbone, tmp_path)
    earlier = only_table(tmp_path)
    monkeypatch.setattr(partial, "CHUNK", 32)
    where = ("noise:1", backbone, str(tmp_path))
    with pytest.raises(KeyError):
        load_table(many, *where, run=dying_after(2, KeyError("died")))  # 64 of 120, which lie among the first 85
    (begun,) = (tmp_path / "features").glob("*.part")
    rows = sum(json.loads(line)["rows"] for line in (begun / partial.JOURNAL).read_text().splitlines())
    assert 32 <= rows <= 85
    if gone:
        shutil.rmtree(earlier)
    left = (160 - rows, 0) if gone else (np.setdiff1d(np.arange(rows, 160), has).size, (has >= rows).sum())
    assert rows_left(many, *where) == left
    computed: list[int] = []
    made = load_table(many, *where, run=counted(computed))
    assert computed == [left[0]] * 2
    np.testing.assert_array_equal(made.features, load(many, backbone, tmp_path / "undisturbed").features)
    assert tables(tmp_path) == 2 - gone
    assert not list((tmp_path / "features").glob("*.part"))


def test_a_task_that_is_run_again_adds_nothing_twice(backbone, tmp_path):
    many = pictures(160)
    load(many.subset(np.arange(0, 160, 4)), backbone, tmp_path)

    def run(task, *args, **kwargs):
        with contextlib.suppress(KeyError):
            dying_after(2, KeyError("died"))(task, *args, **kwargs)
        return here(task, *args, **kwargs)

    made = load_table(many, "noise:1", backbone, str(tmp_path), run=run)
    np.testing.assert_array_equal(made.features, load(many, backbone, tmp_path / "undisturbed").features)


def test_a_table_says_what_engines_its_rows_are_of_and_how_fast(backbone, tmp_path):
    by_keras = load_table(part(KNOWN), "noise:1", backbone, str(tmp_path), "keras")
    where = ("noise:1", backbone, str(tmp_path), "litert")
    made = load_table(part([*range(0, 10)]), *where)
    about = json.loads((tmp_path / "features" / made.key / "table.json").read_text())
    assert about["engine"] == "keras and litert"
    copied = load_table(part(KNOWN[:7], "test"), *where)
    about = json.loads((tmp_path / "features" / copied.key / "table.json").read_text())
    assert (about["engine"], about["split"]) == ("keras", "test")
    assert copied.pictures_per_second == pytest.approx(by_keras.pictures_per_second)


def test_copies_of_a_known_picture_are_known(backbone, tmp_path):
    shown = np.stack([picture for picture, _label in ALL.pictures()])[:4]
    load(from_arrays("train", shown, ALL.labels[:4], "noise"), backbone, tmp_path)
    computed: list[int] = []
    twice = from_arrays("train", np.concatenate([shown, shown]), np.tile(ALL.labels[:4], 2), "noise")
    made = load_table(twice, "noise:1", backbone, str(tmp_path), run=counted(computed))
    assert computed == []
    np.testing.assert_array_equal(made.features[:4], made.features[4:])
