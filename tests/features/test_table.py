"""Feature tables: made once, several in one pass, checked when read, made again when damaged, gone on with."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pipeline.config import Cell
from pipeline.datasets.pictures import from_arrays
from pipeline.features import partial, table
from pipeline.features.engines import litert
from pipeline.features.extract import features_of
from pipeline.features.table import has_table, here, load_table, rows_left
from pipeline.networks import backbones, devices
from pipeline.networks.backbones import Backbone
from pipeline.shell import progress
from pipeline.shell.errors import UserError
from tests.features_of_noise import CELL, dying_after, load, only_table, pictures, tables


def test_a_table_holds_what_the_backbone_makes_of_each_picture(backbone, tmp_path):
    split = pictures()
    table = load(split, backbone, tmp_path)
    shown = np.stack([backbones.preprocess(picture, CELL) for picture, _label in split.pictures()])
    np.testing.assert_allclose(table.features, backbone.model(shown, training=False), atol=1e-5)
    assert table.features.dtype == np.float32
    assert not table.features.flags.writeable
    assert table.pictures_per_second > 0


def test_a_table_is_made_once(backbone, tmp_path, monkeypatch):
    first = load(pictures(), backbone, tmp_path)
    monkeypatch.setattr(table, "features_of", None)
    np.testing.assert_array_equal(load(pictures(), backbone, tmp_path).features, first.features)


@pytest.mark.parametrize("change", ["pictures", "labels", "weights", "resolution", "split"])
def test_whatever_shapes_the_numbers_makes_another_table(backbone, tmp_path, change):
    load(pictures(), backbone, tmp_path)
    split, other = pictures(), backbone
    if change == "pictures":
        split = pictures(12)
    elif change == "labels":
        split = dataclasses.replace(split, labels=split.labels[::-1])
    elif change == "weights":
        other = Backbone(CELL, "none", backbones.load(CELL, "none").model, None)
        other.model.set_weights([weight * 0.99 for weight in backbone.model.get_weights()])
    elif change == "resolution":
        other = backbones.load(Cell(0.25, 48), "none")
        other.model.set_weights(backbone.model.get_weights())
    else:
        split = from_arrays("test", np.stack([p for p, _ in split.pictures()]), split.labels, "noise")
    load(split, other, tmp_path)
    assert len([path for path in (tmp_path / "features").iterdir() if path.is_dir()]) == 2


def test_equal_pictures_of_two_data_sets_share_a_table(backbone, tmp_path):
    load(pictures(), backbone, tmp_path)
    key = load_table(pictures(), "other:1", backbone, str(tmp_path)).key
    assert only_table(tmp_path).name == key
    assert json.loads((only_table(tmp_path) / "table.json").read_text())["data"] == "noise:1"
    assert has_table("train", "noise:1", backbone, str(tmp_path))
    assert not has_table("test", "noise:1", backbone, str(tmp_path))


def test_mixed_precision_makes_a_table_of_its_own_and_leaves_the_others_keys(backbone, tmp_path, monkeypatch):
    split, where = pictures(), ("noise:1", backbone, str(tmp_path))
    plain = load_table(split, *where)
    assert "precision" not in json.loads((only_table(tmp_path) / "table.json").read_text())
    monkeypatch.setattr(devices, "on_a_gpu", lambda: False)
    with pytest.raises(UserError, match="a GPU for precision mixed_float16"):
        load_table(split, *where, precision="mixed_float16")
    monkeypatch.setattr(devices, "on_a_gpu", lambda: True)
    assert rows_left(split, *where, precision="mixed_float16") == (len(split), 0)
    mixed = load_table(split, *where, precision="mixed_float16")
    assert rows_left(split, *where, precision="mixed_float16") == (0, 0)
    assert 0 < np.abs(mixed.features - plain.features).max() < 0.05 * plain.features.std()
    np.testing.assert_array_equal(load_table(split, *where).features, plain.features)


@pytest.mark.parametrize("damage", ["cut", "flipped", "no key file", "no numbers", "broken key file"])
def test_a_damaged_table_is_noticed_and_made_again(backbone, tmp_path, damage, capsys):
    whole = np.array(load(pictures(), backbone, tmp_path).features)
    table = only_table(tmp_path)
    numbers = bytearray((table / "features.npy").read_bytes())
    if damage == "cut":
        (table / "features.npy").write_bytes(numbers[: len(numbers) // 2])
    elif damage == "flipped":
        numbers[-1] ^= 1
        (table / "features.npy").write_bytes(numbers)
    elif damage == "no key file":
        (table / "table.json").unlink()
    elif damage == "no numbers":
        (table / "features.npy").unlink()
    else:
        (table / "table.json").write_text("{")
    np.testing.assert_array_equal(load(pictures(), backbone, tmp_path).features, whole)
    assert "is damaged" in capsys.readouterr().err
    load(pictures(), backbone, tmp_path)
    assert "is damaged" not in capsys.readouterr().err


def test_a_full_disk_leaves_the_whole_chunks_to_go_on_from(backbone, tmp_path, monkeypatch):
    undisturbed = np.array(load(pictures(40), backbone, tmp_path / "other").features)
    kept = half(backbone, tmp_path, monkeypatch)
    assert kept.suffix == ".part"
    assert rows_left(pictures(40), "noise:1", backbone, str(tmp_path)) == (8, 0)
    passes = []

    def run(task, split, *args, **kwargs):
        passes.append(len(split))
        return here(task, split, *args, **kwargs)

    made = load_table(pictures(40), "noise:1", backbone, str(tmp_path), run=run)
    np.testing.assert_array_equal(made.features, undisturbed)
    assert passes == [8]
    assert sorted(path.name for path in only_table(tmp_path).iterdir()) == ["features.npy", "hashes.npy", "table.json"]


def test_features_that_are_no_numbers_are_refused(broken, tmp_path):
    with pytest.raises(UserError, match="finite features"):
        load(pictures(), broken, tmp_path)
    assert [path.suffix for path in (tmp_path / "features").iterdir()] == [".lock"]


def half(backbone: Backbone, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table of 40 pictures of which 32 are there, since the disk was full then."""
    monkeypatch.setattr(partial, "CHUNK", 32)
    with contextlib.suppress(OSError):
        load_table(pictures(40), "noise:1", backbone, str(folder), run=dying_after(1, OSError(28, "No space")))
    return only_table(folder)


def test_only_the_table_that_is_proven_worthless_goes(backbone, broken, larger, tmp_path, monkeypatch):
    kept = half(backbone, tmp_path, monkeypatch)
    with pytest.raises(UserError, match="finite features"):
        load_table(pictures(40), "noise:1", backbone, str(tmp_path), beside=[broken, larger])
    left = [path for path in (tmp_path / "features").iterdir() if path.is_dir()]
    assert kept in left
    assert len(left) == 2
    assert json.loads((kept / partial.JOURNAL).read_text())["rows"] == 32


def test_a_refusal_that_says_nothing_of_the_features_deletes_none(backbone, tmp_path, monkeypatch):
    kept = half(backbone, tmp_path, monkeypatch)
    monkeypatch.setattr(litert, "installed", lambda: False)
    with pytest.raises(UserError, match="ai-edge-litert"):
        load_table(pictures(40), "noise:1", backbone, str(tmp_path), engine="litert")
    monkeypatch.undo()
    split = pictures(40)
    unreadable = dataclasses.replace(split, decode=lambda raw: tf.io.decode_png(tf.strings.as_string(raw)[0, 0, 0]))
    with pytest.raises(UserError, match="pictures that can be decoded"):
        load(unreadable, backbone, tmp_path)
    assert only_table(tmp_path) == kept
    assert json.loads((kept / partial.JOURNAL).read_text())["rows"] == 32


def test_one_makes_the_tables_of_a_split_while_another_waits(backbone, tmp_path, capsys):
    """Two threads, since a lock of two files that were opened apart is one between processes."""
    passes, begun, waits = [], threading.Event(), threading.Event()

    def run(task, *args, **kwargs):
        passes.append(task)
        begun.set()
        waits.wait(60)
        return here(task, *args, **kwargs)

    def note(text: str) -> None:
        assert text.startswith("waiting for another process")
        waits.set()

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(2) as threads:
        patch.setattr(progress, "note", note)
        where = (pictures(), "noise:1", backbone, str(tmp_path))
        first = threads.submit(load_table, *where, run=run)
        begun.wait(60)
        second = threads.submit(load_table, *where, run=run)
        assert first.result().pictures_per_second == second.result().pictures_per_second
    assert passes == [features_of]


def test_nothing_is_made_beside_a_table_that_is_there(backbone, tmp_path):
    load(pictures(), backbone, tmp_path)
    load_table(pictures(), "noise:1", backbone, str(tmp_path), beside=(pytest.fail("loaded") for _ in range(1)))
    assert tables(tmp_path) == 1
