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


def grouped(thumbnails: np.ndarray) -> tuple[list[list[int]] | None, list[str]]:
    """The groups of two and more, of pictures of two classes in turn."""
    found, notes = near_copies.groups(thumbnails, np.arange(len(thumbnails)) % 2, ("a", "b"))
    if found is None:
        return None, notes
    members = [np.flatnonzero(found == number).tolist() for number in np.unique(found)]
    return [group for group in members if len(group) > 1], notes


def test_equal_and_changed_pictures_are_one_group(thumbnails):
    changed = thumbnail(CHANGES["mirrored"](scene(0)))
    many = np.concatenate([thumbnails, np.repeat(thumbnails[:1], 6, axis=0), changed[None]])
    assert grouped(many) == ([[0, *range(COUNT, COUNT + 7)]], [])


def test_groups_are_numbered_by_their_first_picture(thumbnails):
    twice = np.concatenate([thumbnails[:6], thumbnails[2:4]])
    found, _notes = near_copies.groups(twice, np.arange(8) % 2, ("a", "b"))
    assert found.tolist() == [0, 1, 2, 3, 4, 5, 2, 3]


def test_pictures_of_one_colour_are_no_group(thumbnails):
    blank = np.zeros((5, SIDE, SIDE, 3), np.uint8)
    assert grouped(np.concatenate([thumbnails, blank])) == ([], [])


def test_pictures_of_one_kind_are_not_taken_for_copies(thumbnails):
    found, [note] = grouped(np.concatenate([thumbnails[:5], np.repeat(thumbnails[5:6], 10, axis=0)]))
    assert found is None
    assert "10 of 15 pictures look nearly like each other" in note


def test_many_pictures_of_one_kind_are_told_without_comparing_them_all(thumbnails):
    alike = np.repeat(thumbnails[:1], 300, axis=0).copy()
    alike[np.arange(300), np.arange(300) % SIDE, np.arange(300) % 7] ^= 64
    found, [note] = grouped(alike)
    assert found is None
    assert "most of 300 pictures look nearly like each other" in note
    with pytest.raises(near_copies.OfOneKindError):
        near_copies.pairs(alike, alike)


def test_a_folder_in_which_each_picture_has_a_copy_is_not_of_one_kind(thumbnails):
    found, notes = grouped(np.concatenate([thumbnails, thumbnails[:, :, ::-1]]))
    assert found == [[number, COUNT + number] for number in range(COUNT)]
    assert notes == []


def test_a_class_of_one_burst_is_dealt_all_the_same(thumbnails):
    burst = np.repeat(thumbnails[:1], 4, axis=0)
    labels = np.array([0] * 30 + [1] * 4)
    found, [note] = near_copies.groups(np.concatenate([thumbnails[1:31], burst]), labels, ("a", "b"))
    assert len(np.unique(found)) == 34
    assert "nearly all pictures of b are the same, so they are dealt to both sides" in note
