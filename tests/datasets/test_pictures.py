from __future__ import annotations

import dataclasses
import hashlib
from functools import partial

import numpy as np
import pytest
import tensorflow as tf
from greys import encode

from pipeline.datasets import reading
from pipeline.datasets.elements import Stored
from pipeline.datasets.pictures import Dataset, Split, check_readable, from_arrays, hashes_of


def stored(contents: list[bytes], labels: list[int] | None = None) -> Split:
    return Split(
        name="train",
        labels=np.array(labels or [index % 2 for index in range(len(contents))], dtype=np.int32),
        ids=[f"made/train#{index}" for index in range(len(contents))],
        hashes=hashes_of(hashlib.sha256(content).digest() for content in contents),
        raw=partial(tf.data.Dataset.from_tensor_slices, contents),
        decode=reading.decode,
    )


def greys(split: Split, indices: np.ndarray | None = None) -> list[tuple[int, int]]:
    """(grey, label) of each picture."""
    return [(int(image[0, 0, 0]), int(label)) for image, label in split.pictures(indices)]


def test_pictures_come_in_order_with_their_labels() -> None:
    split = stored([encode(number) for number in range(100)])
    assert greys(split) == [(number, number % 2) for number in range(100)]
    image, label = split.pictures().element_spec
    assert (image.shape.as_list(), image.dtype, label.dtype) == ([None, None, 3], tf.uint8, tf.int32)


def test_only_the_chosen_pictures_are_decoded_in_ascending_order() -> None:
    split = stored([encode(0), b"broken", encode(2), b"broken", encode(4)])
    assert greys(split, np.array([4, 0, 2])) == [(0, 0), (2, 0), (4, 0)]
    assert split.pictures(np.array([4, 0])).cardinality() == 2
    assert greys(split, np.array([], dtype=np.int64)) == []


@pytest.mark.parametrize(("indices", "error"), [([0, 0], ValueError), ([0, 2], IndexError), ([0, -2], ValueError)])
def test_indices_that_make_no_sense_are_refused(indices: list[int], error: type[Exception]) -> None:
    split = stored([encode(0), encode(1)])
    with pytest.raises(error):
        split.pictures(np.array(indices))
    with pytest.raises(error):
        split.subset(np.array(indices))


def test_a_subset_is_a_split_of_its_own() -> None:
    whole = stored([encode(number) for number in range(10)])
    part = whole.subset(np.array([7, 2, 5]))
    assert len(part) == 3
    assert list(part.ids) == ["made/train#2", "made/train#5", "made/train#7"]
    assert greys(part) == [(2, 0), (5, 1), (7, 1)]
    assert greys(part.subset(np.array([0, 2])), np.array([1])) == [(7, 1)]


def test_the_digest_is_of_exactly_these_pictures_and_labels() -> None:
    contents = [encode(number) for number in range(4)]
    whole = stored(contents)
    assert whole.digest == stored(contents).digest
    assert len(whole.digest) == 64
    assert whole.subset(np.arange(4)).digest == whole.digest
    assert whole.subset(np.array([1, 3])).digest == stored([contents[1], contents[3]], [1, 1]).digest
    others = [
        stored(contents, [0, 1, 1, 1]),
        stored([contents[index] for index in (2, 1, 0, 3)]),
        stored([*contents[:3], encode(4)]),
        stored(contents[:3]),
    ]
    assert len({split.digest for split in (whole, *others)}) == 5


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [(".jpg", "RGB"), (".jpg", "L"), (".jpg", "CMYK"), (".png", "L"), (".png", "RGBA"), (".png", "P"), (".bmp", "RGB")],
)
def test_every_kind_of_picture_becomes_rgb(suffix: str, mode: str) -> None:
    picture = reading.decode(tf.constant(encode(100, suffix, mode))).numpy()
    assert picture.shape == (6, 6, 3)
    assert picture.dtype == np.uint8
    assert np.abs(picture.astype(int) - 100).max() <= 2


BROKEN = {
    "empty": b"",
    "text": b"these are words",
    "half a JPEG": encode(9, ".jpg")[:300],
    "JPEG without its end": encode(9, ".jpg")[:-1],
    "half a PNG": encode(9, ".png")[:50],
    "half a BMP": encode(9, ".bmp")[:100],
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("position", [0, 70, 149])
def test_an_unreadable_picture_is_named_with_a_reason(content: bytes, position: int) -> None:
    contents = [encode(number % 99) for number in range(150)]
    contents[position] = content
    counted: list[int] = []
    [(name, reason)] = check_readable(stored(contents), counted.append)
    assert name == f"made/train#{position}"
    assert reason
    assert "{{" not in reason
    assert sum(counted) == 150


def test_every_unreadable_picture_is_found() -> None:
    assert check_readable(stored([encode(1), encode(2)])) == []
    unreadable = check_readable(stored(list(BROKEN.values())))
    assert [name for name, _ in unreadable] == [f"made/train#{index}" for index in range(len(BROKEN))]


def test_pictures_in_memory() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    split = from_arrays("test", pixels, np.array([0, 1, 0, 1]), "made")
    images, labels = zip(*split.pictures().as_numpy_iterator(), strict=True)
    assert np.array_equal(np.stack(images), pixels)
    assert labels == (0, 1, 0, 1)
    assert split.ids[3] == "made/test#3"
    assert check_readable(split) == []
    assert split.digest != from_arrays("test", pixels[::-1], np.array([0, 1, 0, 1]), "made").digest


def test_the_test_split_is_made_once_and_only_when_asked_for() -> None:
    made = []

    def read_test() -> Split:
        made.append(1)
        return stored([encode(0)])

    dataset = Dataset("made", "3", ("a", "b"), stored([encode(1), encode(2)]), read_test)
    assert (dataset.source, dataset.num_classes, len(dataset.train)) == ("made:3", 2, 2)
    assert not made
    assert dataset.test is dataset.test
    assert len(made) == 1


def parts_of(split: Split) -> list[list[tuple[int, int]]]:
    return [greys(split.between(begin, end)) for begin, end in ((0, 4), (4, 7), (7, 20))]


def test_a_part_has_the_pictures_between_two_places() -> None:
    split = stored([encode(number) for number in range(10)])
    whole = greys(split)
    assert parts_of(split) == [whole[:4], whole[4:7], whole[7:]]
    assert split.between(4, 7).ids == split.ids[4:7]


@pytest.mark.parametrize("kind", ["any", "entered midway"])
def test_a_part_of_a_subset_of_a_subset(kind: str) -> None:
    contents = [encode(number) for number in range(20)]
    entered: list[tuple[int, int | None]] = []

    def read(begin: int, end: int | None) -> tf.data.Dataset:
        entered.append((begin, end))
        return tf.data.Dataset.from_tensor_slices(contents[begin:end])

    raw = Stored(read) if kind == "entered midway" else lambda: tf.data.Dataset.from_tensor_slices(contents)
    split = dataclasses.replace(stored(contents), raw=raw)
    some = split.subset(np.arange(3, 20)).subset(np.arange(0, 17, 2))
    whole = greys(some)
    entered.clear()
    assert parts_of(some) == [whole[:4], whole[4:7], whole[7:]]
    if entered:
        assert entered == [(3, 10), (11, 16), (17, 20)]
