"""Published rows and a model to keep in a store, and what must be true of the model once it is there."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mlflow
import numpy as np

from pipeline.tracking import TrialRun

STARTED = datetime(2024, 2, 29, 12, tzinfo=UTC)

PUBLISHED = [
    {
        "name": f"paper mobilenet_{alpha}_224",
        "source": "paper",
        "params": {"dataset": "stanford_dogs", "alpha": alpha, "resolution": 224},
        "metrics": {"test_top1": 0.8, "params_total": 3.3e6},
        "tags": {"protocol": "fine-tuned", "reference": "table 10"},
    }
    for alpha in ("1.0", "0.75")
]


def trial_run(number: int, epochs: int = 30, **changes) -> TrialRun:
    """A finished trial of 10 s with five curves; `changes` replace curves of that name."""
    names = ("train_loss", "train_top1", "val_loss", "val_top1", "learning_rate")
    return TrialRun(
        name=f"trial {number}",
        key=f"digits's study#{number}",
        status="FINISHED",
        started=STARTED,
        ended=STARTED + timedelta(seconds=10),
        params={"learning_rate": 1e-3, "freeze_conv": True},
        metrics={"best_val_top1": 0.5},
        curves={name: np.linspace(number, 1, epochs) for name in names} | changes,
        tags={"optuna.state": "COMPLETE"},
    )


def classifier(classes: int):
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((None, None, 3), dtype="uint8"),
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.Resizing(32, 32),  # after a cast to float: on uint8 it rounds, but under predict() it does not
            layers.GlobalAveragePooling2D(),
            layers.Dense(classes, activation="softmax"),
        ]
    )


def check_model(tracker) -> None:
    model = classifier(3)
    with tracker.run("train", "train") as run_id:
        tracker.log_params(run_id, {"alpha": 0.5})
        uri = tracker.log_model(run_id, model, ["ant", "bee", "cæt"], registered_name="folder:a/b-mobilenet_0.5_32")
    served = mlflow.pyfunc.load_model(uri)
    aliased = mlflow.pyfunc.load_model("models:/folder-a-b-mobilenet_0.5_32@best")
    assert served.metadata.metadata == {"class_names": ["ant", "bee", "cæt"]}
    for size in ((20, 30), (100, 64)):
        pictures = np.random.default_rng(0).integers(0, 256, (4, *size, 3)).astype(np.uint8)
        expected = model.predict(pictures, verbose=0)
        for probabilities in (served.predict(pictures), aliased.predict(pictures)):
            assert probabilities.shape == (4, 3)
            np.testing.assert_allclose(probabilities, expected, atol=1e-6)
        np.testing.assert_allclose(tracker.load_model(run_id).predict(pictures), expected, atol=1e-6)
    logged = tracker.client.get_logged_model(uri.rpartition("/")[2])
    assert (logged.experiment_id, logged.source_run_id) == (tracker.experiment_id, run_id)
    assert (str(logged.status), logged.params) == ("READY", {"alpha": "0.5"})
    path = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="classes.json")
    assert json.loads(Path(path).read_text()) == ["ant", "bee", "cæt"]
