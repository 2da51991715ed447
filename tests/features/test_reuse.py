"""Pictures added, removed and moved: what earlier tables have of them is not computed again."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pipeline.datasets.pictures import Split, from_arrays
from pipeline.features import table
from pipeline.features.table import here, load_table, rows_left
from tests.features_of_noise import load, only_table, pictures, tables

ALL = pictures(40)
KNOWN = np.arange(0, 40, 2)


def part(rows: np.ndarray | list[int], name: str = "train") -> Split:
    return dataclasses.replace(ALL.subset(np.asarray(rows)), name=name)


def counted(computed: list[int]):
    """A `run` that files how many pictures each pass was given."""

    def run(task, split, *args, **kwargs):
        computed.append(len(split))
        return here(task, split, *args, **kwargs)

    return run


@pytest.fixture(scope="module")
def whole(backbone, tmp_path_factory) -> np.ndarray:
    """Of all pictures, made at once."""
    return np.array(load(ALL, backbone, tmp_path_factory.mktemp("whole")).features)


def test_of_added_pictures_alone_features_are_computed(backbone, tmp_path, whole, capsys):
    load(part(KNOWN), backbone, tmp_path)
    capsys.readouterr()
    assert rows_left(ALL, "noise:1", backbone, str(tmp_path)) == 20
    computed: list[int] = []
    made = load_table(ALL, "noise:1", backbone, str(tmp_path), run=counted(computed))
    assert computed == [20]
    np.testing.assert_allclose(made.features, whole, atol=1e-5)
    np.testing.assert_array_equal(made.features[KNOWN], load(part(KNOWN), backbone, tmp_path).features)
    assert "features train: 20 of 40 pictures are known from earlier tables, 20 are new" in capsys.readouterr().err
    assert tables(tmp_path) == 2  # what was made of the new ones alone is gone


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
    assert rows_left(ALL, "noise:1", larger, str(tmp_path)) == 40


def test_cells_of_which_one_has_more_share_one_pass(backbone, larger, tmp_path, whole):
    load(part(KNOWN), backbone, tmp_path)
    load(part(np.arange(10)), larger, tmp_path)
    computed: list[int] = []
    made = load_table(ALL, "noise:1", backbone, str(tmp_path), beside=[larger], run=counted(computed))
    assert computed == [35]  # all but 0, 2, 4, 6 and 8, which both have
    np.testing.assert_allclose(made.features, whole, atol=1e-5)
    assert rows_left(ALL, "noise:1", larger, str(tmp_path)) == 0


def test_mirror_images_are_taken_from_mirror_images(backbone, tmp_path):
    where = ("noise:1", backbone, str(tmp_path))
    load_table(part(KNOWN), *where, views="flip")
    computed: list[int] = []
    made = load_table(ALL, *where, views="flip", run=counted(computed))
    assert computed == [20]
    alone = load_table(ALL, "noise:1", backbone, f"{tmp_path}/other", views="flip")
    np.testing.assert_allclose(made.mirrored.features, alone.mirrored.features, atol=1e-5)


@pytest.mark.parametrize("damage", ["flipped", "no hashes"])
def test_a_damaged_table_and_one_that_does_not_tell_are_not_used(backbone, tmp_path, whole, damage):
    load(part(KNOWN), backbone, tmp_path)
    folder = only_table(tmp_path)
    if damage == "flipped":
        numbers = bytearray((folder / "features.npy").read_bytes())
        numbers[-1] ^= 1
        (folder / "features.npy").write_bytes(numbers)
    else:
        (folder / "hashes.npy").unlink()
    computed: list[int] = []
    made = load_table(ALL, "noise:1", backbone, str(tmp_path), run=counted(computed))
    assert computed == [40]
    np.testing.assert_allclose(made.features, whole, atol=1e-5)


def test_a_stop_between_computing_and_putting_together_loses_nothing(backbone, tmp_path, whole, monkeypatch):
    load(part(KNOWN), backbone, tmp_path)
    finish, stopped = table.Partial.finish, []

    def die(self):
        """When the whole table is to be finished, which is the second."""
        stopped.append(self)
        if len(stopped) == 2:
            raise KeyboardInterrupt
        finish(self)

    monkeypatch.setattr(table.Partial, "finish", die)
    with pytest.raises(KeyboardInterrupt):
        load(ALL, backbone, tmp_path)
    monkeypatch.undo()
    computed: list[int] = []
    made = load_table(ALL, "noise:1", backbone, str(tmp_path), run=counted(computed))
    assert computed == []
    np.testing.assert_allclose(made.features, whole, atol=1e-5)


def test_copies_of_a_known_picture_are_known(backbone, tmp_path):
    shown = np.stack([picture for picture, _label in ALL.pictures()])[:4]
    load(from_arrays("train", shown, ALL.labels[:4], "noise"), backbone, tmp_path)
    computed: list[int] = []
    twice = from_arrays("train", np.concatenate([shown, shown]), np.tile(ALL.labels[:4], 2), "noise")
    made = load_table(twice, "noise:1", backbone, str(tmp_path), run=counted(computed))
    assert computed == []
    np.testing.assert_array_equal(made.features[:4], made.features[4:])


def test_cells_that_have_what_the_other_lacks_are_computed_in_one_pass(backbone, larger, tmp_path, whole):
    load(part(np.arange(20)), backbone, tmp_path)
    load(part(np.arange(20, 40)), larger, tmp_path)
    computed: list[int] = []
    made = load_table(ALL, "noise:1", backbone, str(tmp_path), beside=[larger], run=counted(computed))
    assert computed == [40]
    np.testing.assert_allclose(made.features, whole, atol=1e-5)
