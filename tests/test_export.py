"""From a trained run to files that are checked, by the commands that a person types."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline import export, main, tracking
from pipeline.device import contract
from pipeline.shell.cores import cores
from pipeline.shell.errors import UserError
from tests.folders import inside

CELL = ["--alpha", "0.25", "--resolution", "48"]
# Files are given bytes, the model what lies between them: of enlarged 8 x 8 pictures that may move a probability by
# 0.014. In batches of 256 two answers, which lead by less, become others; in batches of 128 none.
DIGITS = ["--dataset", "digits", "--weights", "tiny", *CELL, "--epochs", "10", "--batch_size", "128"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Iterator[str]:
    """The id of a trained and tested run, in the store of a folder that is now the working directory."""
    with inside(tmp_path_factory.mktemp("trained")):
        main.main(DIGITS)
        (run,) = tracking.connect("alpharho").search("tags.`alpharho.kind` = 'main'")
        yield run.run_id


@pytest.fixture(scope="module")
def exported(trained):
    """What `--formats float32,int8` gave."""
    tracker = tracking.connect("alpharho")
    config = export.ExportConfig(run_id=trained, formats=("float32", "int8"), output="out/files", calibration=50)
    return export.export(config, trained, tracker)


def test_files_have_contracts_inside_and_beside(exported, trained):
    names = [f"{name}.{ending}" for name in ("float32", "int8") for ending in ("json", "md", "tflite")]
    assert sorted(os.listdir("out/files")) == [f"digits-mobilenet_0.25_48-{name}" for name in (*names, "pictures")]
    assert len(os.listdir("out/files/digits-mobilenet_0.25_48-pictures")) == 8
    for one in exported:
        inside = contract.read(one.path)
        beside = json.loads(one.path.with_suffix(".json").read_text())
        told = json.loads(json.dumps(inside.contract.as_json(inside.sha256)))
        assert {name: beside[name] for name in told} == told
        assert inside.contract.run_id == trained
        assert inside.contract.precision == one.precision
        assert inside.contract.reject_below == tracking.connect("alpharho").metrics(trained)["reject_below"]


def test_scores_and_files_stand_on_the_run_of_the_model(exported, trained):
    tracker = tracking.connect("alpharho")
    told = tracker.metrics(trained)
    assert told["float32_top1"] == pytest.approx(told["test_top1"], abs=0.006)
    assert told["int8_agreement"] > 0.95
    assert told["int8_bytes"] == exported[1].size
    kept = tracker.read_text(trained, "device/digits-mobilenet_0.25_48-int8.json")
    assert json.loads(kept)["precision"] == "int8"


def test_onnx_and_keras_files_are_checked_as_the_others_are(trained):
    tracker = tracking.connect("alpharho")
    config = export.ExportConfig(run_id=trained, formats=("onnx", "keras"), output="elsewhere")
    checks = export.export(config, trained, tracker)
    assert [one.precision for one in checks] == ["onnx", "keras"]
    stem = "elsewhere/digits-mobilenet_0.25_48"
    for name in ("onnx", "keras"):
        assert tracker.metrics(trained)[f"{name}_agreement"] >= 0.995
        assert (f"{name}_p50_ms_1_thread" in tracker.metrics(trained)) == (name == "onnx" or cores() == 1)
        path = Path(f"{stem}-{name}.{name}")
        assert contract.read(path).contract.precision == name
        assert path.with_suffix(".md").read_text().startswith(f"# {path.name}\n")


def test_nothing_is_left_in_the_work_folder(exported):
    assert os.listdir("work/device") == []


def test_the_command_prints_a_row_and_a_verdict_of_each(trained, capsys):
    tracker = tracking.connect("alpharho")
    model = tracker.client.search_logged_models([tracker.experiment_id])[0]
    export.main(["--model", f"models:/{model.model_id}", "--formats", "float16", "--output", "others"])
    printed = capsys.readouterr().out
    assert "float16: as good as the model" in printed or "float16: not shown" in printed
    assert max(map(len, printed.splitlines()[:3])) <= 80
    path = Path("others/digits-mobilenet_0.25_48-float16.tflite")
    assert f"python -m pipeline.predict --model {path}" in printed
    assert contract.read(path).contract.run_id == trained
    (run,) = tracker.search("tags.`alpharho.kind` = 'export'")
    assert run.tags["alpharho.exports"] == trained


def test_answers_that_were_not_kept_are_made(trained, exported):
    tracker = tracking.connect("alpharho")
    kept = tracker.read_frame(trained, "answers.parquet")
    tracker.log_frame(trained, kept.assign(picture="another"), "answers.parquet")
    config = export.ExportConfig(run_id=trained, formats=("float32",), output="again")
    (found,) = export.export(config, trained, tracker)
    tracker.log_frame(trained, kept, "answers.parquet")
    assert found.versus_model == exported[0].versus_model


def test_a_run_without_a_model_is_refused(trained):
    tracker = tracking.connect("alpharho")
    with tracker.run("prepare", "prepare") as run_id:
        pass
    with pytest.raises(UserError, match="which trained nothing"):
        export.main(["--run_id", run_id])
    for address in ("models:/nothing@best", "models:/nothing/1", "models:/m-0123", "runs:/0123"):
        with pytest.raises(UserError, match=r"^wanted .*$"):
            export.main(["--model", address])


def test_weights_are_calibrated_by_the_same_pictures_each_time():
    from pipeline.device import pictures

    np.testing.assert_array_equal(pictures.some_of(100, 10, 3), pictures.some_of(100, 10, 3))
