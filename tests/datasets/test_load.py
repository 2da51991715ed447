"""The data sets that need no files."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline import datasets
from pipeline.config import DataConfig
from pipeline.datasets import letters


def test_digits() -> None:
    dataset = datasets.load(DataConfig(dataset="digits"))
    assert (dataset.source, len(dataset.train), len(dataset.test)) == ("digits:1", 1437, 360)
    assert dataset.class_names == tuple("0123456789")
    assert np.bincount(dataset.test.labels).min() >= 34
    images = np.stack([image for image, _ in dataset.train.pictures().as_numpy_iterator()])
    assert images.shape == (1437, 8, 8, 3)
    assert (images.min(), images.max()) == (0, 255)
    assert (images[..., 0] == images[..., 2]).all()
    assert dataset.test.name == "test"


def test_digits_test_pictures_do_not_depend_on_the_seed() -> None:
    first, second = (datasets.load(DataConfig(dataset="digits", seed=seed)) for seed in (0, 1))
    assert (first.train.digest, first.test.digest) == (second.train.digest, second.test.digest)


def test_letters_are_drawn_alike_and_the_test_letters_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters, "TRAIN_SIZE", 200)
    monkeypatch.setattr(letters, "TEST_SIZE", 80)
    asked = []
    render = letters.render
    monkeypatch.setattr(letters, "render", lambda split: asked.append(split) or render(split))
    dataset = datasets.load(DataConfig(dataset="letters"))
    assert asked == ["train"]
    assert (len(dataset.train), len(dataset.test), dataset.num_classes) == (200, 80, 37)
    assert next(iter(dataset.train.pictures()))[0].shape == (32, 32, 3)
    assert datasets.load(DataConfig(dataset="letters")).train.digest == dataset.train.digest
