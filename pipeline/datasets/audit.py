"""What a person should know of the pictures before any network sees them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipeline.datasets.pictures import Dataset, Split, check_readable
from pipeline.datasets.splits import cut
from pipeline.shell import progress
from pipeline.shell.errors import UserError


def count_classes(dataset: Dataset, val_fraction: float, seed: int) -> pd.DataFrame:
    """One row for each class: class, and the numbers of its pictures in train, val and test."""
    train, val = cut(dataset.train, val_fraction, seed)
    labels = {"train": dataset.train.labels[train], "val": dataset.train.labels[val], "test": dataset.test.labels}
    counts = {name: np.bincount(values, minlength=dataset.num_classes) for name, values in labels.items()}
    return pd.DataFrame({"class": dataset.class_names, **counts})


def count_shared(dataset: Dataset) -> int:
    """How many test pictures are training pictures to the last bit."""
    trained_on = {row.tobytes() for row in dataset.train.hashes}
    return sum(row.tobytes() in trained_on for row in dataset.test.hashes)


def require_readable(split: Split) -> None:
    """Raises UserError, which names the first five, where pictures cannot be decoded."""
    with progress.bar(f"checking {split.name}", total=len(split), unit="img") as advance:
        unreadable = check_readable(split, advance)
    if unreadable:
        named = "; ".join(f"{name} ({reason})" for name, reason in unreadable[:5])
        raise UserError(
            f"wanted pictures that can be decoded. Received {len(unreadable)} that cannot: {named}"
            + ("; ..." if len(unreadable) > 5 else "")
            + ". Try: mend or remove them, or leave them out with --skip_unreadable"
        )
