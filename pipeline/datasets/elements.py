"""Where a split's elements come from: encoded bytes, paths of files, or pixels, each before it is decoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import tensorflow as tf

Raw = Callable[[], tf.data.Dataset]
"""Makes a data set of elements that Split.decode takes."""


@dataclass(frozen=True)
class Stored:
    """A Raw that can be entered midway.

    Attributes:
        read: (begin, end) -> these elements; (0, None) -> all of them.
    """

    read: Callable[[int, int | None], tf.data.Dataset]

    def __call__(self) -> tf.data.Dataset:
        """All elements."""
        return self.read(0, None)


def only(numbered: tf.data.Dataset, mask: np.ndarray) -> tf.data.Dataset:
    """The pairs (index, element) of which mask[index] holds."""
    chosen = tf.constant(mask)
    return numbered.filter(lambda index, _: chosen[index])


def subset(raw: Raw, mask: np.ndarray) -> tf.data.Dataset:
    """The elements of which mask, bool (n,), holds."""
    return only(raw().enumerate(), mask).map(lambda _, element: element)


def between(raw: Raw, begin: int, end: int) -> tf.data.Dataset:
    """The elements from `begin` to `end`; those before them are read through where there is no other way."""
    if isinstance(raw, Stored):
        return raw.read(begin, end)
    if isinstance(raw, partial) and raw.func is subset:
        whole, mask = raw.args
        rows = np.flatnonzero(mask)[begin:end]
        first, last = int(rows[0]), int(rows[-1]) + 1
        return subset(partial(between, whole, first, last), mask[first:last])
    if isinstance(raw, partial) and raw.func is tf.data.Dataset.from_tensor_slices:
        return tf.data.Dataset.from_tensor_slices(raw.args[0][begin:end])
    return raw().skip(begin).take(end - begin)
