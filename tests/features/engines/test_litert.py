"""LiteRT's own side: models converted once, and any number of pictures by any number of threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import Cell
from pipeline.features.engines import litert
from pipeline.networks import backbones
from pipeline.networks.backbones import Backbone


@pytest.fixture(scope="module", params=[Cell(0.25, 32), Cell(0.25, 128)], ids=["eight together", "one by one"])
def tiny(request) -> Backbone:
    return backbones.load(request.param, "tiny")


def draw(backbone: Backbone, count: int) -> np.ndarray:
    side = backbone.cell.resolution
    return np.random.default_rng(0).uniform(-1, 1, (count, side, side, 3)).astype(np.float32)


@pytest.mark.parametrize("count", [1, 8, 11])
def test_any_number_of_pictures(tiny, tmp_path, count):
    pictures = draw(tiny, count)
    np.testing.assert_allclose(
        litert.load(tiny, str(tmp_path))(pictures), tiny.model(pictures, training=False), atol=1e-4
    )


def test_threads_share_the_interpreters(tiny, tmp_path):
    engine, pictures = litert.load(tiny, str(tmp_path)), draw(tiny, 32)
    with ThreadPoolExecutor(2 * engine.lanes + 1) as threads:
        parts = list(threads.map(engine, np.split(pictures, 8)))
    np.testing.assert_array_equal(np.concatenate(parts), np.concatenate([engine(p) for p in np.split(pictures, 8)]))


def test_a_model_is_converted_once(tiny, tmp_path, monkeypatch):
    first = litert.load(tiny, str(tmp_path))(draw(tiny, 2))
    monkeypatch.setattr(litert, "convert", None)
    np.testing.assert_array_equal(litert.load(tiny, str(tmp_path))(draw(tiny, 2)), first)


def test_other_weights_are_another_model(tmp_path):
    for alpha, scale in ((0.25, 1), (0.25, 0.5), (0.5, 1)):
        backbone = backbones.load(Cell(alpha, 32), "tiny")
        backbone.model.set_weights([weight * scale for weight in backbone.model.get_weights()])
        litert.load(backbone, str(tmp_path))
    assert len(list(tmp_path.glob("engines/*.tflite"))) == 3


@pytest.mark.parametrize("damage", ["cut", "flipped", "no hash"])
def test_a_damaged_model_is_converted_again(tmp_path, damage):
    backbone = backbones.load(Cell(0.25, 32), "tiny")
    litert.load(backbone, str(tmp_path))
    (path,) = Path(tmp_path).glob("engines/*.tflite")
    whole = path.read_bytes()
    if damage == "no hash":
        path.with_suffix(".json").unlink()
    else:
        broken = bytearray(whole if damage == "flipped" else whole[:1000])
        broken[500] ^= 1
        path.write_bytes(broken)
    litert.load(backbone, str(tmp_path))
    assert path.read_bytes() == whole
