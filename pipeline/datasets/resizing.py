"""Pictures at a network's resolution, without TensorFlow: what a file on a device is given, byte for byte.

Training resizes by tf.image.resize: bilinear between the four nearest pixels, whose centres lie at (i + 0.5) * scale,
without averaging, and without keeping the sides' proportion. `resized` does the same in NumPy. Networks are trained on
the fractions that come out; a file on a device takes whole numbers, so here they are rounded, half up.
"""

from __future__ import annotations

import numpy as np

METHOD = "bilinear, half-pixel centres, no antialiasing, proportions not kept, rounded half up"


def to_bytes(picture: np.ndarray, side: int) -> np.ndarray:
    """uint8 (h, w, 3) of any size -> uint8 (side, side, 3)."""
    if picture.shape[:2] == (side, side):
        return picture
    return np.floor(resized(picture, side) + np.float32(0.5)).astype(np.uint8)


def resized(picture: np.ndarray, side: int) -> np.ndarray:
    """uint8 (h, w, 3) -> float32 (side, side, 3), from 0 to 255, as tf.image.resize gives it."""
    above, below, down = _between(picture.shape[0], side)
    left, right, across = _between(picture.shape[1], side)
    across = across[:, None]
    rows = np.concatenate([above, below])
    west, east = (picture[rows[:, None], columns].astype(np.float32) for columns in (left, right))
    both = west + (east - west) * across
    top, bottom = both[:side], both[side:]
    return top + (bottom - top) * down[:, None, None]


def _between(size: int, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of `side` pixels the two of `size` that it lies between, int (side,), and how far it is, float32."""
    scale = np.float32(size) / np.float32(side)
    at = (np.arange(side, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5)
    lower = np.floor(at)
    first = np.maximum(lower.astype(np.int64), 0)
    second = np.minimum(np.ceil(at).astype(np.int64), size - 1)
    return first, second, at - lower
