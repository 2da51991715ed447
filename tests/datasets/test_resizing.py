"""What a device is given is what networks are trained on, rounded."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from pipeline.datasets import resizing

SIDES = [(1, 1), (1, 500), (31, 45), (96, 96), (224, 224), (333, 500), (640, 480)]


@pytest.mark.parametrize("side", [32, 128, 224, 299])
@pytest.mark.parametrize(("height", "width"), SIDES)
def test_it_resizes_as_training_does_to_the_last_bit(height, width, side):
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    np.testing.assert_array_equal(resizing.resized(picture, side), tf.image.resize(picture, (side, side)).numpy())


def test_fractions_are_rounded_half_up():
    picture = np.array([[[0, 10, 255]] * 2, [[1, 13, 255]] * 2], np.uint8)
    assert resizing.to_bytes(picture, 1).tolist() == [[[1, 12, 255]]]  # 0.5, 11.5 and 255


def test_a_picture_of_the_right_size_stays_as_it_is():
    picture = np.zeros((8, 8, 3), np.uint8)
    assert resizing.to_bytes(picture, 8) is picture


def test_a_picture_becomes_pixels_without_tensorflow():
    """In a process of its own, since this one has imported it."""
    program = "import sys; from pipeline.datasets import decoding, resizing; print([*sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pipeline.datasets.resizing" in done.stdout
    assert "tensorflow" not in done.stdout
    assert "keras" not in done.stdout
