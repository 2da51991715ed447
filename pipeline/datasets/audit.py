"""What a person should know of the pictures before any network sees them."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.datasets.pictures import Dataset, Split, check_readable
from pipeline.datasets.splits import bursts, cut, together
from pipeline.shell import progress
from pipeline.shell.errors import UserError

FEW = 5  # training pictures, below which a class teaches next to nothing
UNEVEN = 3  # times as many pictures in the largest class as in the smallest
TINY = 32  # px, the shorter side of a picture that shows next to nothing
PLAIN = 8  # of 255, by which the thumbnail of a picture of one colour varies at most
UNREADABLE = "unreadable.csv"


@dataclass(frozen=True)
class Audit:
    """What pictures may be wrong with.

    Attributes:
        shared: how many of the `tested` test pictures are training pictures, too.
        near: how many others of them are nearly the same as a training picture.
        kept_together: how many training pictures are nearly the same as another one, and dealt to one side with it.
        bursts: classes whose training pictures are nearly all the same.
        is_of_one_kind: whether so many training pictures look alike that near copies cannot be told.
        shared_val: how many pictures that a person keeps for validation are (nearly) such as are trained on.
        twice: pairs of names of pictures that are the same, in different classes.
        tiny, plain: names of pictures that are tiny, and of one colour.
        few: classes with fewer than FEW training pictures.
        largest: the class with most training pictures; `always_right` is what always answering it scores in the test.
        is_uneven: whether that is worth telling.
    """

    shared: int
    near: int
    tested: int
    kept_together: int
    bursts: tuple[str, ...]
    is_of_one_kind: bool
    shared_val: int
    twice: tuple[tuple[str, str], ...]
    tiny: tuple[str, ...]
    plain: tuple[str, ...]
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
        if self.near:
            said.append(
                f"{self.near} {'more ' if self.shared else ''}of the {self.tested} test pictures are nearly the same "
                "as a training picture: the test is easier than new pictures are."
            )
        if self.shared_val:
            said.append(
                f"{self.shared_val} of the val pictures are training pictures, or nearly so: what is chosen on val is "
                "chosen too well."
            )
        elif self.kept_together:
            said.append(
                f"{self.kept_together} training pictures are nearly the same as another one; such pictures are never "
                "dealt to both sides."
            )
        if self.bursts:
            said.append(
                f"Nearly all training pictures of {_listed(self.bursts)} are the same, so they are dealt to both sides "
                "and scores are too good: other pictures are needed."
            )
        if self.is_of_one_kind:
            said.append(
                "Most training pictures look nearly like each other: they are taken for pictures of one kind, not for "
                "copies, and may be dealt to both sides. What belongs together --group_by can tell."
            )
        if self.twice:
            one, other = self.twice[0]
            said.append(
                f"{_pictures(self.twice)} there again in another class, such as {one} and {other}: one of the labels "
                "is wrong."
            )
        if self.tiny:
            said.append(f"{_pictures(self.tiny)} smaller than {TINY} px: {_listed(self.tiny)}.")
        if self.plain:
            said.append(f"{_pictures(self.plain)} of one colour: {_listed(self.plain)}.")
        if self.few:
            classes = "1 class has" if len(self.few) == 1 else f"{len(self.few)} classes have"
            said.append(f"{classes} fewer than {FEW} training pictures: {_listed(self.few)}.")
        if self.is_uneven:
            said.append(
                f"The classes are uneven: always answering {self.largest} would score {100 * self.always_right:.1f} %. "
                "Look at the balanced accuracy, too, which --aim balanced_top1 chooses by."
            )
        return said


def count_classes(dataset: Dataset, val_fraction: float, seed: int) -> pd.DataFrame:
    """One row for each class: class, and the numbers of its pictures in train, val and test."""
    train, val = cut(dataset.train, val_fraction, seed)
    labels = {"train": dataset.train.labels[train], "val": dataset.train.labels[val], "test": dataset.test.labels}
    counts = {name: np.bincount(values, minlength=dataset.num_classes) for name, values in labels.items()}
    return pd.DataFrame({"class": dataset.class_names, **counts})


def require_whole(dataset: Dataset, work_dir: str) -> None:
    """Decodes what does not look like a whole picture, of both splits: seconds, where all pictures would take minutes.

    Raises UserError, which names the first five, where some cannot be decoded; a table in `work_dir` has all.
    """
    unreadable = []
    for split in (dataset.train, dataset.test):
        unreadable += check_readable(split.subset(split.suspects)) if len(split.suspects) else []
    _refuse(unreadable, work_dir)


def look(dataset: Dataset) -> Audit:
    """What labels, hashes and thumbnails tell: the test pictures are opened for it, and no network sees them."""
    train, test = dataset.train, dataset.test
    first: dict[bytes, tuple[str, int]] = {}
    twice = []
    for split in (train, test):
        for digest, name, label in zip(map(bytes, split.hashes), split.ids, split.labels.tolist(), strict=True):
            other, known = first.setdefault(digest, (name, label))
            if known != label:
                twice.append((other, name))
    trained_on = set(map(bytes, train.hashes))
    shared = sum(bytes(digest) in trained_on for digest in test.hashes)
    counts = np.bincount(train.labels, minlength=dataset.num_classes)
    alike = bursts(train)
    tested = np.bincount(test.labels, minlength=dataset.num_classes)
    return Audit(
        shared=shared,
        near=int(dataset.is_known.sum()) - shared,
        tested=len(test),
        kept_together=_count_in_groups(train, alike),
        bursts=tuple(dataset.class_names[label] for label in alike.tolist()),
        is_of_one_kind=train.thumbnails is not None and train.near_groups is None,
        shared_val=_shared_val(train),
        twice=tuple(twice),
        tiny=tuple(name for split in (train, test) for name in _tiny(split)),
        plain=tuple(name for split in (train, test) for name in _plain(split)),
        few=tuple(dataset.class_names[label] for label in np.flatnonzero(counts < FEW)),
        largest=dataset.class_names[int(counts.argmax())],
        always_right=float(tested[counts.argmax()] / max(1, len(test))),
        is_uneven=bool(counts.max() > UNEVEN * max(1, counts.min())),
    )


def require_readable(dataset: Dataset, work_dir: str) -> None:
    """Decodes every picture of both splits. Raises UserError, as `require_whole` does."""
    unreadable = []
    for split in (dataset.train, dataset.test):
        with progress.bar(f"checking {split.name}", total=len(split), unit="img") as advance:
            unreadable += check_readable(split, advance)
    _refuse(unreadable, work_dir)


def _count_in_groups(train: Split, alike: np.ndarray) -> int:
    """Of how many members the groups of two or more near copies are, without the classes that are all `alike`."""
    groups = np.zeros(0) if train.near_groups is None else train.near_groups[~np.isin(train.labels, alike)]
    sizes = np.unique(groups, return_counts=True)[1]
    return int(sizes[sizes > 1].sum())


def _shared_val(train: Split) -> int:
    if train.is_val is None:
        return 0
    groups = together(train)
    return int(np.isin(groups[train.is_val], groups[~train.is_val]).sum())


def _tiny(split: Split) -> list[str]:
    if split.sizes is None:
        return []
    shorter = split.sizes.min(axis=1, initial=TINY)
    return [split.ids[row] for row in np.flatnonzero((shorter > 0) & (shorter < TINY)).tolist()]


def _plain(split: Split) -> list[str]:
    if split.thumbnails is None or split.sizes is None:
        return []
    spread = np.ptp(split.thumbnails.astype(np.int16), axis=(1, 2)).max(axis=1, initial=0)
    return [split.ids[row] for row in np.flatnonzero((spread <= PLAIN) & (split.sizes[:, 0] > 0)).tolist()]


def _pictures(found: Sequence[object]) -> str:
    """ "1 picture is", "2 pictures are"."""
    return "1 picture is" if len(found) == 1 else f"{len(found)} pictures are"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _refuse(unreadable: Sequence[tuple[str, str]], work_dir: str) -> None:
    table = Path(work_dir, UNREADABLE)
    if not unreadable:
        with contextlib.suppress(OSError):  # no folder, or a read-only one: what wants to write there tells
            table.unlink()
        return
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        csv.writer(file).writerows([("file", "reason"), *unreadable])
    named = "; ".join(f"{name} ({reason})" for name, reason in unreadable[:5])
    raise UserError(
        f"wanted pictures that can be decoded. Received {len(unreadable)} that cannot: {named}"
        + ("; ..." if len(unreadable) > 5 else "")
        + f". {table} has all of them. Try: mend or remove them, or leave them out with --skip_unreadable"
    )
