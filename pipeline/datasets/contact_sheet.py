"""Near copies as a person looks at them: side by side, so that he sees whether they are copies."""

from __future__ import annotations

import base64

import numpy as np
import pandas as pd
import tensorflow as tf

from pipeline.datasets.pictures import Dataset, Split

MOST = 12  # pairs
SIDE = 96  # px, of a picture's longer side
COLUMNS = ("one", "other", "where", "one_jpeg", "other_jpeg")


def near_copies(dataset: Dataset) -> pd.DataFrame:
    """At most MOST pairs, those across the test first: COLUMNS, the last two JPEGs in base64."""
    across = dataset.near[:MOST]
    within = _pairs_of(dataset.train.near_groups)[: MOST - len(across)]
    train = _Shown(dataset.train, np.concatenate([across[:, 1], within.reshape(-1)]))
    test = _Shown(dataset.test, across[:, 0]) if len(across) else train
    rows = [(test.of(one), train.of(other), "test and training") for one, other in across.tolist()]
    rows += [(train.of(one), train.of(other), "both training") for one, other in within.tolist()]
    columns = [(one[0], other[0], where, one[1], other[1]) for one, other, where in rows]
    return pd.DataFrame(columns, columns=list(COLUMNS))


def _pairs_of(groups: np.ndarray | None) -> np.ndarray:
    """int (p, 2): each picture of a group with the next one of it."""
    if groups is None:
        return np.zeros((0, 2), np.int64)
    order = np.argsort(groups, kind="stable")
    return np.stack([order[:-1], order[1:]], axis=1)[np.diff(groups[order]) == 0]


class _Shown:
    """The pictures at `rows` of a split, decoded."""

    def __init__(self, split: Split, rows: np.ndarray) -> None:
        self._ids, wanted = split.ids, np.unique(rows)
        pictures = split.pictures(wanted) if len(wanted) else ()
        self._jpegs = dict(zip(wanted.tolist(), (_small(picture) for picture, _label in pictures), strict=True))

    def of(self, row: int) -> tuple[str, str]:
        """Its name, and a small JPEG in base64."""
        return self._ids[row], self._jpegs[row]


def _small(picture: tf.Tensor) -> str:
    sides = picture.shape[:2]
    resized = tf.image.resize(picture, [max(1, round(side * SIDE / max(sides))) for side in sides], method="area")
    jpeg = tf.io.encode_jpeg(tf.cast(tf.round(resized), tf.uint8), quality=80)
    return base64.b64encode(jpeg.numpy()).decode()
