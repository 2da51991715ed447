"""What runs of one cell say."""

from __future__ import annotations

import json

import pytest

from pipeline import datasets
from pipeline.config import DataConfig, TrainConfig
from pipeline.shell.errors import UserError
from pipeline.tracking import records

DOGS = TrainConfig(alpha=0.75, resolution=192)
DIGITS = TrainConfig(dataset="digits", weights="tiny", alpha=0.25, resolution=32)


def digits(**options: int) -> datasets.Dataset:
    return datasets.load(DataConfig(dataset="digits", **options))


def test_a_configuration_survives_its_tag():
    config = TrainConfig(
        dataset="folder:my pictures/ü", weights="tiny", alpha=0.25, learning_rate=3e-5, freeze_conv=False
    )
    assert records.trained_config("run", records.trained_tags(config, digits())) == config


def test_a_weights_file_that_has_gone_leaves_the_model_usable(tmp_path):
    (tmp_path / "w.h5").touch()
    config = TrainConfig(dataset="digits", weights=str(tmp_path / "w.h5"), freeze_conv=False, unfreeze=3, seed=7)
    tags = records.trained_tags(config, digits())
    (tmp_path / "w.h5").unlink()
    read = records.trained_config("run", tags)
    assert (read.dataset, read.cell, read.seed, read.weights) == ("digits", config.cell, 7, "none")
    assert read.unfreeze == "all"
    assert records.trained_weights(tags) == str(tmp_path / "w.h5")  # by which the caveat is told


def test_a_run_from_before_there_was_a_setting_has_its_default():
    tags = records.trained_tags(DIGITS, digits())
    params = json.loads(tags[records.CONFIG_TAG])
    del params["precision"]
    tags[records.CONFIG_TAG] = json.dumps({**params, "report_params": "head"})
    assert records.trained_config("run", tags) == DIGITS


def test_other_training_pictures_are_refused():
    tags = records.trained_tags(DIGITS, digits())
    records.require_same_pictures(digits(), tags)
    with pytest.raises(UserError, match="other pictures in digits"):
        records.require_same_pictures(digits(train_limit=100), tags)


def test_a_run_that_trained_nothing_is_refused():
    with pytest.raises(UserError, match="run abc, which trained nothing"):
        records.trained_config("abc", {"alpharho.kind": "prepare"})


@pytest.mark.parametrize(
    ("protocol", "alpha", "params", "head"),
    [
        ("paper", 0.75, 1_925_256, 92_280),
        ("replication", 0.75, 2_601_976, 769_000),
        ("replication", 1.0, 4_253_864, 1_025_000),
    ],
)
def test_parameters_are_counted_with_the_head_that_is_trained(protocol, alpha, params, head):
    counted = records.cell_costs(TrainConfig(alpha=alpha, resolution=192, protocol=protocol), 120)
    assert (counted["params_total"], counted["params_trainable"]) == (params, head)


def test_outputs_behind_the_classes_are_numbered():
    assert records.output_names(DIGITS, ("a", "b")) == ("a", "b")
    names = records.output_names(TrainConfig(protocol="replication"), ("a", "b"))
    assert (len(names), names[:3], names[-1]) == (1000, ("a", "b", "(output 2)"), "(output 999)")


def test_a_cell_is_said_by_name_and_by_both_numbers():
    said = records.cell_params(DOGS)
    assert (said["cell"], said["alpha"], said["resolution"]) == ("mobilenet_0.75_192", 0.75, 192)
    assert {"learning_rate", "beta_1", "beta_2"} <= set(said)
