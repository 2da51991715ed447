"""What a run of one cell says in MLflow, in the words that every kind of run shares."""

from __future__ import annotations

import json

from pipeline import cli, costs
from pipeline.backbones import IMAGENET_CLASSES
from pipeline.config import TrainConfig, as_params
from pipeline.errors import UserError

CONFIG_TAG = "alpharho.config"


def cell_params(config: TrainConfig) -> dict[str, object]:
    """The three hyperparameters and the cell they belong to."""
    return {
        "cell": config.cell.name,
        "alpha": config.alpha,
        "resolution": config.resolution,
        "learning_rate": config.learning_rate,
        "beta_1": config.beta_1,
        "beta_2": config.beta_2,
    }


def cell_costs(config: TrainConfig, num_classes: int) -> dict[str, float]:
    """params_total, params_trainable and mult_adds; of the 1000-way head where config.report_params says so."""
    classes = IMAGENET_CLASSES if config.report_params == "imagenet_head" else num_classes
    return {
        "params_total": costs.mobilenet_params(config.cell, classes),
        "params_trainable": costs.mobilenet_params_trainable(config.cell, classes, config.freeze_conv),
        "mult_adds": costs.mobilenet_mult_adds(config.cell, classes),
    }


def config_tag(config: TrainConfig) -> dict[str, str]:
    """The whole configuration as one tag, from which `trained_config` makes it again."""
    return {CONFIG_TAG: json.dumps(as_params(config))}


def trained_config(run_id: str, tags: dict[str, str]) -> TrainConfig:
    """Raises UserError where `tags` are not those of a trained run."""
    if CONFIG_TAG not in tags:
        raise UserError(
            f"wanted a finished train, main or cell run. Received: run {run_id}, which trained nothing. "
            "Way out: choose one that holds a model in `mlflow ui`"
        )
    return cli.parse(TrainConfig, [f"--{name}={value}" for name, value in json.loads(tags[CONFIG_TAG]).items()])
