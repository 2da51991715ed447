from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from scenes import scene

from pipeline.datasets import near_copies
from pipeline.datasets.near_copies import SIDE

COUNT = 40


def thumbnail(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX))


def strongly_compressed(picture: Image.Image) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=20)
    return Image.open(file)


CHANGES = {
    "compressed": strongly_compressed,
    "smaller": lambda picture: picture.resize((60, 45)),
    "mirrored": ImageOps.mirror,
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.2),
    "darker": lambda picture: ImageEnhance.Brightness(picture).enhance(0.7),
    "less contrast": lambda picture: ImageEnhance.Contrast(picture).enhance(0.7),
    "cropped": lambda picture: picture.crop((5, 4, 152, 114)),
    "cropped and mirrored": lambda picture: ImageOps.mirror(picture.crop((0, 10, 145, 118))),
}


@pytest.fixture(scope="module")
def thumbnails() -> np.ndarray:
    return np.stack([thumbnail(scene(number)) for number in range(COUNT)])


def test_different_scenes_are_no_near_copies(thumbnails):
    found, _cosines = near_copies.pairs(thumbnails)
    assert found.tolist() == []


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_picture_is_found_among_others_and_in_another_split(thumbnails, change):
    changed = thumbnail(CHANGES[change](scene(7)))
    found, cosines = near_copies.pairs(np.concatenate([thumbnails, changed[None]]))
    assert found.tolist() == [[7, COUNT]]
    assert near_copies.SIMILAR <= cosines[0] <= 1.001
    across, _cosines = near_copies.pairs(changed[None], thumbnails)
    assert across.tolist() == [[0, 7]]


def test_pictures_of_one_colour_are_like_nothing():
    plain = np.stack([np.full((SIDE, SIDE, 3), level, np.uint8) for level in (0, 10, 128, 255)])
    assert near_copies.pairs(plain)[0].tolist() == []


def test_the_most_similar_pair_is_the_first(thumbnails):
    changed = [thumbnail(CHANGES[name](scene(number))) for number, name in ((3, "cropped"), (5, "smaller"))]
    found, cosines = near_copies.pairs(np.concatenate([thumbnails, changed]))
    assert found.tolist() == [[5, COUNT + 1], [3, COUNT]]
    assert cosines[0] > cosines[1]


def test_many_equal_pictures_are_a_chain_and_no_square(thumbnails):
    many = np.concatenate([thumbnails, np.repeat(thumbnails[:1], 6, axis=0)])
    found, notes = near_copies.to_keep_together(many, np.arange(len(many)) % 2, ("a", "b"))
    assert len(found) == 6
    assert set(np.unique(found)) == {0, *range(COUNT, COUNT + 6)}
    assert notes == []


def test_pictures_of_one_kind_are_not_taken_for_copies(thumbnails):
    alike = np.concatenate([thumbnails[:5], np.repeat(thumbnails[5:6], 10, axis=0)])
    found, [note] = near_copies.to_keep_together(alike, np.arange(15) % 2, ("a", "b"))
    assert found is None
    assert "10 of 15 pictures look nearly like another one" in note


def test_a_class_of_one_burst_is_dealt_all_the_same(thumbnails):
    burst = np.repeat(thumbnails[:1], 4, axis=0)
    labels = np.array([0] * 30 + [1] * 4)
    found, [note] = near_copies.to_keep_together(np.concatenate([thumbnails[1:31], burst]), labels, ("a", "b"))
    assert found.tolist() == []
    assert note == "nearly all pictures of b are the same, so they are dealt to both sides"
