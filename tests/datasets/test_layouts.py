"""Folders as people have them: each of these came out of a public report (and of a person's patience)."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from greys import encode, write

from pipeline import datasets
from pipeline.config import DataConfig
from pipeline.datasets import layouts
from pipeline.shell.errors import UserError


def load(path: Path, **settings: object) -> datasets.Dataset:
    return datasets.load(DataConfig(dataset=f"folder:{path}", **settings))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "names",
    [
        ("Train", "Test"),
        ("training", "TESTING"),
        ("training_set", "test_set"),
        ("seg_train/seg_train", "seg_test/seg_test"),
    ],
)
def test_parts_in_any_capitals(tmp_path, names):
    write(tmp_path / names[0], cat=3, dog=3)
    write(tmp_path / names[1], cat=1, dog=2)
    assert (len(load(tmp_path).train), len(load(tmp_path).test)) == (6, 3)


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Valid"])
def test_what_is_kept_for_validation_is_val(tmp_path, name):
    write(tmp_path / "train", cat=6, dog=6)
    write(tmp_path / name, cat=2, dog=1)
    write(tmp_path / "test", cat=1, dog=2)
    dataset = load(tmp_path)
    train, val = datasets.cut(dataset.train, 0.5, 0)
    assert (len(train), len(val), len(dataset.test)) == (12, 3, 3)
    assert {dataset.train.ids[index].split("/")[0] for index in val} == {name}


def test_train_alone_has_a_part_kept_for_the_test(tmp_path):
    write(tmp_path / "train", cat=10, dog=10)
    dataset = load(tmp_path)
    assert (len(dataset.train), len(dataset.test)) == (16, 4)


def test_an_archive_one_level_down_is_entered_and_told(tmp_path, capsys):
    write(tmp_path / "archive" / "train", cat=3, dog=3)
    write(tmp_path / "archive" / "test", cat=1, dog=2)
    write(tmp_path / "__MACOSX", junk=2)
    assert len(load(tmp_path).train) == 6
    assert f"taken from {tmp_path / 'archive'}" in capsys.readouterr().err


def test_flat_train_and_test_are_refused_with_the_way(tmp_path):
    """Kaggle's: a classifier that tells training files from test files would be trained."""
    write(tmp_path, train=9, test=9)
    (tmp_path / "labels.csv").write_text("id,breed\n")
    with pytest.raises(UserError, match=r"files that have no class.*--labels FILE\.csv.*labels\.csv"):
        load(tmp_path)


def test_a_flat_test_beside_classes_is_refused_with_the_way(tmp_path):
    write(tmp_path / "train", cat=3, dog=3)
    write(tmp_path, test=4)
    with pytest.raises(UserError, match=f"Try: --dataset folder:{tmp_path}/train"):
        load(tmp_path)


def test_deeper_folders_are_read(tmp_path):
    write(tmp_path / "cat", wild=5, tame=5)
    write(tmp_path, dog=10)
    dataset = load(tmp_path)
    assert dataset.class_names == ("cat", "dog")
    assert len(dataset.train) + len(dataset.test) == 20


def test_what_is_passed_over_is_told_by_its_ending(tmp_path, capsys):
    write(tmp_path, cat=5, dog=5)
    for name in ("a.txt", "b.txt", "c.mp4", "README", ".DS_Store", "Thumbs.db", ".hidden.png"):
        (tmp_path / "cat" / name).write_bytes(b"words")
    dataset = load(tmp_path)
    assert len(dataset.train) + len(dataset.test) == 10
    said = capsys.readouterr().err
    assert "4 files passed over, which are no pictures: 1 .mp4, 2 .txt, 1 no ending" in said


def test_a_picture_is_one_by_its_content(tmp_path):
    write(tmp_path, cat=5, dog=5)
    for folder in ("cat", "dog"):
        (tmp_path / folder / "000.png").rename(tmp_path / folder / "000.jfif.download")
    assert len(load(tmp_path).train) + len(load(tmp_path).test) == 10


def test_heic_without_its_package_names_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(layouts.decoding, "reads_heic", lambda: False)
    write(tmp_path, cat=5, dog=5)
    (tmp_path / "cat" / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 40)
    load(tmp_path)
    said = capsys.readouterr().err
    assert (
        "1 file passed over, until 'uv pip install --require-hashes -r requirements-heic.txt': 1 .heic, which" in said
    )


def test_class_folders_of_heic_alone_name_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr(layouts.decoding, "reads_heic", lambda: False)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 40)
    with pytest.raises(UserError, match=r"none in .*cat, but HEIC\. Try: uv pip install .*requirements-heic\.txt"):
        load(tmp_path)


def test_what_lies_beside_the_parts_is_told(tmp_path, capsys):
    write(tmp_path / "seg_train" / "seg_train", cat=3, dog=3)
    write(tmp_path / "seg_test" / "seg_test", cat=1, dog=2)
    write(tmp_path, seg_pred=4)
    assert load(tmp_path).class_names == ("cat", "dog")
    assert "passed over, since they lie beside test and train: seg_pred" in capsys.readouterr().err


@pytest.mark.parametrize("seen", ["images", "_annotations.coco.json", "_classes.csv"])
def test_an_export_for_detection_is_refused_with_the_way(tmp_path, seen):
    for part in ("train", "valid", "test"):
        if seen == "images":
            write(tmp_path / part, images=3)
            (tmp_path / part / "labels").mkdir()
        else:
            write(tmp_path, **{part: 3})
            (tmp_path / part / seen).write_text("{}")
    with pytest.raises(UserError, match=r"an export for object detection.*Try: .*'Folder Structure'"):
        load(tmp_path)


def test_class_folders_with_the_same_folders_inside_are_told(tmp_path, capsys):
    for fold in ("one", "two"):
        write(tmp_path / fold, cat=5, dog=5)
    assert load(tmp_path).class_names == ("one", "two")
    assert "holds the same folders, cat, dog: if these are the classes" in capsys.readouterr().err


def test_two_folders_for_one_part_are_refused(tmp_path):
    for part in ("train", "training_set", "test"):
        write(tmp_path / part, cat=3, dog=3)
    with pytest.raises(UserError, match=r"one folder for train .*Received: train and training_set\."):
        load(tmp_path)


def test_a_pipe_is_no_picture_and_holds_up_nobody(tmp_path):
    write(tmp_path, cat=5, dog=5)
    os.mkfifo(tmp_path / "cat" / "pipe.jpg")
    assert len(load(tmp_path).train) + len(load(tmp_path).test) == 10


def test_one_class_in_two_normalisations(tmp_path):
    for part, form in (("train", "NFC"), ("test", "NFD")):
        write(tmp_path / part, **{unicodedata.normalize(form, "Épagneul"): 3, "dog": 3})
    assert load(tmp_path).class_names == ("dog", "Épagneul")


def test_a_class_folder_that_is_not_utf_8(tmp_path):
    write(tmp_path, dog=6)
    folder = os.fsencode(tmp_path) + b"/\xc9pagneul"
    os.mkdir(folder)
    for number in range(6):
        Path(os.fsdecode(folder), f"{number}.png").write_bytes(encode(100 + number))
    dataset = load(tmp_path)
    assert dataset.class_names == ("dog", "Épagneul")
    assert len(list(dataset.train.pictures())) == len(dataset.train)
    "".join(dataset.train.ids).encode()  # may be printed


def test_a_link_to_a_folder_above_ends(tmp_path):
    write(tmp_path, cat=5, dog=5)
    (tmp_path / "cat" / "again").symlink_to(tmp_path)
    with pytest.raises(UserError, match="a link that leads back"):
        load(tmp_path)


def test_a_class_of_val_that_train_lacks_is_named(tmp_path):
    write(tmp_path / "train", cat=6, dog=6)
    write(tmp_path / "val", cat=2, fox=1)
    with pytest.raises(UserError, match="fox only in val"):
        load(tmp_path)


def test_groups_are_dealt_to_one_side(tmp_path):
    """Of one animal each, by its name in the file's."""
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for number in range(20):
            (tmp_path / label / f"{label}-{number // 4}_{number}.png").write_bytes(
                encode(number * (1 + (label == "dog")))
            )
    dataset = load(tmp_path, group_by=r"^([a-z]+-\d+)_")
    animals = [{name.split("/")[1].split("_")[0] for name in split.ids} for split in (dataset.train, dataset.test)]
    assert not animals[0] & animals[1]
    train, val = datasets.cut(dataset.train, 0.2, 0)
    names = np.array(dataset.train.groups)
    assert not set(names[train]) & set(names[val])


def test_groups_by_folder_do_not_hang_on_how_the_path_is_spelled(tmp_path, monkeypatch):
    for number in range(30):
        day = tmp_path / "pics" / ("cat" if number < 15 else "dog") / f"day {number // 3}"
        day.mkdir(parents=True, exist_ok=True)
        (day / f"{number}.png").write_bytes(encode(number))
    monkeypatch.chdir(tmp_path)
    assert len({load(path, group_by="folder").source for path in (Path("pics"), tmp_path / "pics")}) == 1
