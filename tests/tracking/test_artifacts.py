"""Files of runs, and whether they can be kept, in a database's store; test_server.py has the checks of a server."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

import pandas as pd
import pytest

from pipeline.shell.errors import UserError
from pipeline.tracking import artifacts, connect


def test_nothing_is_left_behind(tracker, folder):
    tracker.check_artifacts()
    assert [path for path in (folder / "mlartifacts").rglob("*") if path.name not in ("alpharho", "0")] == []
    assert tracker.search(deleted=True) == []


def test_a_folder_that_takes_no_file_is_named_with_who_must_reach_it(tracker):
    Path("mlartifacts").write_text("in the way")
    wanted = r"folder .*/mlartifacts/alpharho .*Try: let this machine.*--serve-artifacts"
    with pytest.raises(UserError, match=wanted) as refusal:
        tracker.check_artifacts()
    assert "\n" not in str(refusal.value)


def test_a_kind_of_storage_whose_package_is_missing_is_named(tracker):
    tracker.client.create_experiment("cloud", artifact_location="gs://bucket/folder")
    with pytest.raises(UserError, match=r"folder gs://bucket/folder .*Received: (cannot import|No module)"):
        connect("cloud").check_artifacts()


def test_a_full_folder_for_temporary_files_is_told_from_a_full_store(tracker, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device", f"{tempfile.gettempdir()}/tmpx/check.txt")

    monkeypatch.setattr(artifacts.tempfile, "TemporaryDirectory", full)
    with pytest.raises(UserError, match=r"No space left on device.*Try: set TMPDIR to a folder"):
        tracker.check_artifacts()


def test_files_are_read_as_they_were_written(tracker):
    text = 'class,count\n"two\nlines, ""quoted""",1\n北京犬,2\r\n'
    run_id = tracker.open("a cell", "cell")
    assert tracker.read_text(run_id, "per_class.csv") is None
    tracker.log_text(run_id, text, "per_class.csv")
    tracker.log_text(run_id, "", "below/empty.txt")
    assert tracker.read_text(run_id, "per_class.csv") == text
    assert tracker.read_text(run_id, "below/empty.txt") == ""
    assert tracker.read_text(run_id, "below") is None
    assert tracker.read_text(run_id, "above/per_class.csv") is None


def test_frames_are_read_as_they_were_written(tracker):
    frame = pd.DataFrame({"picture": ["a\nb", "007", "NA"], "right": [True, False, True], "p": [0.1, 0.5, 1.0]})
    run_id = tracker.open("a cell", "cell")
    assert tracker.read_frame(run_id, "answers.parquet") is None
    for written in (frame[:1], frame):  # the second time over the first
        tracker.log_frame(run_id, written, "answers.parquet")
    pd.testing.assert_frame_equal(tracker.read_frame(run_id, "answers.parquet"), frame)


def test_a_frame_that_another_program_wrote_is_refused_by_name(tracker):
    run_id = tracker.open("a cell", "cell")
    tracker.log_text(run_id, "no parquet", "answers.parquet")
    with pytest.raises(UserError, match=r"wanted answers.parquet of the run .*Try: delete that artifact"):
        tracker.read_frame(run_id, "answers.parquet")
