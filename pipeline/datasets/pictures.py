"""A data set as the rest of the program sees it: two splits of pictures, decoded only when they are asked for."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
import tensorflow as tf

from pipeline.datasets import elements, near_copies, streams
from pipeline.shell.cores import cores
from pipeline.shell.errors import UserError

# Damaged, gone, not to be read, a TFRecord that is cut off.
_UNREADABLE = (
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.PermissionDeniedError,
    tf.errors.DataLossError,
)


@dataclass(frozen=True, eq=False)
class Split:
    """n pictures in a fixed order.

    Attributes:
        name: "train" or "test".
        labels: int32 (n,), positions in Dataset.class_names.
        ids: n names that lead a person to the picture: a path, or "stanford_dogs/test#17".
        hashes: uint8 (n, 32), the SHA-256 of each picture as it is stored.
        raw: makes a data set of what `decode` takes, n elements: encoded bytes, a file's path, or pixels.
        decode: one raw element -> uint8 (h, w, 3); works inside a graph.
        groups: n names; pictures of one name stay together when they are dealt, and those without a name go alone.
        is_val: bool (n,), what the person who dealt the pictures keeps for validation.
        suspects: int (m,), the pictures that do not look whole; decoding tells.
        near_groups: int (n,), a number for each group of near copies, which stay together, too; None where none were
            looked for, or where too many look alike.
        thumbnails: uint8 (n, 32, 32, 3), where they were made; see thumbnails.py.
        sizes: int32 (n, 2), height and width of each picture in px as it is decoded, where thumbnails are.
    """

    name: str
    labels: np.ndarray
    ids: Sequence[str]
    hashes: np.ndarray
    raw: Callable[[], tf.data.Dataset]
    decode: Callable[[tf.Tensor], tf.Tensor]
    groups: tuple[str, ...] | None = None
    is_val: np.ndarray | None = None
    suspects: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    near_groups: np.ndarray | None = None
    thumbnails: np.ndarray | None = None
    sizes: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over exactly these pictures, labels and how they are dealt, in order, 64 hexadecimal digits."""
        whole = hashlib.sha256(np.ascontiguousarray(self.hashes).data)
        whole.update(np.ascontiguousarray(self.labels, "<i4").data)
        if self.is_val is not None:
            whole.update(np.packbits(self.is_val).data)
        if self.groups is not None:
            whole.update("\0".join(self.groups).encode())
        if self.near_groups is not None and len(np.unique(self.near_groups)) < len(self):
            whole.update(np.ascontiguousarray(self.near_groups, "<i8").data)
        return whole.hexdigest()

    def pictures(self, indices: np.ndarray | None = None, shuffle_seed: int | None = None) -> tf.data.Dataset:
        """Pairs (uint8 (h, w, 3), int32 label) in ascending order of index.

        Args:
            indices: int (m,), the only pictures that are decoded, each at most once; all of them where it is None.
            shuffle_seed: orders them anew in every pass instead, before they are decoded and take their full room.
        """
        labels = tf.constant(self.labels)
        numbered = self.raw().enumerate()
        if indices is not None:
            numbered = elements.only(numbered, _mask(len(self), indices))
        count = len(self) if indices is None else len(indices)
        if shuffle_seed is not None:
            numbered = numbered.shuffle(count, seed=shuffle_seed)
        pairs = numbered.map(
            lambda index, raw: (self.decode(raw), labels[index]),
            num_parallel_calls=cores(),
            deterministic=True,
        )
        return pairs.apply(tf.data.experimental.assert_cardinality(count)).with_options(streams.options())

    def subset(self, indices: np.ndarray) -> Split:
        """The pictures at `indices`, int (m,), each at most once, in ascending order."""
        mask = _mask(len(self), indices)
        kept = np.flatnonzero(mask)
        return Split(
            name=self.name,
            labels=self.labels[mask],
            ids=[self.ids[index] for index in kept.tolist()],
            hashes=self.hashes[mask],
            raw=partial(elements.subset, self.raw, mask),
            decode=self.decode,
            groups=None if self.groups is None else tuple(self.groups[index] for index in kept.tolist()),
            is_val=None if self.is_val is None else self.is_val[mask],
            suspects=np.flatnonzero(np.isin(kept, self.suspects)),
            near_groups=None if self.near_groups is None else self.near_groups[mask],
            thumbnails=None if self.thumbnails is None else self.thumbnails[mask],
            sizes=None if self.sizes is None else self.sizes[mask],
        )

    def between(self, begin: int, end: int) -> Split:
        """The pictures from `begin` to `end`, with what they are read and decoded by."""
        return Split(
            name=self.name,
            labels=self.labels[begin:end],
            ids=self.ids[begin:end],
            hashes=self.hashes[begin:end],
            raw=partial(elements.between, self.raw, begin, min(end, len(self))),
            decode=self.decode,
        )


@dataclass(frozen=True, eq=False)
class Dataset:
    """Pictures of two or more classes.

    Attributes:
        read_test: makes the test split, when it is first asked for: training never touches a test picture.
        num_test: how many pictures the test split has, as far as that is known without reading one.
        skipped: "id: reason" of each picture that was left out because it cannot be decoded.
    """

    name: str
    version: str
    class_names: tuple[str, ...]
    train: Split
    read_test: Callable[[], Split]
    num_test: int | None = None
    skipped: tuple[str, ...] = ()

    @cached_property
    def test(self) -> Split:
        """Read once."""
        return self.read_test()

    @cached_property
    def near(self) -> np.ndarray:
        """Near copies between test and train: int (p, 2), test picture and training picture, the most similar first.

        There are none where `train.near_groups` is None.
        """
        train, test = self.train.thumbnails, self.test.thumbnails
        if self.train.near_groups is None or train is None or test is None:
            return np.zeros((0, 2), np.int64)
        try:
            return near_copies.pairs(test, train)[0]
        except near_copies.OfOneKindError:
            return np.zeros((0, 2), np.int64)

    @cached_property
    def is_known(self) -> np.ndarray:
        """bool (n,): which test pictures are training pictures, or nearly the same as one."""
        trained_on = set(map(bytes, self.train.hashes))
        known = np.array([bytes(digest) in trained_on for digest in self.test.hashes], bool)
        known[self.near[:, 0]] = True
        return known

    @property
    def source(self) -> str:
        """Name and version, for people."""
        return f"{self.name}:{self.version}"

    @property
    def num_classes(self) -> int:
        """How many there are to tell apart."""
        return len(self.class_names)


def from_arrays(name: str, pictures: np.ndarray, labels: np.ndarray, source: str) -> Split:
    """A split whose pictures lie in memory: uint8 (n, h, w, 3), with labels (n,)."""
    return Split(
        name=name,
        labels=labels.astype(np.int32),
        ids=[f"{source}/{name}#{index}" for index in range(len(labels))],
        hashes=hashes_of(hashlib.sha256(picture.tobytes()).digest() for picture in pictures),
        raw=partial(tf.data.Dataset.from_tensor_slices, pictures),
        decode=tf.identity,
    )


def hashes_of(digests: Iterable[bytes]) -> np.ndarray:
    """SHA-256 digests, 32 bytes each -> uint8 (n, 32)."""
    return np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, 32)


def check_readable(split: Split, progress: Callable[[int], None] | None = None) -> list[tuple[str, str]]:
    """Decodes every picture; returns (id, reason) of those that cannot be.

    Args:
        progress: called with the number of pictures checked since the last call.
    """
    readable = np.zeros(len(split), dtype=bool)
    for indices, _sizes in decoded(split, tf.size, progress):
        readable[indices] = True
    return _reasons(split.subset(np.flatnonzero(~readable)))


def decoded(
    split: Split, look: Callable[[tf.Tensor], Any], progress: Callable[[int], None] | None = None
) -> Iterator[tuple[np.ndarray, Any]]:
    """What `look` makes of each picture, in batches, after its index; pictures that cannot be decoded are left out.

    Args:
        look: uint8 (h, w, 3) -> one tensor or several; works inside a graph.
        progress: called with the number of pictures passed since the last call.
    """
    seen = (
        split.raw()
        .enumerate()
        .map(
            lambda index, raw: (index, look(split.decode(raw))),
            num_parallel_calls=cores(),
            deterministic=True,
        )
        .ignore_errors()
        .batch(64)
    )
    passed = 0
    for indices, looks in streams.arrays(seen):
        yield indices, looks
        if progress:
            progress(int(indices[-1]) + 1 - passed)
        passed = int(indices[-1]) + 1
    if progress:
        progress(len(split) - passed)


@contextmanager
def unreadable_named(split: Split) -> Iterator[None]:
    """Raises UserError, which names a picture of `split`, where tensorflow ends the block since it cannot read one."""
    try:
        yield
    except _UNREADABLE as error:
        unreadable = check_readable(split)
        if not unreadable:
            raise
        name, reason = unreadable[0]
        raise UserError(
            f"wanted pictures that can be decoded. Received: {name} ({reason}), the first of {len(unreadable)}. "
            "Try: mend or remove it, or leave such pictures out with --skip_unreadable"
        ) from error


def plain(error: tf.errors.OpError) -> str:
    """What went wrong, without the names of TensorFlow's own operations and Python's traceback around it."""
    first, _newline, _traceback = error.message.partition("\n")
    return re.sub(r"\{\{.*?\}\} | \[Op:.*|^ValueError: ", "", first)


def _reasons(unreadable: Split) -> list[tuple[str, str]]:
    reasons = []
    for name, raw in zip(unreadable.ids, streams.arrays(unreadable.raw()), strict=True):
        try:
            unreadable.decode(raw)
        except tf.errors.OpError as error:
            reasons.append((name, plain(error)))
        except ValueError as error:  # Pillow's, outside of a graph
            reasons.append((name, str(error)))
    return reasons


def _mask(count: int, indices: np.ndarray) -> np.ndarray:
    """bool (count,), true at `indices`. Raises ValueError where one comes twice, IndexError where one is too large."""
    mask = np.zeros(count, dtype=bool)
    mask[np.asarray(indices, dtype=np.int64)] = True
    if mask.sum() != len(indices):
        raise ValueError(f"wanted each picture once. Received: {len(indices)} indices of {mask.sum()} pictures")
    return mask
