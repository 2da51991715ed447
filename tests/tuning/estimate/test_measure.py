"""What is measured is what the sweep runs."""

from __future__ import annotations

import dataclasses

import pytest

from pipeline import datasets
from pipeline.config import TrainConfig
from pipeline.networks import backbones
from pipeline.training import heads
from tuning.estimate import measure

CONFIG = TrainConfig(dataset="digits", weights="tiny", alpha=0.25, resolution=32, train_limit=200)


@pytest.fixture(scope="module")
def dataset():
    def refuse():
        raise AssertionError("the test split was read")

    return dataclasses.replace(datasets.load(CONFIG), read_test=refuse)


@pytest.mark.parametrize("views", ["none", "flip"])
def test_a_pass_over_the_first_pictures_leaves_no_table(dataset, tmp_path, views, capsys):
    config = dataclasses.replace(CONFIG, work_dir=str(tmp_path), views=views)
    backbone = backbones.load(config.cell, config.weights)
    ready, picture = measure.of_pictures(config, dataset, [backbone], 160)
    assert ready > 0
    assert 0 < picture < 1
    assert not (tmp_path / "features").exists()
    assert capsys.readouterr().err == ""


def test_few_pictures_are_enough(dataset, tmp_path):
    config = dataclasses.replace(CONFIG, work_dir=str(tmp_path))
    _ready, picture = measure.of_pictures(config, dataset, [backbones.load(config.cell, config.weights)], 9)
    assert picture > 0


def test_an_epoch_is_timed_apart_from_its_compiling():
    compiling, epoch = measure.of_epochs(CONFIG, (150, 30), (256, 7), wave=3)
    again, _epoch = measure.of_epochs(CONFIG, (150, 30), (256, 7), wave=3)
    assert compiling > epoch > 0
    assert again < compiling  # compiled for good


def test_an_epoch_of_a_large_table_is_measured_on_a_part(monkeypatch):
    rows = []
    monkeypatch.setattr(
        heads,
        "fit",
        lambda train, val, starts, configs, schedule, watch, pull: (
            rows.append(len(train.labels)) or [watch(epoch, range(1), None) for epoch in (1, 2)]
        ),
    )
    measure.of_epochs(CONFIG, (10_000_000, 1_000_000), (256, 10), wave=8)
    assert 0 < rows[0] * 256 * 10 * 8 <= measure.LARGEST_WAVE


@pytest.mark.slow
def test_whole_networks_are_measured_by_a_few_steps(dataset):
    config = dataclasses.replace(CONFIG, weights="none", freeze_conv=False)
    compiling, picture = measure.of_networks(config, dataset)
    assert compiling > 0
    assert 0 < picture < 1
