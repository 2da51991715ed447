from __future__ import annotations

import time

import pytest
from samples import check_model, classifier

from pipeline.shell.errors import UserError


def test_a_model_takes_pictures_of_any_size(tracker, folder):
    check_model(tracker)
    start = time.monotonic()
    with tracker.run("again", "train") as run_id:
        tracker.log_model(run_id, classifier(3), ["a", "b", "c"])
    assert time.monotonic() - start < 3
    requirements = next((folder / "mlartifacts").rglob("requirements.txt")).read_text()
    assert {line.partition("==")[0] for line in requirements.split()} == {"mlflow", "tensorflow", "keras", "numpy"}
    assert not (folder / "mlruns").exists()


def test_a_model_that_cannot_be_kept_is_marked_failed(tracker):
    with pytest.raises(AttributeError), tracker.run("train", "train") as run_id:
        tracker.log_model(run_id, object(), ["a"])
    (logged,) = tracker.client.search_logged_models([tracker.experiment_id])
    assert str(logged.status) == "FAILED"


def test_a_run_without_a_model_is_named(tracker):
    with tracker.run("prepare", "prepare") as run_id:
        pass
    with pytest.raises(UserError, match="which has none"):
        tracker.load_model(run_id)
