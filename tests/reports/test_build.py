"""The entry point of the report: from a store to a file, and to the sweep's run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.shell.errors import UserError
from reports.build import build
from tests.reports.report_samples import CELLS, write_sweep

ROOT = Path(__file__).parents[2]


def report(*flags: str, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "reports.build", *flags]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_the_page_is_a_file_and_an_artifact_of_the_sweeps_run(tracker, tmp_path):
    sweep = write_sweep(tracker, trials=2, epochs=3, cells=CELLS[:1])
    path = build(tracker, [], tmp_path / "new" / "page.html")
    assert path.read_text(encoding="utf-8") == tracker.read_text(sweep, "report.html")


def test_two_sweeps_stand_in_the_same_page(tracker, tmp_path):
    first, second = (write_sweep(tracker, trials=2, epochs=3, cells=CELLS[:1], seed=seed) for seed in (1, 2))
    done = report("--runs", f"{first[:8]},{second[:8]}", "--output", "both.html")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "The report: both.html\n"
    assert [tracker.read_text(sweep, "report.html") for sweep in (first, second)] == [None, None]  # they have their own
    text = Path("both.html").read_text(encoding="utf-8")
    assert first in text
    assert second in text


def test_no_sweep_is_one_line_and_exit_code_2(tracker):
    done = report()
    assert done.returncode == 2
    assert done.stderr.startswith("error: wanted a sweep to report on. Received: no sweep")
    assert done.stderr.count("\n") == 1
    assert not Path("report.html").exists()


def test_an_unknown_run_is_refused_with_those_there_are(tracker, tmp_path):
    sweep = write_sweep(tracker, trials=2, epochs=3, cells=CELLS[:1])
    with pytest.raises(UserError, match=sweep[:8]):
        build(tracker, ["0123456789"], tmp_path / "page.html")


def test_a_page_that_cannot_be_written_is_one_line(tracker, tmp_path):
    write_sweep(tracker, trials=2, epochs=3, cells=CELLS[:1])
    (tmp_path / "file").touch()
    done = report("--output", str(tmp_path / "file" / "page.html"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "Try: another place: python -m reports.build --output" in done.stderr


def test_the_page_is_there_where_mlflow_cannot_take_it(tracker, tmp_path, monkeypatch, capsys):
    write_sweep(tracker, trials=2, epochs=3, cells=CELLS[:1])

    def refuse(*_):
        raise PermissionError(13, "of another machine")

    monkeypatch.setattr(tracker, "log_text", refuse)
    assert build(tracker, [], tmp_path / "page.html").exists()
    assert "the page could not be logged in MLflow" in capsys.readouterr().err


def test_a_test_result_that_is_not_ours_is_named(tracker, tmp_path):
    sweep = write_sweep(tracker, trials=2, epochs=3, cells=CELLS[:1])
    (cell,) = tracker.children(sweep)
    tracker.log_text(cell.run_id, "a,b\n1,2\n", "confusion.csv")
    with pytest.raises(UserError, match=f"wanted confusion.csv of the run {cell.run_id}"):
        build(tracker, [], tmp_path / "page.html")


def test_nothing_is_made_where_there_is_nothing_to_read(folder):
    done = report()
    assert done.returncode == 2
    assert done.stderr.startswith("error: wanted an MLflow store at")
    assert list(folder.iterdir()) == []


def test_an_experiment_that_is_not_there_is_not_made(tracker):
    done = report("--experiment", "misspelt")
    assert (done.returncode, "wanted the experiment 'misspelt'" in done.stderr) == (2, True)
    assert tracker.client.get_experiment_by_name("misspelt") is None


def test_a_project_run_finds_the_sweeps_of_the_experiment_it_names(tracker, tmp_path):
    write_sweep(tracker, trials=2, epochs=3, cells=CELLS[:1])
    elsewhere = tracker.client.create_experiment("project")
    run = tracker.client.create_run(elsewhere).info.run_id
    done = report("--output", str(tmp_path / "page.html"), MLFLOW_RUN_ID=run)
    assert done.returncode == 0, done.stderr
