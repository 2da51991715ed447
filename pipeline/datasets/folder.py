"""`folder:PATH`: a person's own pictures, in a folder for each class or with a table of labels (see layouts.py).

Where nobody has dealt a test part, a part is kept for it; a part called val is what the search validates on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import tensorflow as tf

from pipeline.config import DataConfig
from pipeline.datasets import decoding, labelled, layouts, reading, splits, thumbnails
from pipeline.datasets.layouts import Listed, Listing
from pipeline.datasets.pictures import Dataset, Split, hashes_of
from pipeline.shell import progress
from pipeline.shell.cores import cores
from pipeline.shell.errors import UserError

PREFIX = "folder:"
AT_ONCE = 256  # files; each is in memory while it is hashed


def load(config: DataConfig) -> Dataset:
    """Lists the pictures and hashes them; those of a dealt test part are opened when the test split is asked for.

    The data set is known by the folder's own name and by what is in it, however its path is spelled.

    Raises UserError where the folders, or the table of labels, are not as layouts.py describes them.
    """
    root = _root(config.dataset.removeprefix(PREFIX))
    listing = labelled.by_table(root, _table(config.labels)) if config.labels else layouts.by_folders(root)
    _tell(listing)
    class_names = tuple(sorted({one.label for one in listing.pictures}))
    read = partial(
        _read, root=root, class_names=class_names, group_of=_grouping(config.group_by, root), work_dir=config.work_dir
    )
    train = read("train", [*listing.of(""), *listing.of("train"), *listing.of("val")])
    if test := listing.of("test"):
        num_test, read_test = len(test), partial(read, "test", test)
    else:
        kept, held_out = splits.hold_out(train, class_names, config.test_fraction)
        num_test, read_test = len(held_out), partial(replace, train.subset(held_out), name="test", is_val=None)
        train = train.subset(kept)
    return Dataset(root.resolve().name or "folder", train.digest[:12], class_names, train, read_test, num_test)


def _root(path: str) -> Path:
    root = Path(os.path.expanduser(path))  # unlike Path's own it leaves ~ where there is no home
    if not path or not root.is_dir():
        received = "no path" if not path else f"{path!r}, which is " + ("a file" if root.exists() else "not there")
        raise UserError(
            f"wanted a folder of pictures, {layouts.LAYOUT}. Received: {received}. Try: --dataset folder:PATH"
        )
    return root


def _table(path: str) -> Path:
    table = Path(os.path.expanduser(path))
    if not table.is_file():
        raise UserError(f"wanted a CSV table of labels. Received: {path!r}, which is no file. Try: --labels FILE.csv")
    return table


def _tell(listing: Listing) -> None:
    for line in listing.notes:
        progress.note(line)
    heic = {ending: count for ending, count in listing.passed_over.items() if decoding.EXTRA in ending}
    others = {ending: count for ending, count in listing.passed_over.items() if ending not in heic}
    for kinds, why in ((others, "which are no pictures"), (heic, f"until {decoding.GET_EXTRA!r}")):
        if kinds:
            count, told = sum(kinds.values()), ", ".join(f"{count} {ending}" for ending, count in sorted(kinds.items()))
            progress.note(f"{count} file{'s' if count > 1 else ''} passed over, {why}: {told}")


def _grouping(group_by: str, root: Path) -> Callable[[Listed], str]:
    """What a picture must stay together with when it is dealt; empty for itself alone."""
    if group_by == "folder":
        return lambda one: one.group or one.file.parent.relative_to(root).as_posix()
    if group_by == "auto":
        return lambda one: one.group
    pattern = re.compile(group_by)

    def named(one: Listed) -> str:
        """What the expression finds in the name: its first group, or all of it."""
        found = pattern.search(layouts.printable(one.file.name))
        return one.group or ("" if found is None else found[1] if pattern.groups else found[0])

    return named


def _read(
    name: str,
    pictures: Sequence[Listed],
    root: Path,
    class_names: tuple[str, ...],
    group_of: Callable[[Listed], str],
    work_dir: str,
) -> Split:
    number = {label: position for position, label in enumerate(class_names)}
    looked = list(_look_at([one.file for one in pictures]))
    groups = [group_of(one) for one in pictures]
    is_val = np.array([one.part == "val" for one in pictures], bool)
    split = Split(
        name=name,
        labels=np.array([number[one.label] for one in pictures], dtype=np.int32),
        ids=[layouts.printable(one.file.relative_to(root).as_posix()) for one in pictures],
        hashes=hashes_of(digest for digest, _whole in looked),
        raw=partial(tf.data.Dataset.from_tensor_slices, [os.fsencode(one.file) for one in pictures]),
        decode=lambda path: reading.decode(tf.io.read_file(path)),
        groups=tuple(groups) if any(groups) else None,
        is_val=is_val if is_val.any() else None,
        suspects=np.flatnonzero([not whole for _digest, whole in looked]),
    )
    return thumbnails.added(split, work_dir)


def _look_at(files: Sequence[Path]) -> Iterator[tuple[bytes, bool]]:
    """The SHA-256 of each, and whether it looks like a whole picture. Part by part: what waits takes memory."""
    with ThreadPoolExecutor(cores() + 4) as threads:  # some of which wait for the disk
        for begin in range(0, len(files), AT_ONCE):
            yield from threads.map(_digest, files[begin : begin + AT_ONCE])


def _digest(path: Path) -> tuple[bytes, bool]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"wanted to read {path}. Received: {error.strerror}. Try: mend or remove that file") from error
    return sha256(content).digest(), decoding.looks_whole(content)
