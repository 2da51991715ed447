"""What a person should know of the pictures before any network sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.datasets.pictures import Dataset, Split, check_readable
from pipeline.datasets.splits import cut
from pipeline.shell import progress
from pipeline.shell.errors import UserError

FEW = 5  # training pictures, below which a class teaches next to nothing
UNEVEN = 3  # times as many pictures in the largest class as in the smallest


@dataclass(frozen=True)
class Audit:
    """What pictures may be wrong with.

    Attributes:
        shared: how many of the `tested` test pictures are training pictures, too.
        twice: pairs of names of pictures that are the same, in different classes.
        few: classes with fewer than FEW training pictures.
        largest: the class with most training pictures; `always_right` is what always answering it scores in the test.
        is_uneven: whether that is worth telling.
    """

    shared: int
    tested: int
    twice: tuple[tuple[str, str], ...]
    few: tuple[str, ...]
    largest: str
    always_right: float
    is_uneven: bool

    def lines(self) -> list[str]:
        """What a person should know, a sentence each."""
        said = []
        if self.shared:
            said.append(
                f"{self.shared} of the {self.tested} test pictures are training pictures, too: the test is easier than "
                "new pictures are."
            )
        if self.twice:
            one, other = self.twice[0]
            said.append(
                f"{len(self.twice)} pictures are there again in another class, such as {one} and {other}: one of the "
                "labels is wrong."
            )
        if self.few:
            named = ", ".join(self.few[:5]) + (", ..." if len(self.few) > 5 else "")
            said.append(f"{len(self.few)} classes have fewer than {FEW} training pictures: {named}.")
        if self.is_uneven:
            said.append(
                f"The classes are uneven: always answering {self.largest} would score {100 * self.always_right:.1f} %. "
                "Look at the balanced accuracy, too."
            )
        return said


def count_classes(dataset: Dataset, val_fraction: float, seed: int) -> pd.DataFrame:
    """One row for each class: class, and the numbers of its pictures in train, val and test."""
    train, val = cut(dataset.train, val_fraction, seed)
    labels = {"train": dataset.train.labels[train], "val": dataset.train.labels[val], "test": dataset.test.labels}
    counts = {name: np.bincount(values, minlength=dataset.num_classes) for name, values in labels.items()}
    return pd.DataFrame({"class": dataset.class_names, **counts})


def require_whole(dataset: Dataset) -> None:
    """Decodes what does not look like a whole picture, of both splits: seconds, where all pictures would take minutes.

    Raises UserError, which names the first five, where some cannot be decoded.
    """
    unreadable = []
    for split in (dataset.train, dataset.test):
        unreadable += check_readable(split.subset(split.suspects)) if len(split.suspects) else []
    _refuse(unreadable)


def look(dataset: Dataset) -> Audit:
    """What is told by the labels and the pictures' hashes: the test pictures are opened for it, and not decoded."""
    train, test = dataset.train, dataset.test
    first: dict[bytes, tuple[str, int]] = {}
    twice = []
    for split in (train, test):
        for digest, name, label in zip(map(bytes, split.hashes), split.ids, split.labels.tolist(), strict=True):
            other, known = first.setdefault(digest, (name, label))
            if known != label:
                twice.append((other, name))
    counts = np.bincount(train.labels, minlength=dataset.num_classes)
    tested = np.bincount(test.labels, minlength=dataset.num_classes)
    return Audit(
        shared=int(shared(dataset).sum()),
        tested=len(test),
        twice=tuple(twice),
        few=tuple(dataset.class_names[label] for label in np.flatnonzero(counts < FEW)),
        largest=dataset.class_names[int(counts.argmax())],
        always_right=float(tested[counts.argmax()] / max(1, len(test))),
        is_uneven=bool(counts.max() > UNEVEN * max(1, counts.min())),
    )


def shared(dataset: Dataset) -> np.ndarray:
    """bool (n,): which test pictures are training pictures to the last bit."""
    trained_on = set(map(bytes, dataset.train.hashes))
    return np.array([bytes(digest) in trained_on for digest in dataset.test.hashes], bool)


def require_readable(split: Split) -> None:
    """Decodes every picture. Raises UserError, which names the first five, where some cannot be decoded."""
    with progress.bar(f"checking {split.name}", total=len(split), unit="img") as advance:
        unreadable = check_readable(split, advance)
    _refuse(unreadable)


def _refuse(unreadable: Sequence[tuple[str, str]]) -> None:
    if unreadable:
        named = "; ".join(f"{name} ({reason})" for name, reason in unreadable[:5])
        raise UserError(
            f"wanted pictures that can be decoded. Received {len(unreadable)} that cannot: {named}"
            + ("; ..." if len(unreadable) > 5 else "")
            + ". Try: mend or remove them, or leave them out with --skip_unreadable"
        )
