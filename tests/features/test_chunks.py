"""Chunks of a pass: what they are cut into, and whether a machine sees the pictures that they are of."""

from __future__ import annotations

import dataclasses
import hashlib
from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from pipeline.datasets import Split, reading
from pipeline.datasets.pictures import hashes_of
from pipeline.features import chunks
from pipeline.features.chunks import Pass
from pipeline.features.extract import BATCH, Wanted, features_of
from pipeline.shell.errors import UserError
from tests.features_of_noise import pictures


@pytest.mark.parametrize(("count", "workers"), [(1, 1), (128, 4), (129, 1), (3600, 1), (3600, 2), (1_000_000, 64)])
def test_chunks_are_whole_batches_and_enough_for_all_workers(count, workers):
    found = chunks.spans(count, workers)
    assert [begin for begin, _end in found] == [0, *(end for _begin, end in found[:-1])]
    assert found[-1][1] == count
    assert all(begin % BATCH == 0 for begin, _end in found)
    assert max(end - begin for begin, end in found) <= chunks.LARGEST
    assert len(found) >= min(workers, count // chunks.SMALLEST)


def test_chunks_are_together_what_one_pass_makes(backbone, larger, tmp_path):
    split, lacks = pictures(200), np.arange(200) % 3 > 0
    wanted = [Wanted(backbone, mirrored=True), Wanted(larger, lacks=lacks)]
    told = []
    features_of(split, wanted, "auto", str(tmp_path), tell=told.append)
    of = Pass(split, wanted, "auto", str(tmp_path))
    made = [of.made(*span) for span in ((0, 128), (128, 200))]
    assert [(one.begin, one.count) for one in made] == [(0, 128), (128, 72)]
    for slot in range(2):
        parts = [one.features[slot] for one in told if one.count]
        np.testing.assert_array_equal(np.concatenate([one.features[slot] for one in made]), np.concatenate(parts))


def files(folder) -> Split:
    contents = [tf.io.encode_png(np.full((4, 4, 3), grey, np.uint8)).numpy() for grey in range(3)]
    paths = [folder / f"{number}.png" for number in range(3)]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return Split(
        name="train",
        labels=np.arange(3),
        ids=[path.name for path in paths],
        hashes=hashes_of(hashlib.sha256(content).digest() for content in contents),
        raw=partial(tf.data.Dataset.from_tensor_slices, [str(path).encode() for path in paths]),
        decode=lambda path: reading.decode(tf.io.read_file(path)),
    )


def test_who_sees_the_pictures_passes(tmp_path):
    chunks.require_seen(Pass(files(tmp_path), [], "auto", ""))
    chunks.require_seen(Pass(pictures(5), [], "auto", ""))


def test_a_picture_that_is_missing_or_another_is_named(tmp_path):
    split = files(tmp_path)
    (tmp_path / "2.png").write_bytes(b"another")
    with pytest.raises(UserError, match=r"wanted to see the picture 2\.png as the driver does.*another file"):
        chunks.require_seen(Pass(split, [], "auto", ""))
    (tmp_path / "1.png").unlink()
    with pytest.raises(UserError, match=r"wanted to see the picture 1\.png as the driver does.*No such file"):
        chunks.require_seen(Pass(split, [], "auto", ""))


def test_a_chunk_of_other_pictures_is_not_made(backbone, tmp_path):
    split = pictures(64)
    other = dataclasses.replace(split, hashes=split.hashes[::-1])
    with pytest.raises(UserError, match="wanted to see the picture"):
        Pass(other, [Wanted(backbone)], "auto", str(tmp_path)).made(0, 64)
