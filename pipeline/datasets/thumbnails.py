"""A thumbnail of every picture: which cannot be decoded, are tiny or of one colour, and which are nearly the same.

Each picture is decoded once for it; what was seen is kept in the work folder, by the pictures' hashes, so that a second
start, or one with a few new pictures, decodes only what is new.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO
from zipfile import BadZipFile

import numpy as np
import tensorflow as tf

from pipeline.datasets import decoding, near_copies
from pipeline.datasets.near_copies import SIDE
from pipeline.datasets.pictures import Split, decoded
from pipeline.shell import progress

AT_ONCE = 1024  # pictures that are kept together: so many at most are looked at again after a kill

Thumbnails = tuple[np.ndarray, np.ndarray]
"""uint8 (n, SIDE, SIDE, 3), and int32 (n, 2), height and width of each picture; 0 x 0 px if it cannot be decoded."""


def added(split: Split, work_dir: str) -> Split:
    """`split` with thumbnails, sizes and what they tell, unless it is too large for it."""
    if len(split) > near_copies.MOST:
        progress.note(
            f"{split.name}: every picture is looked at, and near copies are found, among {near_copies.MOST:,} pictures "
            f"at most, and not among these {len(split):,}"
        )
        return split
    small, sizes = of(split, work_dir)
    near = None
    if split.name == "train":  # what we deal; a test that a person has dealt stays as it is
        near = near_copies.groups(small, partial(near_copies_among, work_dir=work_dir))
    suspects = np.flatnonzero(sizes[:, 0] == 0)
    return replace(split, thumbnails=small, sizes=sizes, suspects=suspects, near_groups=near)


def of(split: Split, work_dir: str) -> Thumbnails:
    """Those of all pictures of `split`."""
    folder = Path(work_dir, "thumbnails")
    known = _Known(folder)
    thumbnails, sizes = np.zeros((len(split), SIDE, SIDE, 3), np.uint8), np.zeros((len(split), 2), np.int32)
    hashes = [bytes(one) for one in split.hashes]
    missing = []
    for row, name in enumerate(hashes):
        if (seen := known.get(name)) is None:
            missing.append(row)
        else:
            thumbnails[row], sizes[row] = seen
    with progress.bar(f"looking at {split.name}", total=len(missing), unit="img", late=True) as advance:
        for begin in range(0, len(missing), AT_ONCE):
            rows = np.array(missing[begin : begin + AT_ONCE])
            thumbnails[rows], sizes[rows] = _look_at(split.subset(rows), advance)
            seen_well = rows[sizes[rows, 0] > 0]
            known.keep(split.hashes[seen_well], thumbnails[seen_well], sizes[seen_well])
    return thumbnails, sizes


def near_copies_among(thumbnails: np.ndarray, work_dir: str) -> tuple[np.ndarray, np.ndarray]:
    """As near_copies.pairs, kept in the work folder: of ten thousand pictures it takes a quarter of a minute."""
    content = hashlib.sha256(np.ascontiguousarray(thumbnails).data).hexdigest()[:20]
    file = Path(work_dir, "thumbnails", f"near-{content}-{near_copies.VERSION}.npy")
    with contextlib.suppress(OSError, ValueError, EOFError):
        kept = np.load(file)
        return kept[:, :2].astype(np.int64), kept[:, 2]
    found, cosines = near_copies.pairs(thumbnails)
    _write(file, lambda opened: np.save(opened, np.column_stack([found, cosines])))
    return found, cosines


def _look_at(split: Split, advance: Callable[[int], None]) -> Thumbnails:
    thumbnails, sizes = np.zeros((len(split), SIDE, SIDE, 3), np.uint8), np.zeros((len(split), 2), np.int32)
    for rows, (small, shape) in decoded(split, _glance, advance):
        thumbnails[rows], sizes[rows] = small, shape
    return thumbnails, sizes


def _glance(picture: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    small = tf.image.resize(picture, (SIDE, SIDE), method="area")
    return tf.cast(tf.round(small), tf.uint8), tf.shape(picture)[:2]


class _Known:
    """What earlier looks have kept in `folder`: a file for each of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}
        for file in sorted(folder.glob(f"*-{decoding.VERSION}-{near_copies.VERSION}.npz")):
            try:
                with np.load(file) as kept:
                    rows = zip(map(bytes, kept["hashes"]), kept["thumbnails"], kept["sizes"], strict=True)
                    self._seen |= {name: (small, size) for name, small, size in rows}
            # Damaged, or of something else: these pictures are looked at again.
            except (OSError, ValueError, KeyError, EOFError, BadZipFile):
                continue

    def get(self, name: bytes) -> tuple[np.ndarray, np.ndarray] | None:
        """Thumbnail and size of the picture with this hash."""
        return self._seen.get(name)

    def keep(self, hashes: np.ndarray, thumbnails: np.ndarray, sizes: np.ndarray) -> None:
        """Writes a file of exactly these pictures."""
        name = hashlib.sha256(np.ascontiguousarray(hashes).data).hexdigest()[:20]
        _write(
            self._folder / f"{name}-{decoding.VERSION}-{near_copies.VERSION}.npz",
            lambda opened: np.savez(opened, hashes=hashes, thumbnails=thumbnails, sizes=sizes),
        )


def _write(path: Path, save: Callable[[IO[bytes]], None]) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as file:
            save(file)
        beside.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
    finally:
        beside.unlink(missing_ok=True)
