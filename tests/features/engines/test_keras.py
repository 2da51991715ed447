"""Keras' engine where memory is short."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.config import Cell
from pipeline.features.engines import keras
from pipeline.features.engines.keras import Keras
from pipeline.networks import backbones
from pipeline.networks.backbones import Backbone
from pipeline.shell.errors import UserError
from tests.scarce_memory import Room, with_room_for


@pytest.fixture(scope="module")
def tiny() -> Backbone:
    return backbones.load(Cell(0.25, 32), "tiny")


@pytest.fixture
def pictures() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (11, 32, 32, 3)).astype(np.float32)


def test_out_of_memory_halves_the_pictures_of_a_call_once_and_for_all(tiny, pictures, capfd):
    engine = Keras(with_room_for(Room(3), tiny), compiled=False)
    for _again in range(2):
        np.testing.assert_allclose(engine(pictures), tiny.model(pictures, training=False), atol=1e-5)
    task = f"features of {tiny.cell.name}: out of memory with"
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("features of")]  # not TensorFlow
    assert said == [
        f"{task} {keras.ON_A_CPU} pictures at once; going on with 4",
        f"{task} 4 pictures at once; going on with 2",
    ]


def test_no_memory_for_one_picture_is_refused(tiny, pictures):
    with pytest.raises(UserError, match=r"features of mobilenet_0.25_32, one picture at a time.*too little"):
        Keras(with_room_for(Room(0), tiny), compiled=False)(pictures)
