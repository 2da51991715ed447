"""What becomes of a finished sweep of two small cells: aliases in MLflow, files on the disk, and a line about one."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import tracking
from pipeline.device import contract
from pipeline.tracking.runs import exported
from tests import small_sweeps
from tests.folders import inside
from tuning import handover

CONFIG = dataclasses.replace(small_sweeps.CONFIG, train_limit=300, epochs=10)


@pytest.fixture(scope="module")
def sweep_run(tmp_path_factory) -> Iterator[str]:
    """The run of a sweep, in the store of a folder that is now the working directory."""
    with inside(tmp_path_factory.mktemp("swept")):
        small_sweeps.run(CONFIG)
        (sweep,) = small_sweeps.of_kind("sweep")
        yield sweep.run_id


def hand_over(sweep_run: str, export: str) -> str:
    return handover.hand_over(
        dataclasses.replace(CONFIG, export=export), tracking.connect(CONFIG.experiment), sweep_run
    )


def best_of(sweep_run: str) -> tracking.RunRecord:
    cells = tracking.connect(CONFIG.experiment).cells_of(sweep_run)
    return max(cells, key=lambda cell: cell.metrics["best_val_top1"])


def files() -> dict[str, tuple[str, float]]:
    """Name -> the run whose model it is, and when it was written."""
    paths = Path("exported").glob("*.tflite")
    return {path.name: (contract.read(path).contract.run_id, path.stat().st_mtime) for path in paths}


def test_without_files_the_models_have_their_names(sweep_run):
    assert hand_over(sweep_run, "none") == ""
    assert not Path("exported").exists()
    client = tracking.connect(CONFIG.experiment).client
    for alias in ("champion", "enough"):
        assert client.get_model_version_by_alias("digits", alias).run_id == best_of(sweep_run).run_id


def test_the_best_cell_becomes_files_once_and_anew_where_it_has_another_winner(sweep_run):
    line, best, tracker = hand_over(sweep_run, "chosen"), best_of(sweep_run), tracking.connect(CONFIG.experiment)
    made = files()
    assert {run_id for run_id, _ in made.values()} == {best.run_id}
    assert len(made) == 3
    told = re.fullmatch(
        r"The file: (exported/digits-mobilenet_\S+-(float16|int8|float32)\.tflite), 0\.25-(32|48) in \2: "
        r"(\S+) \[\S+, \S+\] % of 360 test pictures, (\S+) MB, \S+ ms a picture in one thread of this machine\. "
        r"Try: python -m pipeline\.predict --model \1 PICTURES",
        line,
    )
    known = tracker.metrics(best.run_id)
    assert float(told[4]) == pytest.approx(100 * known[f"{told[2]}_top1"], abs=0.051)
    assert float(told[5]) == pytest.approx(Path(told[1]).stat().st_size / 1e6, abs=0.0051)

    assert hand_over(sweep_run, "chosen") == line
    assert files() == made

    tracker.log_metrics(best.run_id, {exported("float16"): 0.0})
    hand_over(sweep_run, "chosen")
    assert all(files()[name][1] > moment for name, (_, moment) in made.items())


def test_every_cell_becomes_files_where_all_are_asked_for(sweep_run):
    hand_over(sweep_run, "all")
    cells = tracking.connect(CONFIG.experiment).cells_of(sweep_run)
    assert {run_id for run_id, _ in files().values()} == {cell.run_id for cell in cells}
    assert len(files()) == 6


def test_files_that_cannot_be_written_are_told_and_no_more(sweep_run, monkeypatch, capsys):
    Path("file").touch()
    monkeypatch.setattr(handover, "FOLDER", Path("file"))
    assert hand_over(sweep_run, "chosen") == ""
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "no files were made of the run" in line)
    assert "exist" in line or "directory" in line.lower()


def test_an_error_of_another_kind_is_told_and_no_more(sweep_run, monkeypatch, capsys):
    tracker = tracking.connect(CONFIG.experiment)
    tracker.log_text(best_of(sweep_run).run_id, "no table", "per_class.csv")
    assert hand_over(sweep_run, "none") == ""
    assert "not all was handed over: wanted per_class.csv" in capsys.readouterr().err
