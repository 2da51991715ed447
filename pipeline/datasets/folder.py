"""`folder:PATH`: a person's own pictures, one folder for each class.

Either PATH/train/<class>/ and PATH/test/<class>/, or PATH/<class>/ alone, of which a part is kept for the test.
In the first form what lies beside train and test is not read. Hidden files and other kinds of files are passed over.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import tensorflow as tf

from pipeline.config import DataConfig
from pipeline.datasets import splits
from pipeline.datasets.pictures import Dataset, Split, decode_bytes, hashes_of
from pipeline.shell.cores import cores
from pipeline.shell.errors import UserError

PREFIX = "folder:"
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
HASHED_AT_ONCE = 1024

_LAYOUT = "PATH/<class>/*.jpg, or PATH/train/<class>/*.jpg and PATH/test/<class>/*.jpg"


def load(config: DataConfig) -> Dataset:
    """Lists both splits and hashes the training files; the test files are opened when the test split is asked for.

    The data set is known by the folder's own name and by what is in it, however its path is spelled.

    Raises UserError where the folders are not as described above.
    """
    root = _root(config.dataset.removeprefix(PREFIX))
    if any(_class_folders(root / part) for part in ("train", "test")):
        class_names, train = _list(root / "train")
        test_names, test = _list(root / "test")
        _require_same(class_names, test_names, root)
    else:
        class_names, whole = _list(root)
        kept = splits.hold_out(_labels(whole, class_names), class_names, config.test_fraction)
        train, test = ([whole[index] for index in rows] for rows in kept)
    read = _read("train", root, train, class_names)
    return Dataset(
        name=root.resolve().name or "folder",
        version=read.digest[:12],
        class_names=class_names,
        train=read,
        read_test=partial(_read, "test", root, test, class_names),
        num_test=len(test),
    )


def _root(path: str) -> Path:
    root = Path(os.path.expanduser(path))  # unlike Path's own it leaves ~ where there is no home
    if not path or not root.is_dir():
        received = "no path" if not path else f"{path!r}, which is " + ("a file" if root.exists() else "not there")
        raise UserError(f"wanted a folder of pictures, {_LAYOUT}. Received: {received}. Try: --dataset folder:PATH")
    return root


def _class_folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _list(folder: Path) -> tuple[tuple[str, ...], list[Path]]:
    """Names of the classes, sorted, and their pictures, sorted by class and name."""
    classes = _class_folders(folder)
    if len(classes) < 2:
        received = f"the one folder {classes[0].name!r}" if classes else "no class folder"
        raise UserError(
            f"wanted at least two class folders in {folder}. Received: {received}. Try: lay it out as {_LAYOUT}"
        )
    pictures = []
    for one in classes:
        found = sorted(entry for entry in one.iterdir() if _is_picture(entry))
        if not found:
            raise UserError(
                f"wanted pictures ({' '.join(SUFFIXES)}) in every class folder. Received: none in {one}. "
                "Try: add some, or remove the folder"
            )
        pictures += found
    return tuple(one.name for one in classes), pictures


def _is_picture(entry: Path) -> bool:
    # A broken link counts as a picture: reading it fails and names it, where passing over it would hide it.
    return entry.suffix.lower() in SUFFIXES and not entry.name.startswith(".") and not entry.is_dir()


def _require_same(train: tuple[str, ...], test: tuple[str, ...], root: Path) -> None:
    differences = [
        f"{', '.join(sorted(set(some) - set(others)))} only in {name}"
        for name, some, others in (("train", train, test), ("test", test, train))
        if set(some) - set(others)
    ]
    if differences:
        raise UserError(
            f"wanted the same classes in {root}/train and {root}/test. Received: {'; '.join(differences)}. "
            "Try: rename, add or remove these class folders"
        )


def _labels(files: list[Path], class_names: tuple[str, ...]) -> np.ndarray:
    """int32 (n,)."""
    number = {name: label for label, name in enumerate(class_names)}
    return np.array([number[file.parent.name] for file in files], dtype=np.int32)


def _read(name: str, root: Path, files: list[Path], class_names: tuple[str, ...]) -> Split:
    return Split(
        name=name,
        labels=_labels(files, class_names),
        ids=[file.relative_to(root).as_posix() for file in files],
        hashes=hashes_of(_hashes(files)),
        raw=partial(tf.data.Dataset.from_tensor_slices, [os.fsencode(file) for file in files]),
        decode=lambda path: decode_bytes(tf.io.read_file(path)),
    )


def _hashes(files: list[Path]) -> Iterator[bytes]:
    """Part by part: what waits for a thread takes a kilobyte."""
    with ThreadPoolExecutor(cores() + 4) as threads:  # some of which wait for the disk
        for begin in range(0, len(files), HASHED_AT_ONCE):
            yield from threads.map(_hash, files[begin : begin + HASHED_AT_ONCE])


def _hash(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise UserError(f"wanted to read {path}. Received: {error.strerror}. Try: mend or remove that file") from error
