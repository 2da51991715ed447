"""`digits`: the 1,797 handwritten digits, 8 x 8 px, that scikit-learn carries (UCI, Alpaydin and Kaynak 1998)."""

from __future__ import annotations

import dataclasses

import numpy as np

from pipeline.config import DataConfig
from pipeline.datasets import splits
from pipeline.datasets.pictures import Dataset, from_arrays

_WHITE = 16  # pixels are 0 to 16: the number of set bits in a 4 x 4 block


def load(config: DataConfig) -> Dataset:
    """All 1,797 digits, 8 x 8 px, of which config.test_fraction are kept for the test."""
    from sklearn.datasets import load_digits  # takes a second, which no other data set need wait for

    images, labels = load_digits(return_X_y=True)
    grey = np.rint(images.reshape(-1, 8, 8) * (255 / _WHITE)).astype(np.uint8)
    whole = from_arrays("train", np.repeat(grey[..., None], 3, axis=-1), labels, "digits")
    class_names = tuple("0123456789")
    train, test = splits.hold_out(whole, class_names, config.test_fraction)
    return Dataset(
        name="digits",
        version="1",
        class_names=class_names,
        train=whole.subset(train),
        read_test=lambda: dataclasses.replace(whole.subset(test), name="test"),
        num_test=len(test),
    )
