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


def grouped(thumbnails: np.ndarray) -> list[list[int]]:
    """The groups of two and more."""
    found = near_copies.groups(thumbnails)
    assert found is not None
    members = [np.flatnonzero(found == number).tolist() for number in np.unique(found)]
    return [group for group in members if len(group) > 1]


def test_equal_and_changed_pictures_are_one_group(thumbnails):
    changed = thumbnail(CHANGES["mirrored"](scene(0)))
    many = np.concatenate([thumbnails, np.repeat(thumbnails[:1], 6, axis=0), changed[None]])
    assert grouped(many) == [[0, *range(COUNT, COUNT + 7)]]


def test_groups_are_numbered_by_their_first_picture(thumbnails):
    twice = np.concatenate([thumbnails[:6], thumbnails[2:4]])
    assert near_copies.groups(twice).tolist() == [0, 1, 2, 3, 4, 5, 2, 3]


def test_pictures_of_one_colour_are_no_group(thumbnails):
    blank = np.zeros((5, SIDE, SIDE, 3), np.uint8)
    assert grouped(np.concatenate([thumbnails, blank])) == []


def test_pictures_of_one_kind_are_not_taken_for_copies(thumbnails):
    assert near_copies.groups(np.concatenate([thumbnails[:5], np.repeat(thumbnails[5:6], 10, axis=0)])) is None


def test_many_pictures_of_one_kind_are_told_without_comparing_them_all(thumbnails):
    alike = np.repeat(thumbnails[:1], 300, axis=0).copy()
    alike[np.arange(300), np.arange(300) % SIDE, np.arange(300) % 7] ^= 64
    assert near_copies.groups(alike) is None
    with pytest.raises(near_copies.OfOneKindError):
        near_copies.pairs(alike, alike)


def test_a_folder_in_which_each_picture_has_a_copy_is_not_of_one_kind(thumbnails):
    assert grouped(np.concatenate([thumbnails, thumbnails[:, :, ::-1]])) == [[at, COUNT + at] for at in range(COUNT)]
