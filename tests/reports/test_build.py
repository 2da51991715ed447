"""From a store to a file, and to the sweep's run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.shell import cli
from pipeline.shell.errors import UserError
from reports.build import build, main
from tests.reports.report_samples import CELLS, write_sweep


def test_the_page_is_a_file_and_an_artifact_of_the_sweeps_run(tracker, tmp_path):
    sweep = write_sweep(tracker, trials=2, epochs=3, cells=CELLS[:1])
    path, said = build(tracker, [], tmp_path / "new" / "page.html")
    assert said[0].startswith("0.25-48 is the one tested cell")
    assert path.read_text(encoding="utf-8") == tracker.read_text(sweep, "report.html")


def test_two_sweeps_stand_in_the_same_page(tracker, capsys):
    first, second = (write_sweep(tracker, trials=2, epochs=3, cells=CELLS[:1], seed=seed) for seed in (1, 2))
    main(["--runs", f"{first[:8]},{second[:8]}", "--output", "both.html"])
    *answers, last = capsys.readouterr().out.splitlines()
    assert last == "The report: both.html"
    assert len(answers) == 2
    assert [tracker.read_text(sweep, "report.html") for sweep in (first, second)] == [None, None]  # they have their own
    text = Path("both.html").read_text(encoding="utf-8")
    assert first in text
    assert second in text


def test_the_page_of_a_sweep_that_has_one_is_made_anew(tracker, tmp_path):
    sweep = write_sweep(tracker, trials=2, epochs=3, cells=CELLS[:1])
    tracker.log_text(sweep, "an older one", "report.html")
    path, _said = build(tracker, [sweep], tmp_path / "page.html")
    assert tracker.read_text(sweep, "report.html") == path.read_text(encoding="utf-8")


def test_no_sweep_is_one_line_and_exit_code_2(tracker, capsys):
    with pytest.raises(SystemExit) as left:
        cli.run(lambda: main([]))
    said = capsys.readouterr().err
    assert left.value.code == 2
    assert said.startswith("error: wanted a sweep to show. Received: no sweep")
    assert said.count("\n") == 1
    assert not Path("report.html").exists()


def test_an_unknown_run_is_refused_with_those_there_are(tracker, tmp_path):
    sweep = write_sweep(tracker, trials=2, epochs=3, cells=CELLS[:1])
    with pytest.raises(UserError, match=sweep[:8]):
        build(tracker, ["0123456789"], tmp_path / "page.html")


def test_a_page_that_cannot_be_written_is_refused(tracker, tmp_path):
    write_sweep(tracker, trials=2, epochs=3, cells=CELLS[:1])
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"Try: another path: python -m reports.build --output"):
        main(["--output", str(tmp_path / "file" / "page.html")])


def test_the_page_is_there_where_mlflow_cannot_take_it(tracker, tmp_path, monkeypatch, capsys):
    write_sweep(tracker, trials=2, epochs=3, cells=CELLS[:1])

    def refuse(*_):
        raise PermissionError(13, "of another machine")

    monkeypatch.setattr(tracker, "log_text", refuse)
    assert build(tracker, [], tmp_path / "page.html")[0].exists()
    assert "the page could not be logged in MLflow" in capsys.readouterr().err


def test_a_test_result_that_is_not_ours_is_named(tracker, tmp_path):
    sweep = write_sweep(tracker, trials=2, epochs=3, cells=CELLS[:1])
    (cell,) = tracker.children(sweep)
    tracker.log_text(cell.run_id, "a,b\n1,2\n", "confusion.csv")
    with pytest.raises(UserError, match=f"wanted confusion.csv of the run {cell.run_id}"):
        build(tracker, [], tmp_path / "page.html")


def test_nothing_is_made_where_there_is_nothing_to_read(folder):
    with pytest.raises(UserError, match="wanted an MLflow store at"):
        main([])
    assert list(folder.iterdir()) == []


def test_an_experiment_that_is_not_there_is_not_made(tracker):
    with pytest.raises(UserError, match="wanted the experiment 'misspelt'"):
        main(["--experiment", "misspelt"])
    assert tracker.client.get_experiment_by_name("misspelt") is None


def test_a_project_run_finds_the_sweeps_of_the_experiment_it_names(tracker, tmp_path, monkeypatch):
    write_sweep(tracker, trials=2, epochs=3, cells=CELLS[:1])
    elsewhere = tracker.client.create_experiment("project")
    monkeypatch.setenv("MLFLOW_RUN_ID", tracker.client.create_run(elsewhere).info.run_id)
    main(["--output", str(tmp_path / "page.html")])
    assert (tmp_path / "page.html").exists()


def test_the_flags_are_read_before_anything_slow_is_imported():
    """In a process of its own, since this one has imported it all."""
    slow = "{'mlflow', 'pandas', 'plotly', 'tensorflow', 'keras', 'optuna'}"
    program = (
        f"import sys, reports.build; print({slow} & set(sys.modules))\n"
        f"import reports.page; print({slow} & set(sys.modules) - {{'mlflow', 'pandas', 'plotly'}})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["set()", "set()"]
