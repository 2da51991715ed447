"""Image classification sets of TensorFlow Datasets: found in --data_dir, or downloaded into it."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import hashlib
import logging
import re
import sys
import textwrap
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from absl import logging as absl_logging
from google.protobuf.json_format import ParseError
from tensorflow_datasets.core import registered
from tensorflow_datasets.core.download import download_manager, downloader

from pipeline.config import KNOWN_DATASETS, DataConfig
from pipeline.datasets import decoding, reading, splits, streams, thumbnails
from pipeline.datasets.elements import Stored
from pipeline.datasets.pictures import Dataset, Split, hashes_of, plain
from pipeline.shell import progress
from pipeline.shell.errors import UserError

# TFDS asks ten times, with pauses that double, before it admits that there is no network (204 s, measured), and waits
# for an answer without end. Four more tries take 3 s.
DOWNLOAD_RETRIES = 4
TIMEOUTS = (10, 60)  # s, to connect and between two packets

_VALIDATION = ("validation", "val", "valid")
_LOOKED_AT = 64  # pictures

# No network, a full disk, a changed file, files that a person must fetch by hand, a missing Python package.
_PREPARE_ERRORS = (
    OSError,
    ImportError,
    AssertionError,
    tfds.core.download.DownloadError,
    download_manager.NonMatchingChecksumError,
)


def load(config: DataConfig) -> Dataset:
    """Opens a data set, after downloading it where --data_dir does not hold it.

    A set without a test split is tested on its validation split; one with neither has a part of train kept back.
    Raises UserError where the set is unknown, cannot be downloaded, is damaged, or is no image classification.
    """
    builder = _open(config.dataset, _folder_of(config.dataset, Path(config.data_dir)))
    keys = _keys(builder)
    _prepare(builder)
    stored = [name for name in ("train", "test", *_VALIDATION) if name in builder.info.splits]
    name, _, version = builder.info.full_name.rpartition("/")
    if "train" not in stored:
        raise UserError(
            f"wanted a data set with a train split. Received: {name} with {sorted(builder.info.splits)} in "
            f"{builder.data_dir}. Try: choose another data set; or, if that folder is damaged, remove it"
        )
    class_names = tuple(builder.info.features[keys[1]].names)
    read = partial(_read, builder, keys=keys, work_dir=config.work_dir)
    train = read("train", "train")
    if len(stored) > 2 and stored[1] == "test" and not _has_labels(builder, "test", keys):
        progress.note(f"the test split of {name} has no labels; the split {stored[2]} is tested on in its place")
        del stored[1]
    if len(stored) > 1:
        read_test = partial(read, stored[1], "test")
        num_test = builder.info.splits[stored[1]].num_examples
    else:
        kept, held_out = splits.hold_out(train, class_names, config.test_fraction)
        read_test = partial(dataclasses.replace, train.subset(held_out), name="test")
        train, num_test = train.subset(kept), len(held_out)
    return Dataset(name, version, class_names, train, read_test, num_test)


def _folder_of(dataset: str, folder: Path) -> Path:
    """`folder`, or the one around it or within it that holds the data set, where `folder` itself does not."""
    name = re.split("[/:]", dataset)[0]
    if (folder / name).is_dir():
        return folder
    around = [inner.parent for inner in (folder.absolute(), *folder.absolute().parents[:2]) if inner.name == name]
    within = [inner for inner in sorted(folder.glob("*")) if (inner / name).is_dir()]
    if len(found := around or within) != 1:
        return folder
    progress.note(f"{dataset} is taken from {found[0]}, which holds it, and not from {folder}")
    return found[0]


def _open(dataset: str, folder: Path) -> tfds.core.DatasetBuilder:
    try:
        with _quiet():
            return tfds.builder(dataset, data_dir=folder)
    except registered.DatasetNotFoundError as error:
        close = difflib.get_close_matches(dataset.lower(), {*KNOWN_DATASETS, *tfds.list_builders()})
        raise UserError(
            f"wanted {', '.join(KNOWN_DATASETS)} or any image classification set of TFDS. "
            f"Received: {dataset!r}." + (f" Try: {' or '.join(close)}" if close else "")
        ) from error
    except (ValueError, AssertionError, ImportError, OSError, ParseError) as error:
        raise UserError(
            f"wanted a data set that TFDS can open, NAME or NAME/CONFIG or NAME:VERSION, in {folder}. "
            f"Received: {dataset!r} ({_one_line(error)}). "
            "Try: mend the name; or, if its files there are damaged, remove them and prepare the data set again"
        ) from error


def _keys(builder: tfds.core.DatasetBuilder) -> tuple[str, str]:
    """Under which names an example holds its picture and its class."""
    features = (
        dict(builder.info.features.items()) if isinstance(builder.info.features, tfds.features.FeaturesDict) else {}
    )
    images = [
        key
        for key, feature in features.items()
        if isinstance(feature, tfds.features.Image)
        and not isinstance(feature, tfds.features.LabeledImage)
        and feature.np_dtype == np.uint8
    ]
    labels = [key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    pairs = [(image, label) for image in images for label in labels]
    if builder.info.supervised_keys in pairs:
        return builder.info.supervised_keys
    if len(pairs) != 1:
        raise UserError(
            "wanted a data set of pictures (uint8) with one class each. "
            f"Received: {builder.name} with {', '.join(features) or 'other features'}. Try: choose another data set"
        )
    return pairs[0]


def _prepare(builder: tfds.core.DatasetBuilder) -> None:
    """Downloads the data set, unless it is there already."""
    tfds.display_progress_bar(sys.stderr.isatty())
    try:
        with _quiet(), _impatient_downloads():
            if not builder.is_prepared():
                builder.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))
    except _PREPARE_ERRORS as error:
        name = builder.info.full_name.rpartition("/")[0]
        root = builder.data_path.parents[builder.info.full_name.count("/")]
        raise UserError(
            f"wanted the data set {name} in {builder.data_dir}. "
            f"Received: none there, and none by download ({_one_line(error)}). "
            f"Try: --data_dir FOLDER where it lies already; or, on a machine with a network, "
            f"`python -m pipeline.prepare --dataset {name} --data_dir DIR`, then copy DIR/{builder.name} into {root}"
        ) from error


def _has_labels(builder: tfds.core.DatasetBuilder, stored: str, keys: tuple[str, str]) -> bool:
    """Whether one of the split's first pictures has: those that are kept secret are -1."""
    first = _records(builder, stored, keys).take(_LOOKED_AT).map(lambda record: record[keys[1]])
    return any(label >= 0 for label in streams.arrays(first))


def _read(builder: tfds.core.DatasetBuilder, stored: str, name: str, keys: tuple[str, str], work_dir: str) -> Split:
    """Reads the labels, hashes the encoded pictures and looks at those of the split that TFDS calls `stored`."""
    image, label = keys
    hashes: list[bytes] = []
    whole: list[bool] = []
    labels: list[np.ndarray] = []
    try:
        for batch in streams.arrays(_records(builder, stored, keys).batch(256)):
            hashes += [hashlib.sha256(encoded).digest() for encoded in batch[image]]
            whole += map(decoding.looks_whole, batch[image])
            labels.append(batch[label])
    except (tf.errors.OpError, AssertionError, OSError) as error:
        raise UserError(
            f"wanted the whole split {stored} of {builder.info.full_name}. "
            f"Received: damaged or missing files in {builder.data_dir} ({_one_line(error)}). "
            "Try: remove that folder and prepare the data set again, or copy it again"
        ) from error
    all_labels = np.concatenate([np.empty(0, np.int32), *labels]).astype(np.int32)
    if not len(all_labels) or all_labels.min() < 0:
        raise UserError(
            f"wanted pictures with labels in {builder.info.full_name}, split {stored}. "
            f"Received: {len(all_labels)} pictures, {np.sum(all_labels < 0)} of them without. "
            "Try: choose another data set"
        )
    split = Split(
        name=name,
        labels=all_labels,
        ids=[f"{builder.name}/{stored}#{index}" for index in range(len(all_labels))],
        hashes=hashes_of(hashes),
        raw=Stored(partial(_encoded, builder, stored, keys)),
        decode=reading.decode,
        suspects=np.flatnonzero(~np.array(whole, bool)),
    )
    return thumbnails.added(split, work_dir)


def _encoded(
    builder: tfds.core.DatasetBuilder, stored: str, keys: tuple[str, str], begin: int, end: int | None
) -> tf.data.Dataset:
    """The pictures from `begin` to `end` in the order of the files; TFDS enters the file that `begin` lies in."""
    whole = begin == 0 and end is None
    part = stored if whole else f"{stored}[{begin}:{'' if end is None else end}]"
    return _records(builder, part, keys).map(lambda record: record[keys[0]])


def _records(builder: tfds.core.DatasetBuilder, stored: str, keys: tuple[str, str]) -> tf.data.Dataset:
    """{image: encoded bytes, label: int64}, in the order of the files."""
    image, label = keys
    with _quiet():
        return builder.as_dataset(
            split=stored,
            shuffle_files=False,
            read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
            decoders=tfds.decode.PartialDecoding(
                {image: True, label: True}, decoders={image: tfds.decode.SkipDecoding()}
            ),
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """TFDS's warnings are not for this program's users, and what it prints goes to stderr."""
    verbosity, urllib3 = absl_logging.get_verbosity(), logging.getLogger("urllib3")
    level = urllib3.level
    absl_logging.set_verbosity(absl_logging.ERROR)
    urllib3.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        absl_logging.set_verbosity(verbosity)
        urllib3.setLevel(level)


@contextlib.contextmanager
def _impatient_downloads() -> Iterator[None]:
    patient = downloader.MAX_RETRIES, downloader._open_url
    downloader.MAX_RETRIES = DOWNLOAD_RETRIES
    downloader._open_url = partial(downloader._open_url, timeout=TIMEOUTS)
    try:
        yield
    finally:
        downloader.MAX_RETRIES, downloader._open_url = patient


def _one_line(error: BaseException) -> str:
    """What went wrong, in at most 300 characters; of a failed request, the reason at its bottom."""
    cause = getattr(error.args[0], "reason", error) if error.args else error
    text = plain(cause) if isinstance(cause, tf.errors.OpError) else str(cause)
    return textwrap.shorten(text, 300, placeholder=" ...") or type(cause).__name__
