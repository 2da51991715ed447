"""One pass over the pictures: several tables at once, by whoever runs it, and after a kill."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pipeline.config import Cell
from pipeline.datasets import Split, reading
from pipeline.datasets.pictures import from_arrays, hashes_of
from pipeline.features import partial
from pipeline.features.extract import features_of
from pipeline.features.table import FeatureTable, here, load_table
from pipeline.networks import backbones
from pipeline.shell.errors import UserError
from tests.features_of_noise import dying_after, load, pictures, tables


def test_the_features_are_computed_where_run_says_and_a_task_may_be_run_again(backbone, tmp_path):
    ran = []

    def run(task, *args, **kwargs):
        ran.append(task)
        with contextlib.suppress(KeyError):
            dying_after(1, KeyError("died"))(task, *args, **kwargs)
        return here(task, *args, **kwargs)

    made = load_table(pictures(70), "noise:1", backbone, str(tmp_path / "again"), run=run)
    assert ran == [features_of]
    plain = load(pictures(70), backbone, tmp_path / "plain")
    np.testing.assert_array_equal(made.features, plain.features)
    assert made.key == plain.key


def test_a_picture_that_cannot_be_decoded_is_named(backbone, tmp_path):
    encoded = [tf.io.encode_png(np.zeros((4, 4, 3), np.uint8)).numpy(), b"no picture"]
    split = Split(
        "train",
        np.array([0, 1]),
        ["good.png", "bad.png"],
        hashes_of([bytes(32), bytes(32)]),
        lambda: tf.data.Dataset.from_tensor_slices(encoded),
        reading.decode,
    )
    with pytest.raises(UserError, match=r"bad\.png.*--skip_unreadable"):
        load(split, backbone, tmp_path)


def test_one_pass_makes_the_tables_of_several_cells(backbone, larger, tmp_path):
    split, passes = pictures(), []
    counted = dataclasses.replace(split, raw=lambda: passes.append(1) or split.raw())
    made = load_table(counted, "noise:1", backbone, str(tmp_path / "both"), beside=[larger, backbone])
    assert len(passes) == 1
    assert tables(tmp_path / "both") == 2
    found = load(counted, larger, tmp_path / "both")
    assert len(passes) == 1
    for shared, one in ((made, backbone), (found, larger)):
        np.testing.assert_array_equal(shared.features, load(split, one, tmp_path / "apart").features)


def test_one_pass_makes_both_views_and_a_plain_table_stays_valid(backbone, larger, tmp_path):
    split, passes = pictures(), []
    counted = dataclasses.replace(split, raw=lambda: passes.append(1) or split.raw())
    made = load_table(counted, "noise:1", backbone, str(tmp_path), beside=[larger], views="flip")
    assert (len(passes), tables(tmp_path)) == (1, 4)
    mirror_images = np.stack([picture[:, ::-1] for picture, _label in split.pictures()])
    mirrored = from_arrays("train", mirror_images, split.labels, "noise")
    images = load(mirrored, backbone, tmp_path / "images")
    np.testing.assert_allclose(made.mirrored.features, images.features, atol=1e-5)
    assert made.mirrored.key != made.key
    load(split, backbone, tmp_path / "grown")
    (plain,) = (tmp_path / "grown" / "features").glob("*/features.npy")
    before = plain.stat().st_mtime_ns
    grown = load_table(split, "noise:1", backbone, str(tmp_path / "grown"), views="flip")
    assert (plain.stat().st_mtime_ns, tables(tmp_path / "grown")) == (before, 2)
    np.testing.assert_array_equal(grown.features, made.features)
    np.testing.assert_array_equal(grown.mirrored.features, made.mirrored.features)


def both_cells(folder: Path, split: Split, **where) -> list[FeatureTable]:
    """Of two cells, in one pass."""
    small, large = (backbones.load(Cell(0.25, side), "tiny") for side in (32, 48))
    first = load_table(split, "noise:1", small, str(folder), beside=[large], **where)
    return [first, load_table(split, "noise:1", large, str(folder), **where)]


def make_slowly(folder: str) -> None:
    """What the process that is killed does."""

    def slowly(picture: tf.Tensor) -> tf.Tensor:
        picture = tf.numpy_function(lambda image: (time.sleep(0.1), image)[1], [picture], tf.uint8)
        return tf.ensure_shape(picture, (20, 24, 3))

    partial.CHUNK = 32
    both_cells(Path(folder), dataclasses.replace(pictures(160), decode=slowly))


@pytest.mark.slow
def test_who_is_killed_goes_on_after_the_last_whole_chunk(tmp_path, monkeypatch):
    """In a process of its own, since nothing else ends as one that is killed does."""
    process = multiprocessing.get_context("spawn").Process(target=make_slowly, args=(str(tmp_path / "killed"),))
    process.start()
    deadline = time.monotonic() + 300
    journals: list[Path] = []
    while len(journals) < 2 or min(path.read_text().count("\n") for path in journals) < 2:
        assert time.monotonic() < deadline
        assert process.is_alive()
        time.sleep(0.02)
        journals = list((tmp_path / "killed").glob(f"features/*.part/{partial.JOURNAL}"))
    process.kill()
    process.join()
    left = []

    def run(task, split, wanted, *args, **kwargs):
        left.extend(one.lacks.sum() for one in wanted)
        return here(task, split, wanted, *args, **kwargs)

    monkeypatch.setattr(partial, "CHUNK", 32)
    again = both_cells(tmp_path / "killed", pictures(160), run=run)
    assert len(left) == 2
    assert max(left) <= 160 - 64
    for ours, theirs in zip(again, both_cells(tmp_path / "undisturbed", pictures(160)), strict=True):
        np.testing.assert_array_equal(ours.features, theirs.features)
    assert not list((tmp_path / "killed").glob("features/*.part"))
