from __future__ import annotations

import shutil

import pytest
from samples import check_model, classifier

from pipeline.shell.errors import UserError


def test_a_model_takes_pictures_of_any_size(tracker, folder):
    check_model(tracker)
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


@pytest.mark.parametrize("gone", ["", "data/model.keras"])
def test_a_model_whose_files_are_gone_is_named_with_its_folder(tracker, folder, gone):
    with tracker.run("train", "train") as run_id:
        uri = tracker.log_model(run_id, classifier(2), ["a", "b"])
    (kept,) = folder.glob(f"mlartifacts/**/{uri.rpartition('/')[2]}/artifacts")
    (kept / gone).unlink() if gone else shutil.rmtree(kept)
    with pytest.raises(UserError, match=rf"model of run {run_id} .* in .*{kept}.*bring that folder back") as refusal:
        tracker.load_model(run_id)
    assert "\n" not in str(refusal.value)
