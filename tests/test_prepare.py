"""What prepare checks, prints and logs, on folders of small pictures."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import tracking
from pipeline.config import DataConfig
from pipeline.datasets.audit import count_classes
from pipeline.prepare import prepare
from pipeline.shell.errors import UserError


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Two classes of ten noisy pictures each."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    rng = np.random.default_rng(0)
    for name in ("cat", "dög, <b>"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(10):
            picture = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8))
            picture.save(tmp_path / "pictures" / name / f"{number}.jpg")
    return tmp_path / "pictures"


def run(folder: Path, **options):
    config = DataConfig(dataset=f"folder:{folder}", **options)
    tracker = tracking.connect("alpharho")
    with tracker.run("prepare", "prepare") as run_id:
        dataset = prepare(config, tracker, run_id)
    return config, dataset, tracker.search("")[0]


def test_the_splits_are_counted_printed_and_logged(folder, capsys):
    config, dataset, logged = run(folder)
    counts = count_classes(dataset, config.val_fraction, config.seed)
    assert counts["class"].tolist() == ["cat", "dög, <b>"]
    assert counts[["train", "val", "test"]].sum().tolist() == [13, 3, 4]
    assert {name: logged.metrics[f"pictures_{name}"] for name in ("train", "val", "test")} == {
        "train": 13,
        "val": 3,
        "test": 4,
    }
    printed = capsys.readouterr().out
    assert "dög, <b>" in printed
    assert "2 classes, 0 pictures left out" in printed


def test_an_unreadable_picture_is_named_and_may_be_left_out(folder):
    whole = (folder / "cat" / "3.jpg").read_bytes()
    (folder / "cat" / "3.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"cat/3\.jpg.*--skip_unreadable"):
        run(folder)
    _config, dataset, logged = run(folder, skip_unreadable=True)
    assert logged.metrics["pictures_skipped"] == 1
    assert "cat/3.jpg" in dataset.skipped[0]


def test_a_class_without_a_readable_picture_is_refused(folder):
    for path in (folder / "cat").iterdir():
        path.write_bytes(path.name.encode())
    with pytest.raises(UserError, match="none of 'cat'"):
        run(folder, skip_unreadable=True)


def test_copies_on_both_sides_are_counted(folder, capsys):
    for part in ("train", "test"):
        shutil.copytree(folder / "cat", folder / part / "cat")
        shutil.copytree(folder / "dög, <b>", folder / part / "dög, <b>")
    for name in ("cat", "dög, <b>"):
        shutil.rmtree(folder / name)
        for number in range(9):
            (folder / "test" / name / f"{number}.jpg").unlink()
    _config, _dataset, logged = run(folder)
    assert logged.metrics["pictures_shared"] == 2
    assert "caution: 2 of the 2 test pictures are training pictures, too" in capsys.readouterr().out
