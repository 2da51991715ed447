"""Trains one cell with given hyperparameters and logs its curves and its model in MLflow.

    python -m pipeline.train --dataset digits --weights tiny --alpha 0.5 --resolution 64 --learning_rate 0.003

The model of the epoch with the best validation top-1 is kept; pipeline.evaluate tests it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import tracking
from pipeline.config import TrainConfig, as_params
from pipeline.networks import devices
from pipeline.shell import cli, progress

if TYPE_CHECKING:
    import keras
    import numpy as np

    from pipeline.datasets import Dataset
    from pipeline.networks.backbones import Backbone
    from pipeline.tracking import Tracker
    from pipeline.training.fit import Curves
    from pipeline.training.heads import Head


def train(
    config: TrainConfig, dataset: Dataset, tracker: Tracker, run_id: str
) -> tuple[keras.Model, float, tuple[Backbone, Head] | None]:
    """One fit, recorded on `run_id`.

    Returns the model, the probability below which none is to be answered, and the start (see trainers.Trainer).

    Raises UserError where the loss stops being a number.
    """
    from pipeline.networks import backbones
    from pipeline.tracking import records
    from pipeline.training.calibration import calibrate
    from pipeline.training.fit import go_on
    from pipeline.training.trainers import trainer_for

    tracker.log_params(run_id, {**as_params(config), **records.cell_params(config)})
    trainer = trainer_for(config, dataset)
    with progress.bar(f"training {config.cell.name}", total=config.epochs, unit="epochs") as advance:

        def watch(epoch: int, indices: np.ndarray, scores: Curves) -> np.ndarray:
            """Moves the bar, and stops nobody."""
            advance(len(indices))
            return go_on(epoch, indices, scores)

        (fit,) = trainer.fit([config], watch)
    tracker.log_curves(run_id, fit.curves)
    fit.require_finite()
    calibration = calibrate(*trainer.validated(fit.best))
    model = trainer.model(fit.best, calibration.temperature)
    tracker.log_metrics(run_id, {**records.cell_costs(config, dataset.num_classes), **fit.scores})
    tracker.log_metrics(run_id, dataclasses.asdict(calibration))
    tracker.set_tags(run_id, records.trained_tags(config, dataset))
    names = records.output_names(config, dataset.class_names)
    tracker.log_model(run_id, model, names, calibration=dataclasses.asdict(calibration))
    if config.export_backbone:
        backbones.export(backbones.parts(model)[0], Path(config.export_backbone))
    scores = ", ".join(
        f"{name.removeprefix('best_val_').replace('_', ' ')} {100 * value:.1f} %" for name, value in fit.scores.items()
    )
    print(f"{config.cell.name}: best val {scores} in epoch {fit.best_epoch}; run {run_id}")
    return model, calibration.reject_below, trainer.start


def main(argv: Sequence[str] | None = None) -> None:
    """One fit by the flags, in an MLflow run of its own."""
    config = cli.parse(TrainConfig, argv)
    devices.set_up()
    from pipeline import datasets
    from pipeline.networks import backbones
    from pipeline.tracking import records

    backbones.require_file(config.cells, config.weights)
    tracker = tracking.connect(config.experiment)
    with tracker.run(f"train {config.dataset} {config.cell.name}", kind="train") as run_id:
        dataset = datasets.load(config)
        records.log_dataset(tracker, run_id, config, dataset)
        train(config, dataset, tracker, run_id)


if __name__ == "__main__":
    cli.run(main)
