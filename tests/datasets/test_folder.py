from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from greys import encode, write

from pipeline import datasets
from pipeline.config import DataConfig
from pipeline.shell.errors import UserError


def load(path: Path | str, **settings: object) -> datasets.Dataset:
    return datasets.load(DataConfig(dataset=f"folder:{path}", **settings))  # type: ignore[arg-type]


def test_train_and_test_folders(tmp_path: Path) -> None:
    write(tmp_path / "train", cat=3, dog=4)
    write(tmp_path / "test", cat=1, dog=2)
    write(tmp_path / "more", bird=2)  # not read
    dataset = load(tmp_path)
    assert dataset.class_names == ("cat", "dog")
    assert dataset.source == f"{tmp_path.name}:{dataset.train.digest[:12]}"
    assert dataset.train.labels.tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert list(dataset.test.ids) == ["test/cat/000.png", "test/dog/000.png", "test/dog/001.png"]
    assert (dataset.train.name, dataset.test.name) == ("train", "test")
    assert [int(image[0, 0, 0]) for image, _ in dataset.train.pictures()] == [0, 1, 2, 20, 21, 22, 23]


def test_class_folders_alone_have_a_part_kept_for_the_test(tmp_path: Path) -> None:
    write(tmp_path, train=10, bus=20)  # a class may be called train
    dataset = load(tmp_path, test_fraction=0.2)
    assert dataset.class_names == ("bus", "train")
    assert np.bincount(dataset.test.labels).tolist() == [4, 2]
    assert len({*dataset.train.ids, *dataset.test.ids}) == 30
    assert list(dataset.test.ids) == list(load(tmp_path, test_fraction=0.2, seed=99).test.ids)
    assert len(dataset.train.ids[0].split("/")) == 2


def test_the_test_files_are_not_opened_before_they_are_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "train", cat=3, dog=4)
    write(tmp_path / "test", cat=1, dog=2)
    dataset = load(tmp_path)
    (tmp_path / "test" / "cat" / "000.png").unlink()
    (tmp_path / "test" / "cat" / "000.png").symlink_to("nowhere")
    assert len(list(dataset.train.pictures())) == 7
    with pytest.raises(UserError, match=r"wanted to read .*test/cat/000\.png\. Received: No such file"):
        _ = dataset.test


def test_names_and_suffixes_of_every_kind(tmp_path: Path) -> None:
    for label, name in enumerate(("Épagneul breton", "柴犬", "c#1 [x]*")):
        (tmp_path / name).mkdir()
        for number, suffix in enumerate((".JPG", ".jpeg", ".Png", ".bmp")):
            (tmp_path / name / f"é {label} {number}{suffix}").write_bytes(encode(40 * label + number, suffix))
        (tmp_path / name / ".hidden.jpg").write_bytes(b"")
        (tmp_path / name / "Thumbs.db").write_bytes(b"")
        (tmp_path / name / "folder.jpg").mkdir()
    (tmp_path / ".ipynb_checkpoints").mkdir()
    (tmp_path / "readme.txt").write_text("pictures")
    dataset = load(tmp_path, test_fraction=0.25)
    assert dataset.class_names == ("c#1 [x]*", "Épagneul breton", "柴犬")
    assert (len(dataset.train), len(dataset.test)) == (9, 3)
    assert datasets.check_readable(dataset.train) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such file names")
def test_a_file_name_that_is_no_unicode(tmp_path: Path) -> None:
    write(tmp_path, cat=3, dog=3)
    (tmp_path / "cat" / os.fsdecode(b"\xff.png")).write_bytes(encode(9))
    dataset = load(tmp_path)
    assert len(list(dataset.train.pictures())) + len(list(dataset.test.pictures())) == 7


def test_the_digest_follows_the_files(tmp_path: Path) -> None:
    write(tmp_path, cat=5, dog=5)
    before = load(tmp_path)
    again = load(tmp_path)
    assert (again.train.digest, again.test.digest) == (before.train.digest, before.test.digest)
    for picture in before.train.ids[0], before.test.ids[0]:
        (tmp_path / picture).write_bytes(encode(77))
    after = load(tmp_path)
    assert after.train.digest != before.train.digest
    assert after.test.digest != before.test.digest


def test_a_missing_path(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="which is not there"):
        load(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="which is a file"):
        load(tmp_path / "file")
    with pytest.raises(UserError, match="Received: no path"):
        load("")


def test_no_class_folders(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Received: no class folder"):
        load(tmp_path)
    write(tmp_path, only=5)
    with pytest.raises(UserError, match="Received: the one folder 'only'"):
        load(tmp_path)


def test_an_empty_class_folder_is_named(tmp_path: Path) -> None:
    write(tmp_path, cat=3, dog=3, bird=0)
    (tmp_path / "bird" / "notes.txt").write_text("none yet")
    with pytest.raises(UserError, match=r"Received: none in .*bird"):
        load(tmp_path)


def test_classes_that_differ_are_shown(tmp_path: Path) -> None:
    write(tmp_path / "train", cat=3, dog=3, fox=3)
    write(tmp_path / "test", cat=3, Dog=3, fox=3)
    with pytest.raises(UserError, match="Received: dog only in train; Dog only in test"):
        load(tmp_path)


def test_a_test_folder_alone_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "test", cat=3, dog=3)
    with pytest.raises(UserError, match=r"wanted class folders in .*/train\. Received: none"):
        load(tmp_path)


@pytest.mark.parametrize("pictures", [1, 2])
def test_a_class_too_small_to_cut_is_named(tmp_path: Path, pictures: int) -> None:
    write(tmp_path, cat=9, rare=pictures)
    with pytest.raises(UserError, match=r"at least three pictures of every class.* fewer of 'rare'"):
        load(tmp_path)


def test_unreadable_pictures_are_left_out_on_request(tmp_path: Path) -> None:
    write(tmp_path / "train", cat=3, dog=4)
    write(tmp_path / "test", cat=1, dog=2)
    (tmp_path / "train" / "cat" / "001.png").write_bytes(b"no picture")
    (tmp_path / "test" / "dog" / "000.png").write_bytes(b"")
    assert datasets.check_readable(load(tmp_path).train) == [("train/cat/001.png", "no picture")]
    dataset = load(tmp_path, skip_unreadable=True)
    assert (len(dataset.train), len(dataset.test)) == (6, 2)
    assert [reason.split(":")[0] for reason in dataset.skipped] == ["train/cat/001.png", "test/dog/000.png"]
    assert len(list(dataset.train.pictures())) == 6


def test_a_class_left_with_one_readable_picture_is_named(tmp_path: Path) -> None:
    write(tmp_path / "train", cat=2, dog=4)
    write(tmp_path / "test", cat=1, dog=2)
    (tmp_path / "train" / "cat" / "001.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match="one of class 'cat'"):
        load(tmp_path, skip_unreadable=True)


def test_a_limited_draw(tmp_path: Path) -> None:
    write(tmp_path, cat=30, dog=30)
    whole, drawn, again = load(tmp_path), load(tmp_path, train_limit=10), load(tmp_path, train_limit=10)
    assert np.bincount(drawn.train.labels).tolist() == [5, 5]
    assert set(drawn.train.ids) < set(whole.train.ids)
    assert drawn.train.digest == again.train.digest != load(tmp_path, train_limit=10, seed=1).train.digest
    assert drawn.test.digest == whole.test.digest


def test_a_folder_is_known_by_what_is_in_it_however_it_is_spelled(tmp_path, monkeypatch):
    write(tmp_path / "home" / "pics", cat=10, dog=10)
    monkeypatch.chdir(tmp_path / "home")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    spellings = ("pics", "pics/", "./pics", "~/pics", f"{tmp_path}/home/pics")
    assert len({load(path).source for path in spellings}) == 1
    before = load("pics").source
    write(tmp_path / "home" / "pics", cat=12, dog=10)
    assert load("pics").source != before
