"""A CSV that says of which class each picture is."""

from __future__ import annotations

from pathlib import Path

import pytest
from greys import encode

from pipeline import datasets
from pipeline.config import DataConfig
from pipeline.shell.errors import UserError


def load(path: Path, table: str, name: str = "labels.csv") -> datasets.Dataset:
    (path / name).write_text(table)
    return datasets.load(DataConfig(dataset=f"folder:{path}", labels=str(path / name)))


@pytest.fixture
def flat(tmp_path) -> Path:
    """train/ and test/ of files without a class."""
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        for number in range(12):
            (tmp_path / part / f"{part}{number}.png").write_bytes(encode(number + 100 * (part == "test")))
    return tmp_path


def lines(flat: Path, part: str, spelled: str = "{part}/{name}.png", more: str = "") -> str:
    return "".join(
        f"{spelled.format(part=part, name=f'{part}{number}')},{'cat' if number % 2 else 'dog'}{more}\n"
        for number in range(12)
    )


@pytest.mark.parametrize("spelled", ["{part}/{name}.png", "./{part}/{name}.png", "{name}.png", "{name}"])
@pytest.mark.parametrize("head", ["file,label", "id,breed", "Filename,Class", "image_id;category", "\ufefffile,label"])
def test_files_by_path_name_or_stem_under_names_of_kaggles_columns(flat, spelled, head, capsys):
    table = f"{head}\n{lines(flat, 'train', spelled)}"
    dataset = load(flat, table.replace(",", ";") if ";" in head else table)
    assert dataset.class_names == ("cat", "dog")
    assert len(dataset.train) + len(dataset.test) == 12
    assert "12 pictures are not in labels.csv" in capsys.readouterr().err


def test_split_and_group(flat):
    dataset = load(
        flat,
        "file,label,split,group\n" + lines(flat, "train", more=",Train,a") + lines(flat, "test", more=",test,b"),
    )
    assert (len(dataset.train), len(dataset.test)) == (12, 12)
    assert set(dataset.train.groups) == {"a"}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("name,label\nx,cat\n", "wanted the columns file and label.*Received: name, label"),
        ("", "Received: no line"),
        ("file,label\nnowhere.png,cat\n", "1 of 1 that are not there: nowhere.png in line 2"),
        ("file,label\ntrain0.png,\n", "no label in line 2"),
        ("file,label\ntrain0.png,cat\ntrain0.png,dog\n", "each picture in one line.*1 in several"),
        ("file,label,split\ntrain0.png,cat,later\n", "train, val or test in the column split.*'later' in line 2"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(flat, table, said):
    with pytest.raises(UserError, match=said) as refusal:
        load(flat, table)
    assert "\n" not in str(refusal.value)


def test_a_table_that_is_not_there(flat):
    with pytest.raises(UserError, match="which is no file"):
        datasets.load(DataConfig(dataset=f"folder:{flat}", labels=str(flat / "typo.csv")))


def test_a_table_wants_a_folder():
    with pytest.raises(UserError, match="--labels for a folder of pictures"):
        DataConfig(dataset="digits", labels="labels.csv")
