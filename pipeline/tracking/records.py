"""What a run of one cell says in MLflow, in the words that every kind of run shares."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import datasets
from pipeline.config import DataConfig, EvaluateConfig, TrainConfig, as_params
from pipeline.datasets import Dataset
from pipeline.networks import costs, sizes
from pipeline.shell import cli
from pipeline.shell.errors import UserError

if TYPE_CHECKING:
    from pipeline.tracking import Tracker

CONFIG_TAG = "alpharho.config"
PICTURES_TAG = "alpharho.pictures"


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
    """params_total, params_trainable and mult_adds, with the head that is trained (protocol replication: 1000-way)."""
    size, outputs = sizes.of(config.cell), config.outputs(num_classes)
    head = costs.dense_params(size.features, outputs)
    return {
        "params_total": size.params + head,
        "params_trainable": head if config.freeze_conv else sizes.params_trainable(config.cell, config.unfreeze) + head,
        "mult_adds": size.mult_adds + costs.dense_mult_adds(size.features, outputs),
    }


def output_names(config: TrainConfig, class_names: Sequence[str]) -> tuple[str, ...]:
    """Of every output of the model: the classes, and numbers for those that protocol replication has behind them."""
    unused = range(len(class_names), config.outputs(len(class_names)))
    return (*class_names, *(f"(output {number})" for number in unused))


def trained_tags(config: TrainConfig, dataset: Dataset) -> dict[str, str]:
    """What `trained_config` and `require_same_pictures` read: the configuration, and which pictures were trained on."""
    return {CONFIG_TAG: json.dumps(as_params(config)), PICTURES_TAG: _pictures(dataset)}


def log_dataset(tracker: Tracker, run_id: str, config: DataConfig, dataset: Dataset, folds: int = 1) -> None:
    """Names the training pictures as the run's input; the test pictures are not read for it.

    Args:
        folds: that are validated on, one after the other; with 1 it is the val part.
    """
    pictures = len(dataset.train)
    num_val = pictures if folds > 1 else len(datasets.cut(dataset.train, config.val_fraction, config.seed)[1])
    counts = {"pictures_train_and_val": pictures, "pictures_val": num_val, "classes": dataset.num_classes}
    counts |= {"folds": folds}
    tracker.log_dataset(run_id, dataset.name, _address(config), dataset.train.digest, "training", counts)


def require_same_pictures(dataset: Dataset, tags: dict[str, str]) -> None:
    """Raises UserError where the training pictures changed since: a picture trained on may be in the test split now."""
    if tags.get(PICTURES_TAG) != _pictures(dataset):
        raise UserError(
            f"wanted the training pictures that the model was trained on. Received: other pictures in {dataset.name}, "
            "so the test split may hold some of those. Try: bring the data back as they were, or train again"
        )


def trained_config(run_id: str, tags: dict[str, str]) -> TrainConfig:
    """Raises UserError where `tags` are not those of a trained run."""
    if CONFIG_TAG not in tags:
        raise UserError(
            f"wanted a finished train, main or cell run. Received: run {run_id}, which trained nothing. "
            "Try: choose one that holds a model in `mlflow ui`"
        )
    known = as_params(TrainConfig())
    params = {name: value for name, value in json.loads(tags[CONFIG_TAG]).items() if name in known}
    if params["weights"] not in ("imagenet", "tiny", "none") and not Path(params["weights"]).is_file():
        # The model is whole without the file that it began with; only its untrained score is lost.
        params |= {"weights": "none", "freeze_conv": "false"}
        params |= {"head_init": "auto", "unfreeze": "all", "views": "none"}  # nothing else fits these two
    return cli.parse(TrainConfig, [f"--{name}={value}" for name, value in params.items()])


def located(trained: TrainConfig, given: EvaluateConfig) -> TrainConfig:
    """With the pictures and the tables where `given` says that they are now, if it says so."""
    return dataclasses.replace(
        trained,
        dataset=given.dataset or trained.dataset,
        labels=given.labels or trained.labels,
        data_dir=given.data_dir or trained.data_dir,
        work_dir=given.work_dir or trained.work_dir,
        engine="auto",  # the one it was trained with may not be here, and changes nothing
    )


def trained_weights(tags: dict[str, str]) -> str:
    """The weights that the run began with, though their file may be gone; the tags are those of a trained run."""
    return json.loads(tags[CONFIG_TAG])["weights"]


def _pictures(dataset: Dataset) -> str:
    """A digest of the class names and the training pictures."""
    names = "\0".join(dataset.class_names)
    return hashlib.sha256(f"{names}\0{dataset.train.digest}".encode()).hexdigest()


def _address(config: DataConfig) -> str:
    """Where a person finds the data set: a folder, or a page that describes it."""
    if config.dataset.startswith("folder:"):
        return str(Path(config.dataset.removeprefix("folder:")).absolute())
    own = {
        "digits": "https://scikit-learn.org/stable/modules/generated/sklearn.datasets.load_digits.html",
        "letters": "https://matplotlib.org/stable/users/explain/text/fonts.html",
    }
    return own.get(config.dataset, f"https://www.tensorflow.org/datasets/catalog/{config.dataset}")
