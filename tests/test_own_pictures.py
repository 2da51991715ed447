"""Folders of pictures as people bring them, from the files to the score and what is said beside it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pytest
from PIL import Image, ImageDraw

from pipeline import datasets, tracking
from pipeline.config import TrainConfig
from pipeline.scoring import scores
from pipeline.shell.errors import UserError
from pipeline.tracking.runs import AUDIT_TAG
from pipeline.training.trainers import trainer_for
from tuning import optimize

SIDE = 48
DIRECTIONS = {"up": 0, "left": 90, "down": 180, "right": 270}
OF_EACH = 15
ORIENTATION = 0x0112
UNDO = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's Transpose: the reverse of what the tag asks for


def arrow(direction: str, seed: int) -> Image.Image:
    """Black on a light ground, somewhere near the middle."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (SIDE, SIDE), (int(rng.integers(200, 256)),) * 3)
    at, draw = rng.integers(-2, 3, 2), ImageDraw.Draw(image)
    x, y = SIDE // 2 + int(at[0]), SIDE // 2 + int(at[1])
    draw.polygon([(x, y - 16), (x - 12, y), (x + 12, y)], fill="black")
    draw.rectangle([x - 4, y, x + 4, y + 14], fill="black")
    return image.rotate(DIRECTIONS[direction])


def plain(image: Image.Image, _number: int, path: Path) -> None:
    image.save(path.with_suffix(".png"))


def turned(image: Image.Image, number: int, path: Path) -> None:
    """As a phone that was held in one of eight ways stores it."""
    orientation, exif = number % 8 + 1, Image.Exif()
    exif[ORIENTATION] = orientation
    stored = image if orientation == 1 else image.transpose(Image.Transpose(UNDO[orientation]))
    stored.save(path.with_suffix(".jpg"), quality=95, exif=exif)


def palette(image: Image.Image, _number: int, path: Path) -> None:
    image.convert("P", palette=Image.Palette.ADAPTIVE).save(path.with_suffix(".bmp"))


def webp(image: Image.Image, _number: int, path: Path) -> None:
    image.save(path.with_suffix(".png"), "WEBP", quality=90)  # with an ending that is none of its own


def sixteen_bits(image: Image.Image, _number: int, path: Path) -> None:
    grey = np.asarray(image.convert("L")).astype(np.uint16)
    Image.fromarray(grey * 257).save(path.with_suffix(".png"))


def few_of_sixteen_bits(image: Image.Image, _number: int, path: Path) -> None:
    """Eight bits in sixteen, which come out black where the low byte is cut."""
    Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16)).save(path.with_suffix(".png"))


def over_nothing(image: Image.Image, _number: int, path: Path) -> None:
    """Black arrows on a transparent ground, which is black to who ignores transparency."""
    black = np.asarray(image).sum(axis=2) < 200
    pixels = np.zeros((SIDE, SIDE, 4), np.uint8)
    pixels[black, 3] = 255
    Image.fromarray(pixels).save(path.with_suffix(".png"))


def write(folder: Path, save: Callable[[Image.Image, int, Path], None], first: int) -> None:
    for direction in DIRECTIONS:
        (folder / direction).mkdir(parents=True)
        for number in range(OF_EACH):
            save(arrow(direction, first + number), number, folder / direction / f"{number:02}")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """On plain arrows: the configuration and the model."""
    root = tmp_path_factory.mktemp("arrows")
    write(root / "train", plain, first=0)
    write(root / "test", plain, first=100)
    config = TrainConfig(
        dataset=f"folder:{root}",
        weights="tiny",
        alpha=0.25,
        resolution=SIDE,
        learning_rate=0.01,
        work_dir=f"{root}/work",
    )
    trainer = trainer_for(config, datasets.load(config))
    (fit,) = trainer.fit([config])
    return config, trainer.model(fit.best)


@pytest.mark.parametrize("save", [plain, turned, palette, webp, sixteen_bits, few_of_sixteen_bits, over_nothing])
def test_the_same_arrows_score_the_same_however_they_are_stored(trained, tmp_path, save):
    config, model = trained
    (tmp_path / "train").symlink_to(Path(config.dataset.removeprefix("folder:")) / "train")
    write(tmp_path / "test", save, first=100)
    other = dataclasses.replace(config, dataset=f"folder:{tmp_path}")
    assert scores.score(model, other, datasets.load(other)).top1 == 1.0


FLAGS = (
    *("--weights=tiny", "--alphas=0.25", f"--resolutions={SIDE}"),
    *("--epochs=3", "--trials=2", "--wave=2", "--val_fraction=0.3", "--export=none"),
)


def sweep(root: Path, *flags: str) -> None:
    optimize.main([f"--dataset=folder:{root}", *FLAGS, *flags])


@pytest.mark.parametrize("part", ["train", "test"])
def test_damaged_pictures_are_all_named_before_the_first_trial(folder, part):
    for name, first in (("train", 0), ("test", 100)):
        write(folder / "pics" / name, plain, first)
    (folder / "pics" / part / "up" / "00.png").write_bytes(b"")
    cut = folder / "pics" / part / "left" / "03.png"
    cut.write_bytes(cut.read_bytes()[:100])
    with pytest.raises(UserError, match=r"Received 2 that cannot.*left/03\.png.*up/00\.png"):
        sweep(folder / "pics")
    assert not (folder / "optuna.db").exists() or optuna.get_all_study_names(f"sqlite:///{folder}/optuna.db") == []


def test_copies_and_uneven_classes_are_told_in_the_sweep_on_its_run_and_on_the_page(folder, capsys):
    for name, first in (("train", 0), ("test", 100)):
        write(folder / "pics" / name, plain, first)
    up = folder / "pics" / "train" / "up"
    for number in range(5):
        (folder / "pics" / "test" / "up" / f"copy {number}.png").write_bytes((up / f"{number:02}.png").read_bytes())
    (folder / "pics" / "train" / "down" / "twice.png").write_bytes((up / "06.png").read_bytes())
    for number in range(60):
        plain(arrow("up", 500 + number), number, up / f"more {number}")
    sweep(folder / "pics")
    said = capsys.readouterr().err
    shared = "5 of the 65 test pictures are training pictures, too"
    assert f"caution: {shared}" in said
    assert "such as train/down/twice.png and train/up/06.png" in said
    assert "always answering up would score 30.8 %" in said
    tracker = tracking.connect("alpharho")
    (outer,) = tracker.search("tags.`alpharho.kind` = 'sweep'")
    assert shared in outer.tags[AUDIT_TAG]
    (cell,) = tracker.search("tags.`alpharho.kind` = 'cell'")
    assert 0 <= cell.metrics["test_top1_unshared"] <= 1
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert shared in page
    assert "Without the test pictures that are (nearly) training pictures" in page


def test_a_picture_that_is_added_later_begins_new_studies_and_alone_is_computed(folder, capsys):
    write(folder / "pics", plain, first=0)
    sweep(folder / "pics")
    plain(arrow("up", 77), 0, folder / "pics" / "up" / "later")
    capsys.readouterr()
    sweep(folder / "pics")
    assert len(optuna.get_all_study_names(f"sqlite:///{folder}/optuna.db")) == 2
    said = capsys.readouterr().err
    assert re.search(r"features train \S+: \d+ of \d+ pictures are known from earlier tables, [01] are new", said)


def test_classes_that_are_easily_told_apart_are_answered(folder):
    for name, first in (("train", 0), ("val", 200), ("test", 100)):
        write(folder / "pics" / name, plain, first)
    sweep(folder / "pics", "--epochs=30", "--trials=4")
    (cell,) = tracking.connect("alpharho").search("tags.`alpharho.kind` = 'cell'")
    assert cell.metrics["test_top1"] > 0.95
    assert cell.metrics["test_answered"] > 0.85
