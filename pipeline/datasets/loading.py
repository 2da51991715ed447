"""From a data set's name to its pictures."""

from __future__ import annotations

import dataclasses

import numpy as np

from pipeline.config import DataConfig
from pipeline.datasets import digits, folder, letters, splits, tfds_images
from pipeline.datasets.pictures import Dataset, check_readable
from pipeline.shell.errors import UserError

_OWN = {"digits": digits.load, "letters": letters.load}


def load(config: DataConfig) -> Dataset:
    """Finds, downloads or draws `config.dataset`; no picture is decoded unless unreadable ones are to be skipped.

    Raises UserError where it cannot be had, is damaged, has a single class or a class with one training picture.
    """
    if config.dataset.startswith(folder.PREFIX):
        dataset = folder.load(config)
    else:
        dataset = _OWN.get(config.dataset, tfds_images.load)(config)
    if dataset.num_classes < 2:
        raise UserError(
            f"wanted at least two classes. Received: {dataset.source} with {dataset.num_classes}. "
            "Try: choose another data set"
        )
    if config.train_limit:
        kept = splits.draw(dataset.train.labels, config.train_limit, config.seed)
        dataset = dataclasses.replace(dataset, train=dataset.train.subset(kept))
    if config.skip_unreadable:
        dataset = _without_unreadable(dataset)
    splits.require_pairs(dataset.train.labels, dataset.class_names, f"the training pictures of {dataset.source}")
    return dataset


def _without_unreadable(dataset: Dataset) -> Dataset:
    """Decodes every picture of both splits, and leaves out those that cannot be.

    Raises UserError where nothing would be left of a class.
    """
    bad = {split.name: dict(check_readable(split)) for split in (dataset.train, dataset.test)}
    train, test = (
        split.subset(np.flatnonzero([name not in bad[split.name] for name in split.ids]))
        for split in (dataset.train, dataset.test)
    )
    for before, after in ((dataset.train, train), (dataset.test, test)):
        lost = np.setdiff1d(before.labels, after.labels)
        if len(lost):
            raise UserError(
                f"wanted a readable picture of every class. Received: none of {dataset.class_names[lost[0]]!r} in "
                f"{before.name}. Try: mend its pictures, or remove the class"
            )
    skipped = tuple(f"{name}: {reason}" for reasons in bad.values() for name, reason in reasons.items())
    return dataclasses.replace(dataset, train=train, read_test=lambda: test, num_test=len(test), skipped=skipped)
