"""Data sets of TFDS: real ones that are written to disk here, and those of REAL_DATA_DIR."""

# ruff: noqa: RUF012 - TFDS builders are configured by class attributes

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds
from greys import encode

from pipeline import datasets
from pipeline.config import DataConfig
from pipeline.datasets import tfds_images
from pipeline.shell.errors import UserError

NAMES = ["n01-cat", "n02-dog"]


class _Made(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Grey pictures in the splits of SIZES; a class that inherits from it sets what differs."""

    VERSION = tfds.core.Version("1.2.0")
    SIZES: dict[str, int] = {"train": 20, "test": 6}
    FEATURES: dict[str, Any] = {
        "image": tfds.features.Image(shape=(None, None, 1)),
        "label": tfds.features.ClassLabel(names=NAMES),
    }
    URL = ""

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(self.FEATURES))

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        if self.URL:
            dl_manager.download(self.URL)
        return {name: self._generate_examples(size) for name, size in self.SIZES.items()}

    def _generate_examples(self, size: int) -> Iterator[tuple[int, dict[str, Any]]]:
        for number in range(size):
            picture = np.full((4, 4, 1), number, dtype=np.uint8)
            values = {"image": picture, "depth": picture, "label": number % 2, "text": "grey", "only": 0, "unknown": -1}
            yield number, {key: values[key] for key in self.FEATURES}


class MadePictures(_Made, skip_registration=True):
    pass


class MadeTrainOnly(_Made, skip_registration=True):
    SIZES = {"train": 20}


class MadeValidation(_Made, skip_registration=True):
    SIZES = {"train": 20, "validation": 4}


class MadeTestOnly(_Made, skip_registration=True):
    SIZES = {"test": 4}


class MadeTwoPictures(_Made, skip_registration=True):
    FEATURES = {**_Made.FEATURES, "depth": tfds.features.Image(shape=(None, None, 1))}


class MadeOfWords(_Made, skip_registration=True):
    FEATURES = {"text": tfds.features.Text(), "label": tfds.features.ClassLabel(names=NAMES)}


class MadeOfOneClass(_Made, skip_registration=True):
    FEATURES = {
        "image": tfds.features.Image(shape=(None, None, 1)),
        "only": tfds.features.ClassLabel(names=["all"]),
    }


class MadeUnlabelled(_Made, skip_registration=True):
    FEATURES = {"image": _Made.FEATURES["image"], "unknown": tfds.features.ClassLabel(names=NAMES)}


class MadeTwice(_Made, skip_registration=True):
    """Each picture is there again, mirrored."""

    SIZES = {"train": 20, "validation": 6}

    def _generate_examples(self, size: int) -> Iterator[tuple[int, dict[str, Any]]]:
        for number in range(size):
            noise = np.random.default_rng(number // 2).integers(0, 256, (16, 16, 1), dtype=np.uint8)
            yield number, {"image": noise[:, :: 1 - number % 2 * 2], "label": number % 2}


class MadeElsewhere(_Made):
    """Known to TFDS by its code, as its own data sets are; the others by their files alone."""

    URL = "set by the test"


def load(name: str, data_dir: Path, **settings: Any) -> datasets.Dataset:
    return datasets.load(DataConfig(dataset=name, data_dir=str(data_dir), **settings))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tfds")
    for builder in (MadePictures, MadeTrainOnly, MadeValidation, MadeTestOnly, MadeOfOneClass, MadeUnlabelled):
        builder(data_dir=folder).download_and_prepare()
    return folder


def test_train_and_test(prepared: Path) -> None:
    dataset = load("made_pictures", prepared)
    assert (dataset.source, dataset.class_names) == ("made_pictures:1.2.0", tuple(NAMES))
    assert (len(dataset.train), len(dataset.test)) == (20, 6)
    assert dataset.test.ids[5] == "made_pictures/test#5"
    pairs = [(int(image[0, 0, 2]), int(label)) for image, label in dataset.train.pictures()]
    assert sorted(pairs) == [(number, number % 2) for number in range(20)]
    assert [label for _, label in pairs] == dataset.train.labels.tolist()
    assert [image[0, 0, 0] for image, _ in dataset.train.pictures()] == [grey for grey, _ in pairs]
    assert (dataset.train.name, dataset.test.name) == ("train", "test")


def test_many_shards_are_read_in_one_order(tmp_path: Path) -> None:
    config = tfds.download.DownloadConfig(num_shards=4)
    MadePictures(data_dir=tmp_path).download_and_prepare(download_config=config)
    assert len(list(tmp_path.rglob("*train*"))) == 4
    first, second = load("made_pictures", tmp_path), load("made_pictures", tmp_path)
    assert first.train.digest == second.train.digest
    pairs = [(int(image[0, 0, 0]), int(label)) for image, label in first.train.pictures()]
    assert all(grey % 2 == label for grey, label in pairs)


def test_near_copies_are_found_in_both_splits(tmp_path: Path) -> None:
    MadeTwice(data_dir=tmp_path).download_and_prepare()
    dataset = load("made_twice", tmp_path, work_dir=f"{tmp_path}/work")
    assert np.unique(dataset.train.near_groups, return_counts=True)[1].tolist() == [2] * 10
    assert dataset.is_known.all()


def test_validation_stands_in_for_test(prepared: Path) -> None:
    dataset = load("made_validation", prepared)
    assert (len(dataset.train), len(dataset.test)) == (20, 4)
    assert (dataset.test.name, dataset.test.ids[0]) == ("test", "made_validation/validation#0")


def test_train_alone_has_a_part_kept_for_the_test(prepared: Path) -> None:
    first, second = (load("made_train_only", prepared, test_fraction=0.3, seed=seed) for seed in (0, 1))
    assert (len(first.train), len(first.test)) == (14, 6)
    assert len({*first.train.ids, *first.test.ids}) == 20
    assert (first.train.digest, first.test.digest) == (second.train.digest, second.test.digest)
    assert len(list(first.test.pictures())) == 6
    assert first.test.name == "test"


def test_the_test_split_is_not_read_before_it_is_asked_for(prepared: Path, tmp_path: Path) -> None:
    shutil.copytree(prepared / "made_pictures", tmp_path / "made_pictures")
    [records] = tmp_path.rglob("*test.tfrecord*")
    records.unlink()
    dataset = load("made_pictures", tmp_path)
    assert len(list(dataset.train.pictures())) == 20
    with pytest.raises(UserError, match=r"wanted the whole split test of made_pictures/1\.2\.0"):
        _ = dataset.test


@pytest.mark.parametrize("kept", [0, 100, -1])
def test_damaged_records(prepared: Path, tmp_path: Path, kept: int) -> None:
    shutil.copytree(prepared / "made_pictures", tmp_path / "made_pictures")
    [records] = tmp_path.rglob("*train.tfrecord*")
    records.write_bytes(records.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"made_pictures/1\.2\.0.*made_pictures.*prepare the data set again"):
        load("made_pictures", tmp_path)


def test_flipped_bits(prepared: Path, tmp_path: Path) -> None:
    shutil.copytree(prepared / "made_pictures", tmp_path / "made_pictures")
    [records] = tmp_path.rglob("*train.tfrecord*")
    content = bytearray(records.read_bytes())
    content[len(content) // 2] ^= 255
    records.write_bytes(content)
    with pytest.raises(UserError, match=r"damaged or missing files in \S+ \(corrupted record at \d+\)"):
        load("made_pictures", tmp_path)


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json"])
@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_damaged_description(prepared: Path, tmp_path: Path, name: str, content: str) -> None:
    shutil.copytree(prepared / "made_pictures", tmp_path / "made_pictures")
    (tmp_path / "made_pictures" / "1.2.0" / name).write_text(content)
    with pytest.raises(UserError, match=r"made_pictures.* Try: "):
        load("made_pictures", tmp_path)


def test_no_train_split(prepared: Path) -> None:
    with pytest.raises(UserError, match=r"with a train split\. Received: made_test_only with \['test'\]"):
        load("made_test_only", prepared)


def test_a_single_class(prepared: Path) -> None:
    with pytest.raises(UserError, match="at least two classes"):
        load("made_of_one_class", prepared)


def test_pictures_without_labels(prepared: Path) -> None:
    with pytest.raises(UserError, match="Received: 20 pictures, 20 of them without"):
        load("made_unlabelled", prepared)


@pytest.mark.parametrize("builder", [MadeTwoPictures, MadeOfWords])
def test_no_image_classification(builder: type[_Made], tmp_path: Path) -> None:
    made = builder(data_dir=tmp_path)
    made.download_and_prepare()
    with pytest.raises(UserError, match=f"one class each. Received: {made.name} with .*label"):
        load(made.name, tmp_path)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("stanford_dgos", r"Try: stanford_dogs"),
        ("CIFAR10", "Try: cifar10 or"),
        ("xyzzyxyzzy", "digits, letters, folder:PATH or any image classification set of TFDS"),
        ("a b?", "that TFDS can open"),
        ("cifar10:9.9.9", r"only: 3\.0\.2"),
        ("huggingface:mnist", "that TFDS can open"),
        ("ag_news_subset", "pictures .* with one class each"),
    ],
)
def test_a_wrong_name(name: str, hint: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=hint):
        load(name, tmp_path)


def test_no_network_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MadeElsewhere, "URL", "http://no-such-host.invalid/pictures.tar")
    with pytest.raises(UserError, match=r"Received: none there, .*Failed to resolve 'no-such-host\.invalid'") as error:
        load("made_elsewhere", tmp_path)
    assert f"in {tmp_path}/made_elsewhere/1.2.0." in str(error.value)
    assert "python -m pipeline.prepare --dataset made_elsewhere --data_dir DIR" in str(error.value)
    assert f"copy DIR/made_elsewhere into {tmp_path}" in str(error.value)


def test_a_host_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tfds_images, "TIMEOUTS", (0.2, 0.2))
    monkeypatch.setattr(tfds_images, "DOWNLOAD_RETRIES", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(MadeElsewhere, "URL", f"http://127.0.0.1:{silent.getsockname()[1]}/pictures.tar")
        with pytest.raises(UserError, match="Read timed out"):
            load("made_elsewhere", tmp_path)


def test_a_download_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(MadeElsewhere, "URL", f"http://127.0.0.1:{server.getsockname()[1]}/pictures.tar")
        thread = threading.Thread(target=answer, args=(server,))
        thread.start()
        with pytest.raises(UserError, match="HTTP code: 404"):
            load("made_elsewhere", tmp_path)
        thread.join()


def test_a_data_dir_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="made_elsewhere"):
        load("made_elsewhere", tmp_path / "file")


def test_an_unreadable_picture_inside_a_record(prepared: Path, tmp_path: Path) -> None:
    """Written with the encoded bytes, as TFDS stores the files it downloads."""

    class MadeBroken(_Made, skip_registration=True):
        def _generate_examples(self, size: int) -> Iterator[tuple[int, dict[str, Any]]]:
            path = tmp_path / "broken.png"
            path.write_bytes(encode(3)[:40])
            for number, example in super()._generate_examples(size):
                yield number, {**example, "image": path} if number == 7 else example

    MadeBroken(data_dir=tmp_path).download_and_prepare()
    dataset = load("made_broken", tmp_path)
    [(name, reason)] = datasets.check_readable(dataset.train)
    assert name.startswith("made_broken/train#")
    assert "PNG" in reason
    skipping = load("made_broken", tmp_path, skip_unreadable=True)
    assert (len(skipping.train), len(skipping.skipped)) == (19, 2 if len(skipping.test) == 5 else 1)


@pytest.mark.realdata
def test_stanford_dogs(real_data: Path) -> None:
    dataset = load("stanford_dogs", real_data / "tfds")
    assert (dataset.source, dataset.num_classes) == ("stanford_dogs:0.2.0", 120)
    assert dataset.class_names[0].lower() == "n02085620-chihuahua"
    assert np.bincount(dataset.train.labels).tolist() == [30] * 120
    assert np.bincount(dataset.test.labels).tolist() == [10] * 120
    train, val = datasets.cut(dataset.train, 0.15, 0)
    assert (len(train), len(val)) == (3060, 540)
    assert {tuple(image.shape) for image, _ in dataset.train.pictures(val[:8])} == {(224, 224, 3)}
    assert datasets.check_readable(dataset.test) == []


@pytest.mark.realdata
def test_cifar10(real_data: Path) -> None:
    dataset = load("cifar10", real_data / "tfds", train_limit=500)
    assert np.bincount(dataset.train.labels).tolist() == [50] * 10
    assert dataset.train.ids[-1].startswith("cifar10/train#")
    assert next(iter(dataset.train.pictures()))[0].shape == (32, 32, 3)
