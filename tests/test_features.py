"""Feature tables: made once, checked when read, made again when damaged."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from pipeline import backbones, features
from pipeline.backbones import Backbone
from pipeline.config import Cell
from pipeline.datasets import Split
from pipeline.datasets.pictures import decode_bytes, from_arrays, hashes_of
from pipeline.errors import UserError

CELL = Cell(0.25, 32)


def pictures(count: int = 11) -> Split:
    rng = np.random.default_rng(0)
    return from_arrays("train", rng.integers(0, 256, (count, 20, 24, 3), dtype=np.uint8), np.arange(count) % 3, "noise")


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    """Weights as varied as trained ones: freshly drawn MobileNet features vanish."""
    drawn = backbones.load(CELL, "none")
    rng = np.random.default_rng(1)
    weights = [
        rng.normal(0, 0.3, w.shape) if w.ndim > 1 else np.abs(rng.normal(1, 0.1, w.shape))
        for w in drawn.model.get_weights()
    ]
    drawn.model.set_weights(weights)
    return drawn


def load(split: Split, backbone: Backbone, folder: Path) -> features.FeatureTable:
    return features.load(split, "noise:1", backbone, str(folder))


def only_table(folder: Path) -> Path:
    (table,) = [path for path in (folder / "features").iterdir() if path.is_dir()]
    return table


def test_a_table_holds_what_the_backbone_makes_of_each_picture(backbone, tmp_path):
    split = pictures()
    table = load(split, backbone, tmp_path)
    shown = np.stack([backbones.preprocess(picture, 32) for picture, _label in split.pictures()])
    np.testing.assert_allclose(table.features, backbone.model(shown, training=False), atol=1e-5)
    assert table.features.dtype == np.float32
    assert not table.features.flags.writeable
    assert table.pictures_per_second > 0


def test_a_table_is_made_once(backbone, tmp_path, monkeypatch):
    first = load(pictures(), backbone, tmp_path)
    monkeypatch.setattr(features, "_extract", None)
    np.testing.assert_array_equal(load(pictures(), backbone, tmp_path).features, first.features)


@pytest.mark.parametrize("change", ["pictures", "weights", "resolution", "split", "source"])
def test_whatever_shapes_the_numbers_makes_another_table(backbone, tmp_path, change):
    load(pictures(), backbone, tmp_path)
    split, source, other = pictures(), "noise:1", backbone
    if change == "pictures":
        split = pictures(12)
    elif change == "weights":
        other = Backbone(CELL, "none", backbones.load(CELL, "none").model, None)
        other.model.set_weights([weight * 0.99 for weight in backbone.model.get_weights()])
    elif change == "resolution":
        other = backbones.load(Cell(0.25, 48), "none")
        other.model.set_weights(backbone.model.get_weights())
    elif change == "split":
        split = from_arrays("test", np.stack([p for p, _ in split.pictures()]), split.labels, "noise")
    else:
        source = "noise:2"
    features.load(split, source, other, str(tmp_path))
    assert len([path for path in (tmp_path / "features").iterdir() if path.is_dir()]) == 2


@pytest.mark.parametrize("damage", ["cut", "flipped", "no key file", "no numbers", "broken key file"])
def test_a_damaged_table_is_noticed_and_made_again(backbone, tmp_path, damage, capsys):
    whole = np.array(load(pictures(), backbone, tmp_path).features)
    table = only_table(tmp_path)
    numbers = bytearray((table / "features.npy").read_bytes())
    if damage == "cut":
        (table / "features.npy").write_bytes(numbers[: len(numbers) // 2])
    elif damage == "flipped":
        numbers[-1] ^= 1
        (table / "features.npy").write_bytes(numbers)
    elif damage == "no key file":
        (table / "table.json").unlink()
    elif damage == "no numbers":
        (table / "features.npy").unlink()
    else:
        (table / "table.json").write_text("{")
    np.testing.assert_array_equal(load(pictures(), backbone, tmp_path).features, whole)
    assert "is damaged" in capsys.readouterr().err
    load(pictures(), backbone, tmp_path)
    assert "is damaged" not in capsys.readouterr().err


def test_what_is_half_written_is_swept_away(backbone, tmp_path, monkeypatch):
    def fail(split, backbone):
        yield np.zeros((1, 256), np.float32)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(features, "_extract", fail)
    with pytest.raises(OSError, match="No space"):
        load(pictures(), backbone, tmp_path)
    assert [path.suffix for path in (tmp_path / "features").iterdir()] == [".lock"]


def test_features_that_are_no_numbers_are_refused(backbone, tmp_path):
    broken = backbones.load(CELL, "none")
    broken.model.set_weights([weight * np.nan for weight in backbone.model.get_weights()])
    with pytest.raises(UserError, match="finite features"):
        load(pictures(), broken, tmp_path)


def test_a_picture_that_cannot_be_decoded_is_named(backbone, tmp_path):
    import tensorflow as tf

    encoded = [tf.io.encode_png(np.zeros((4, 4, 3), np.uint8)).numpy(), b"no picture"]
    split = Split(
        "train",
        np.array([0, 1]),
        ["good.png", "bad.png"],
        hashes_of([bytes(32), bytes(32)]),
        lambda: tf.data.Dataset.from_tensor_slices(encoded),
        decode_bytes,
    )
    with pytest.raises(UserError, match=r"bad\.png.*--skip_unreadable"):
        load(split, backbone, tmp_path)


def _make(folder: str) -> float:
    weights = np.load(Path(folder, "weights.npz"))
    backbone = backbones.load(CELL, "none")
    backbone.model.set_weights([weights[name] for name in weights.files])
    return features.load(pictures(), "noise:1", backbone, folder).pictures_per_second


@pytest.mark.slow
def test_one_process_makes_the_table_while_another_waits(backbone, tmp_path):
    np.savez(tmp_path / "weights.npz", *backbone.model.get_weights())
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        rates = pool.map(_make, [str(tmp_path)] * 2)
    assert rates[0] == rates[1] == json.loads((only_table(tmp_path) / "table.json").read_text())["pictures_per_second"]
