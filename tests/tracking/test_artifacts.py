"""Whether artifacts can be kept, where the store is a database; test_server.py has the checks of a server."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

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
