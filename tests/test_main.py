"""prepare, train and evaluate in one run, which is that of `mlflow run` where it started the program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from mlflow import MlflowClient

from pipeline import evaluate, main

if TYPE_CHECKING:
    from pipeline.tracking import Tracker

FLAGS = ["--dataset=digits", "--weights=tiny", "--epochs=2", "--alpha=0.25", "--resolution=32"]


@pytest.mark.slow
def test_the_three_steps_are_one_run_and_evaluate_takes_its_id(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = MlflowClient()
    project = client.create_run(tracker.experiment_id).info.run_id  # as `mlflow run` does before it starts the program
    monkeypatch.setenv("MLFLOW_RUN_ID", project)
    main.main(FLAGS)
    run = client.get_run(project)
    assert run.info.status == "FINISHED"
    assert run.data.tags["alpharho.kind"] == "main"
    assert {"pictures_test", "best_val_top1", "test_top1", "test_top1_low", "mult_adds"} <= set(run.data.metrics)
    assert [inputs.dataset.name for inputs in run.inputs.dataset_inputs] == ["digits"]

    monkeypatch.setenv("MLFLOW_RUN_ID", "")
    evaluate.main([f"--run_id={project}"])
    (evaluation,) = client.search_runs([tracker.experiment_id], f"tags.`alpharho.evaluates` = '{project}'")
    assert evaluation.data.metrics["test_top1"] == run.data.metrics["test_top1"]
