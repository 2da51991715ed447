from __future__ import annotations

import hashlib

import numpy as np
import pytest
import tensorflow as tf
from scenes import scene

from pipeline.datasets import near_copies, reading, thumbnails
from pipeline.datasets.pictures import Split, hashes_of

COUNT = 5


def encoded(number: int) -> bytes:
    """White on the left; 40 + number px high, 60 wide."""
    picture = np.full((40 + number, 60, 3), 20 * number, np.uint8)
    picture[:, :30] = 255
    return tf.io.encode_png(picture).numpy()


CONTENTS = [encoded(number) for number in range(COUNT)]


def split_of(contents: list[bytes], opened: list[bytes]) -> Split:
    """`opened` is told of every picture that is decoded."""

    def look(content: bytes) -> bytes:
        opened.append(content)
        return content

    return Split(
        name="train",
        labels=np.zeros(len(contents), np.int32),
        ids=[f"{number}.png" for number in range(len(contents))],
        hashes=hashes_of(hashlib.sha256(one).digest() for one in contents),
        raw=lambda: tf.data.Dataset.from_tensor_slices(contents),
        decode=lambda content: reading.decode(tf.ensure_shape(tf.numpy_function(look, [content], tf.string), ())),
    )


def test_each_picture_has_its_size_and_its_averages(tmp_path):
    small, sizes = thumbnails.of(split_of(CONTENTS, []), str(tmp_path))
    assert sizes.tolist() == [[40 + number, 60] for number in range(COUNT)]
    for number in range(COUNT):
        assert (small[number, :, :14] == 255).all()
        assert (small[number, :, 18:] == 20 * number).all()


def test_what_cannot_be_decoded_has_no_size(tmp_path):
    _small, sizes = thumbnails.of(split_of([CONTENTS[0], b"no picture", CONTENTS[1][:-30]], []), str(tmp_path))
    assert sizes.tolist() == [[40, 60], [0, 0], [0, 0]]


def test_a_second_look_decodes_what_is_new_alone(tmp_path):
    thumbnails.of(split_of(CONTENTS[1:], []), str(tmp_path))
    opened: list[bytes] = []
    small, sizes = thumbnails.of(split_of(CONTENTS, opened), str(tmp_path))
    assert opened == CONTENTS[:1]
    again, same = thumbnails.of(split_of(CONTENTS, opened), str(tmp_path))
    assert opened == CONTENTS[:1]
    np.testing.assert_array_equal(again, small)
    np.testing.assert_array_equal(same, sizes)


@pytest.mark.parametrize("damage", [b"", b"no archive", None], ids=["empty", "another file", "cut off"])
def test_a_damaged_file_of_an_earlier_look_is_looked_past(tmp_path, damage):
    thumbnails.of(split_of(CONTENTS, []), str(tmp_path))
    (kept,) = (tmp_path / "thumbnails").iterdir()
    kept.write_bytes(kept.read_bytes()[:200] if damage is None else damage)
    opened: list[bytes] = []
    _small, sizes = thumbnails.of(split_of(CONTENTS, opened), str(tmp_path))
    assert len(opened) == COUNT
    assert (sizes > 0).all()


def test_near_copies_are_looked_for_once(tmp_path, monkeypatch):
    small = np.stack([np.asarray(scene(number).resize((32, 32))) for number in (1, 2, 3, 2)])
    found, cosines = thumbnails.near_copies_among(small, str(tmp_path))
    assert found.tolist() == [[1, 3]]
    monkeypatch.setattr(near_copies, "pairs", None)
    again, same = thumbnails.near_copies_among(small, str(tmp_path))
    assert again.tolist() == [[1, 3]]
    np.testing.assert_allclose(same, cosines)
