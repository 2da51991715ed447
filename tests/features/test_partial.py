"""What of a half-made table is taken up again."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import numpy as np
import pytest

from pipeline.features import partial
from pipeline.features.partial import JOURNAL, Partial
from pipeline.shell.errors import UserError

SHAPE = (20, 3)
ROWS = np.arange(60, dtype=np.float32).reshape(SHAPE)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(partial, "CHUNK", 8)


def half_made(folder: Path) -> Partial:
    """16 of 20 rows in two chunks, two more that wait."""
    table = open_table(folder)
    for start in range(0, 18, 2):
        table.add(start, ROWS[start : start + 2], "litert", 0.5)
    table.__exit__()
    return table


def open_table(folder: Path, shape: tuple[int, int] = SHAPE) -> Partial:
    return Partial(folder / "key", shape, {"cell": "mobilenet_0.25_32"}, np.zeros((shape[0], 32), np.uint8))


def complete(table: Partial, folder: Path) -> dict:
    """Adds what is missing; returns table.json."""
    for start in range(table.rows, 20, 4):
        table.add(start, ROWS[start : start + 4], "keras", 1)
    assert table.is_whole
    table.finish()
    np.testing.assert_array_equal(np.load(folder / "key" / "features.npy"), ROWS)
    assert sorted(path.name for path in folder.iterdir()) == ["key"]
    return json.loads((folder / "key" / "table.json").read_text())


def test_it_goes_on_after_the_last_whole_chunk(tmp_path):
    assert half_made(tmp_path).rows == 16
    table = open_table(tmp_path)
    assert table.rows == 16
    about = complete(table, tmp_path)
    assert about["engine"] == "keras and litert"
    assert about["cell"] == "mobilenet_0.25_32"
    assert about["pictures_per_second"] == 20 / (8 * 0.5 + 1)


def test_a_table_in_one_go_names_its_engine(tmp_path):
    assert complete(open_table(tmp_path), tmp_path)["engine"] == "keras"


@pytest.mark.parametrize(
    ("damage", "rows"),
    [
        ("a bit of the second chunk", 8),
        ("the second chunk is short", 8),
        ("a bit of the first chunk", 0),
        ("rows behind the last chunk", 16),
        ("half a line", 8),
        ("a line of another kind", 16),
        ("no journal", 0),
        ("no rows", 0),
    ],
)
def test_what_is_damaged_is_made_again(tmp_path, damage, rows):
    half_made(tmp_path)
    file, journal = (tmp_path / "key.part" / name for name in ("features.npy", JOURNAL))
    numbers, text = bytearray(file.read_bytes()), journal.read_text()
    if damage == "a bit of the second chunk":
        numbers[-1] ^= 1
    elif damage == "the second chunk is short":
        del numbers[-4:]
    elif damage == "a bit of the first chunk":
        numbers[-8 * 3 * 4 - 1] ^= 1
    elif damage == "rows behind the last chunk":
        numbers += bytes(12)
    elif damage == "half a line":
        text = text[:-5]
    elif damage == "a line of another kind":
        text += "5\n"
    elif damage == "no journal":
        text = ""
    else:
        numbers.clear()
    file.write_bytes(numbers)
    journal.write_text(text)
    table = open_table(tmp_path)
    assert table.rows == rows
    complete(table, tmp_path)


def test_another_shape_is_begun_anew(tmp_path):
    half_made(tmp_path)
    assert open_table(tmp_path, (21, 3)).rows == 0


def test_who_dies_before_the_renaming_only_renames(tmp_path):
    table = half_made(tmp_path)
    table = open_table(tmp_path)
    table.add(16, ROWS[16:], "litert", 1)
    table.__exit__()
    (tmp_path / "key.part" / "table.json").write_text("{")
    table = open_table(tmp_path)
    assert table.is_whole
    assert complete(table, tmp_path)["engine"] == "litert"


def test_rows_that_are_no_numbers_are_refused(tmp_path):
    table = open_table(tmp_path)
    with pytest.raises(UserError, match=r"finite features of mobilenet_0\.25_32"):
        table.add(0, ROWS[:4] * np.nan, "keras", 1)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_takes_no_more_is_named(tmp_path):
    """By the system's own limit of a file's size."""
    table = open_table(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150, before[1]))
    try:
        with pytest.raises(OSError, match="too large") as refusal:
            table.add(0, ROWS[:16], "keras", 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert refusal.value.filename == str(tmp_path / "key.part")


def test_rows_that_are_told_again_are_passed_over(tmp_path):
    """As by a task that died and is run again."""
    half_made(tmp_path)
    table = open_table(tmp_path)
    table.add(0, ROWS[:4] * 0, "keras", 1)
    table.add(16, ROWS[16:18], "keras", 1)
    table.add(16, ROWS[16:18] * 0, "keras", 1)
    table.add(18, ROWS[18:], "keras", 1)
    assert complete(table, tmp_path)["pictures_per_second"] == 20 / (8 * 0.5 + 2)


def test_rows_that_are_left_out_are_noticed(tmp_path):
    with pytest.raises(ValueError, match="features of picture 0"):
        open_table(tmp_path).add(4, ROWS[4:8], "keras", 1)


def test_half_a_table_says_what_it_is_of(tmp_path):
    half_made(tmp_path)
    assert json.loads((tmp_path / "key.part" / "table.json").read_text()) == {"cell": "mobilenet_0.25_32"}


def test_hashes_that_a_full_disk_does_not_take_are_noticed(tmp_path):
    """numpy's own writing would leave half of them and say nothing."""
    half_made(tmp_path)
    table = open_table(tmp_path)
    table.add(16, ROWS[16:], "keras", 1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, before[1]))
    try:
        with pytest.raises(OSError, match="too large") as refusal:
            table.finish()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert refusal.value.filename == str(tmp_path / "key.part")
    assert complete(open_table(tmp_path), tmp_path)["engine"] == "keras and litert"


def test_a_chunk_of_two_engines_names_both(tmp_path):
    table = open_table(tmp_path)
    table.add(0, ROWS[:2], "keras and litert", 1)
    table.add(2, ROWS[2:20], "other", 1)
    assert complete(table, tmp_path)["engine"] == "keras and litert and other"
