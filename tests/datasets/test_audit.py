from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from scenes import scene

from pipeline import datasets
from pipeline.config import DataConfig
from pipeline.datasets import audit, contact_sheet, near_copies
from pipeline.shell.errors import UserError


def save(folder: Path, **numbers: range) -> None:
    """Scenes of these numbers in a folder for each class."""
    for label, chosen in numbers.items():
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in chosen:
            scene(number).save(folder / label / f"{number:03}.png")


def load(folder: Path, **settings: object) -> datasets.Dataset:
    return datasets.load(DataConfig(dataset=f"folder:{folder}/pics", work_dir=f"{folder}/work", **settings))  # type: ignore[arg-type]


@pytest.fixture
def dealt(tmp_path: Path) -> Path:
    save(tmp_path / "pics" / "train", cat=range(10), dog=range(10, 20))
    save(tmp_path / "pics" / "test", cat=range(20, 25), dog=range(25, 30))
    return tmp_path


def test_of_good_pictures_nothing_is_said(dealt):
    found = audit.look(load(dealt))
    assert found.lines() == []
    assert len(contact_sheet.near_copies(load(dealt))) == 0


def test_near_copies_across_the_test_are_counted_beside_copies_and_shown(dealt):
    scene(3).save(dealt / "pics" / "test" / "cat" / "same.png")
    scene(4).crop((4, 4, 156, 117)).save(dealt / "pics" / "test" / "cat" / "cropped.jpg", quality=60)
    dataset = load(dealt)
    found = audit.look(dataset)
    assert (found.shared, found.near, found.tested) == (1, 1, 12)
    assert "1 more of the 12 test pictures are nearly the same as a training picture" in found.lines()[1]
    assert [dataset.test.ids[row] for row in np.flatnonzero(dataset.is_known)] == [
        "test/cat/cropped.jpg",
        "test/cat/same.png",
    ]
    sheet = contact_sheet.near_copies(dataset)
    assert {*zip(sheet["one"], sheet["other"], sheet["where"], strict=True)} == {
        ("test/cat/same.png", "train/cat/003.png", "test and training"),
        ("test/cat/cropped.jpg", "train/cat/004.png", "test and training"),
    }
    picture = tf.io.decode_jpeg(tf.io.decode_base64(sheet["one_jpeg"][0].replace("+", "-").replace("/", "_")))
    assert picture.shape == (72, 96, 3)


def test_near_copies_are_never_dealt_to_both_sides_by_us(tmp_path):
    save(tmp_path / "pics", cat=range(20), dog=range(20, 40))
    for number in range(0, 20, 2):
        scene(number).resize((80, 60)).save(tmp_path / "pics" / "cat" / f"{number:03} small.jpg", quality=70)
    dataset = load(tmp_path, test_fraction=0.3, val_fraction=0.3)
    assert audit.look(dataset).near == 0
    train, val = datasets.cut(dataset.train, 0.3, 0)
    sides = [dataset.train.subset(train).ids, dataset.train.subset(val).ids, dataset.test.ids]
    where = {name: side for side, names in enumerate(sides) for name in names}
    for number in range(0, 20, 2):
        assert where[f"cat/{number:03}.png"] == where[f"cat/{number:03} small.jpg"]
    assert "training pictures are nearly the same as another one" in audit.look(dataset).lines()[0]
    assert set(contact_sheet.near_copies(dataset)["where"]) == {"both training"}


def test_tiny_pictures_and_those_of_one_colour_are_named(dealt):
    scene(50).resize((20, 90)).save(dealt / "pics" / "train" / "cat" / "tiny.png")
    scene(51).point(lambda _value: 77).save(dealt / "pics" / "test" / "dog" / "grey.png")
    tiny, plain = audit.look(load(dealt)).lines()
    assert tiny == "1 picture is smaller than 32 px: train/cat/tiny.png."
    assert plain == "1 picture is of one colour: test/dog/grey.png."


def test_a_table_names_all_that_cannot_be_decoded(dealt):
    for number in range(7):
        (dealt / "pics" / "train" / "cat" / f"broken {number}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (dealt / "pics" / "test" / "dog" / "empty.jpg").write_bytes(b"")
    with pytest.raises(
        UserError, match=r"Received 8 that cannot: .*broken 4\.png .*; \.\.\.\. .*unreadable\.csv has all"
    ):
        audit.require_whole(load(dealt), f"{dealt}/work")
    with (dealt / "work" / "unreadable.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [
        *(f"train/cat/broken {number}.png" for number in range(7)),
        "test/dog/empty.jpg",
    ]
    assert all(row["reason"] for row in rows)


def test_too_many_pictures_are_not_looked_at_one_by_one(dealt, monkeypatch, capsys):
    monkeypatch.setattr(near_copies, "MOST", 19)
    scene(3).save(dealt / "pics" / "test" / "cat" / "same.png")
    (dealt / "pics" / "train" / "dog" / "empty.png").write_bytes(b"")
    dataset = load(dealt)
    assert (dataset.train.thumbnails, dataset.train.near_groups) == (None, None)
    assert dataset.train.suspects.tolist() == [20]
    assert audit.look(dataset).shared == 1
    assert "among 19 pictures at most, and not among these 21" in capsys.readouterr().err
    assert not (dealt / "work" / "thumbnails").exists() or len(list((dealt / "work" / "thumbnails").iterdir())) == 1


def test_copies_in_a_val_that_a_person_has_dealt_are_told(dealt):
    save(dealt / "pics" / "val", cat=range(30, 33), dog=range(33, 36))
    assert audit.look(load(dealt)).lines() == []
    scene(2).resize((80, 60)).save(dealt / "pics" / "val" / "cat" / "small.png")
    [line] = audit.look(load(dealt)).lines()
    assert line.startswith("1 of the val pictures are training pictures, or nearly so")


def test_a_picture_as_thin_as_a_line_is_shown(dealt):
    line = scene(7).resize((600, 1))
    for name in ("one", "other"):
        line.save(dealt / "pics" / "train" / "cat" / f"{name}.png")
    assert set(contact_sheet.near_copies(load(dealt))["one"]) == {"train/cat/one.png"}


def test_the_table_goes_when_the_pictures_are_mended(dealt):
    broken = dealt / "pics" / "train" / "cat" / "broken.png"
    broken.write_bytes(b"")
    with pytest.raises(UserError):
        audit.require_whole(load(dealt), f"{dealt}/work")
    broken.unlink()
    audit.require_whole(load(dealt), f"{dealt}/work")
    assert not (dealt / "work" / "unreadable.csv").exists()


def test_a_class_that_is_one_burst_is_named(tmp_path):
    save(tmp_path / "pics", cat=range(20), dog=range(20, 21))
    for number in range(5):
        scene(20).resize((80 + number, 60)).save(tmp_path / "pics" / "dog" / f"again {number}.png")
    found = audit.look(load(tmp_path))
    assert found.bursts == ("dog",)
    assert found.kept_together == 0
    assert any(line.startswith("Nearly all training pictures of dog are the same") for line in found.lines())


def test_pictures_of_one_kind_are_told(tmp_path):
    save(tmp_path / "pics" / "train", cat=range(1, 4), dog=range(4, 7))
    save(tmp_path / "pics" / "test", cat=range(7, 9), dog=range(9, 11))
    for number in range(10):
        name = ("cat", "dog")[number % 2]
        scene(0).resize((80 + number, 60)).save(tmp_path / "pics" / "train" / name / f"scan {number}.png")
    [line] = audit.look(load(tmp_path)).lines()
    assert line.startswith("Most training pictures look nearly like each other")
