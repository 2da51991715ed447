"""Which files are asked about, and what becomes of those that are no pictures."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.device import asking
from pipeline.shell.errors import UserError


@pytest.fixture
def shots(tmp_path, monkeypatch) -> Path:
    """A folder of two whole pictures, a damaged one, and what is none."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "shots"
    (folder / "more" / ".hidden").mkdir(parents=True)
    for name in ("b.png", "more/a", "more/.hidden/c.png"):
        Image.new("RGB", (20, 30)).save(folder / name, "PNG")
    (folder / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    (folder / "notes.txt").write_text("words")
    return Path("shots")


def names(*given: str, listed: str = "") -> list[str]:
    return [path.as_posix() for path in asking.files(given, io.StringIO(listed))]


def test_of_a_folder_those_that_are_pictures_or_promise_to_be(shots):
    assert names("shots") == ["shots/b.png", "shots/cut.jpg", "shots/more/a"]


def test_files_patterns_and_standard_input_each_once(shots):
    assert names("shots/notes.txt", "shots/*.png", "shots/b.png") == ["shots/notes.txt", "shots/b.png"]
    assert names("shots/**/*.png") == ["shots/b.png"]
    assert names("-", listed="shots/b.png\n\nx=1 é.jpg\r\n") == ["shots/b.png", "x=1 é.jpg"]


def test_paths_that_end_by_a_zero_may_hold_anything(shots):
    assert names("-", listed="shots/b.png\0two\nlines.png\0") == ["shots/b.png", "two\nlines.png"]


def test_a_pictures_content_is_no_list_of_paths(shots):
    with pytest.raises(UserError, match=r"Received: a file's content\."):
        names("-", listed="\x89PNG\r\n\x1a\n\0\0\0\rIHDR\n")


def test_a_name_with_the_signs_of_a_pattern_is_a_file(shots):
    (shots / "b.png").rename(shots / "[b].png")
    assert names("shots/[b].png") == ["shots/[b].png"]


@pytest.mark.parametrize("given", ["shots/more/.hidden/none", "no/*.jpg", "-"])
def test_nothing_to_ask_about_is_refused_in_one_line(shots, given):
    (shots / "more/.hidden/none").mkdir()
    with pytest.raises(UserError, match=r"^wanted .*\. Received: .*\. Try: .*$"):
        names(given)


@pytest.fixture
def asked(device_files) -> asking.Asked:
    return asking.of_file(str(device_files.file("float32")))


def test_what_cannot_be_read_is_told_in_one_line(asked, shots):
    (shots / "empty.png").touch()
    os.mkfifo(shots / "pipe.png")
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
    (shots / "bomb.png").write_bytes(bomb.getvalue())
    given = ["b.png", "cut.jpg", "notes.txt", "gone.png", "empty.png", "pipe.png", "bomb.png", "more", "more/a"]
    told = [answer for _path, answer in asking.answers(asked, [shots / name for name in given])]
    assert [type(one) for one in told] == [np.ndarray, *[str] * 7, np.ndarray]
    assert all(reason and "\n" not in reason for reason in told[1:-1])
    assert told[3] == "No such file or directory"
    assert "exceeds limit" in told[6]


def test_a_file_that_is_too_large_is_not_read(asked, tmp_path):
    path = tmp_path / "large.png"
    with path.open("wb") as opened:
        opened.truncate(asking.LARGEST + 1)
    ((_path, told),) = asking.answers(asked, [path])
    assert told == "larger than 256 MiB"


def test_keras_and_a_file_in_single_precision_say_the_same(asked, device_files, tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for path, picture in zip(paths, device_files.array("test"), strict=False):
        Image.fromarray(picture).save(path)
    by_keras = asking.of_keras(device_files.model(), asked.class_names, 0.5)
    first, second = (dict(asking.answers(one, paths)) for one in (asked, by_keras))
    for path in paths:
        np.testing.assert_allclose(first[path], second[path], atol=1e-4)
