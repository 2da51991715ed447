"""Configurations check themselves: every refusal names the wanted, the received and the way out."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from pipeline.config import Cell, DataConfig, EvaluateConfig, SweepConfig, TrainConfig, as_params, spell
from pipeline.shell.errors import UserError

TINY = {"dataset": "digits", "weights": "tiny", "alpha": 0.25, "resolution": 64}


def test_a_cell_is_named_by_both_multipliers():
    assert Cell(0.75, 192).name == "mobilenet_0.75_192"
    assert Cell(0.75, 192).rho == pytest.approx(192 / 224)


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        (Cell(1.0, 299, "inception_v3"), "inception_v3_1.0_299"),
        (Cell(0.35, 96, "mobilenet_v2"), "mobilenet_v2_0.35_96"),
    ],
)
def test_a_cell_of_another_backbone_carries_its_name(cell, name):
    assert cell.name == name
    assert Cell.named_in(f"stanford_dogs-{name}-frozen") == cell
    assert Cell.named_in("stanford_dogs") is None


@pytest.mark.parametrize(
    ("options", "wanted", "received"),
    [
        ({"alpha": 0.3}, "alpha of (0.25, 0.5, 0.75, 1.0)", "alpha 0.3"),
        ({"resolution": 208}, "resolution of (224, 192, 160, 128)", "resolution 208"),
        ({"alpha": 0.0}, "alpha between", "0.0"),
        ({"alpha": float("nan")}, "alpha between", "nan"),
        ({"resolution": 16}, "at least 32 px", "16"),
        ({"backbone": "resnet"}, "a backbone of mobilenet, inception_v3", "resnet"),
        ({"backbone": "inception_v3", "alpha": 0.75}, "alpha 1.0 for inception_v3", "--resolutions 299"),
        ({"backbone": "inception_v3", "resolution": 64}, "at least 75 px", "299, 224"),
        ({"backbone": "inception_v3", "resolution": 192}, "imagenet of inception_v3", "--resolutions 299"),
        ({"backbone": "mobilenet_v3_large", "alpha": 0.5}, "alpha of (0.75, 1.0)", "alpha 0.5"),
        ({"backbone": "mobilenet_v2", "weights": "tiny", "alpha": 0.5}, "the backbone mobilenet", "mobilenet_v2"),
        ({"weights": "none"}, "trained weights", "weights none with freeze_conv true"),
        ({"weights": "none", "freeze_conv": False, "head_init": "imagenet"}, "head_init imagenet", "weights none"),
        ({"weights": "tiny"}, "alpha of (0.25, 0.5)", "alpha 1.0"),
        ({**TINY, "head_init": "imagenet"}, "head_init imagenet", "weights tiny"),
        ({"freeze_conv": False, "views": "flip"}, "views none", "--augment flip_crop"),
        ({"weights": "missing.h5"}, "a file that exists", "missing.h5"),
        ({"precision": "mixed_float16", "engine": "litert"}, "engine auto or keras", "leave --engine out"),
        ({"learning_rate": -1.0}, "learning_rate > 0", "-1.0"),
        ({"learning_rate": float("inf")}, "learning_rate > 0", "inf"),
        ({"beta_1": 1.0}, "beta_1 between 0 and 1", "1.0"),
        ({"beta_2": 0.0}, "beta_2 between 0 and 1", "0.0"),
        ({"epochs": 0}, "epochs >= 1", "0"),
        ({"batch_size": 0}, "batch_size auto, or >= 1", "0"),
        ({"dropout": 1.0}, "dropout from 0 to below 1", "1.0"),
        ({"val_fraction": 1.0}, "val_fraction between 0 and 1", "1.0"),
        ({"train_limit": -1}, "train_limit >= 0", "-1"),
        ({"seed": -1}, "a seed from 0", "-1"),
        ({"dataset": ""}, "name of a data set", "''"),
        ({"freeze_conv": False, "unfreeze": 0}, "unfreeze all, or 1 to 13", "0"),
        ({"freeze_conv": False, "unfreeze": 14}, "unfreeze all, or 1 to 13", "14"),
        ({"freeze_conv": False, "weights": "none", "unfreeze": 3}, "unfreeze all", "unfreeze 3 with weights none"),
        ({"unfreeze": 3}, "unfreeze all", "freeze_conv true"),
        ({"layer_decay": 0.0}, "layer_decay above 0", "0.0"),
        ({"label_smoothing": 1.0}, "label_smoothing from 0", "1.0"),
        ({"export_backbone": "here.h5"}, "end in .weights.h5", "here.h5"),
    ],
)
def test_a_fit_that_cannot_be_is_refused(options, wanted, received):
    with pytest.raises(UserError) as refusal:
        TrainConfig(**options)
    assert wanted in str(refusal.value).split("Received")[0]
    assert received in str(refusal.value).split("Received")[1]
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"trials": 0}, "trials auto, or >= 1"),
        ({"wave": 0}, "wave auto, or 1 and more"),
        ({"alphas": ()}, "at least one alpha"),
        ({"alphas": (1.0, 1.0)}, "each cell once"),
        ({"alphas": (1.0, 0.9)}, "alpha of"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused(options, wanted):
    with pytest.raises(UserError, match=wanted):
        SweepConfig(**options)


def test_an_evaluation_needs_a_run():
    with pytest.raises(UserError, match="the id of a finished"):
        EvaluateConfig()


def test_the_defaults_are_the_papers_cells():
    assert [cell.name for cell in SweepConfig().cells] == [
        "mobilenet_1.0_224",
        "mobilenet_1.0_192",
        "mobilenet_0.75_224",
        "mobilenet_0.75_192",
    ]


def test_a_sweeps_cells_are_of_its_backbone():
    sweep = SweepConfig(backbone="inception_v3", alphas=(1.0,), resolutions=(299, 224))
    assert [cell.name for cell in sweep.cells] == ["inception_v3_1.0_299", "inception_v3_1.0_224"]
    assert sweep.train_config(sweep.cells[0]).cell == sweep.cells[0]


def test_the_replications_protocol_has_the_1000_way_head():
    assert TrainConfig().outputs(120) == 120
    assert TrainConfig(protocol="replication").outputs(120) == 1000
    with pytest.raises(UserError, match="at most 1000 classes"):
        TrainConfig(protocol="replication").outputs(1001)


def test_checking_a_configuration_takes_no_tensorflow():
    made = "from pipeline.config import TrainConfig; TrainConfig(backbone='inception_v3')"
    code = f"import sys; {made}; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_sweep_hands_everything_shared_to_its_cells():
    sweep = SweepConfig(dataset="digits", weights="tiny", alphas=(0.25,), resolutions=(64,), epochs=7, seed=5)
    config = sweep.train_config(sweep.cells[0])
    assert config == TrainConfig(**TINY, epochs=7, seed=5)


def test_values_are_spelled_as_a_person_types_them():
    assert [spell(value) for value in (True, (0.25, 1.0), 1e-5, "a b", 40)] == [
        "true",
        "0.25,1.0",
        "1e-05",
        "a b",
        "40",
    ]


@pytest.mark.parametrize("config", [DataConfig(), TrainConfig(**TINY), SweepConfig()])
def test_every_field_becomes_a_parameter(config):
    assert set(as_params(config)) == {field.name for field in dataclasses.fields(config)}


@pytest.mark.parametrize(
    ("settings", "pictures", "is_dealt", "folds"),
    [
        ({}, 5000, False, 5),
        ({}, 5001, False, 1),
        ({}, 300, True, 1),
        ({"folds": "1"}, 300, False, 1),
        ({"folds": "5"}, 50_000, False, 5),
        ({"freeze_conv": False}, 300, False, 1),
    ],
)
def test_few_pictures_are_cross_validated(settings, pictures, is_dealt, folds):
    assert SweepConfig(**settings).fold_count(pictures, is_dealt) == folds


def test_folds_where_a_person_keeps_a_val_or_networks_are_trained_are_refused():
    with pytest.raises(
        UserError, match=r"where you keep pictures for validation yourself.*--folds 5 with a val part.*Try: --folds 1"
    ):
        SweepConfig(folds="5").fold_count(300, is_dealt=True)
    with pytest.raises(UserError, match="folds 5 with freeze_conv false"):
        SweepConfig(folds="5", freeze_conv=False)


@pytest.mark.parametrize(
    "settings",
    [
        {"workers": 2},
        {"cpus_per_worker": 1},
        {"gpus_per_worker": 0},
        {"ray_address": "auto"},
        {"executor": "ray", "workers": 0},
        {"executor": "ray", "cpus_per_worker": 0},
        {"executor": "ray", "gpus_per_worker": 1.5},
        {"executor": "ray", "gpus_per_worker": -1},
    ],
)
def test_workers_that_make_no_sense_are_refused(settings):
    with pytest.raises(UserError, match="wanted"):
        SweepConfig(**settings)


def test_workers_are_of_ray():
    assert SweepConfig(executor="ray", workers=4, cpus_per_worker=2, gpus_per_worker=0.5).workers == 4


@pytest.mark.parametrize(
    ("asked", "of_many", "of_few"),
    [
        ({}, "successive_halving", "none"),
        ({"freeze_conv": False}, "median", "median"),
        ({"freeze_conv": False, "lr_schedule": "cosine"}, "successive_halving", "successive_halving"),
        ({"protocol": "replication"}, "median", "median"),
        ({"lr_schedule": "plateau"}, "median", "median"),
        ({"pruner": "hyperband"}, "hyperband", "hyperband"),
        ({"pruner": "none"}, "none", "none"),
    ],
)
def test_annealed_trials_are_halved_where_that_pays_and_others_held_against_the_median(asked, of_many, of_few):
    config = SweepConfig(**asked)
    assert [config.pruner_kind(*size, folds=5) for size in ((3600, 120), (1437, 10))] == [of_many, of_few]
