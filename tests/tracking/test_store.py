from __future__ import annotations

import http.server
import os
import resource
import signal
import socket
import sqlite3
import sys
import threading
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient
from processes import children
from samples import PUBLISHED

from pipeline.shell.errors import UserError
from pipeline.tracking import Outage, connect


def test_the_default_store_is_made_here_and_nothing_goes_to_mlruns(folder, capfd):
    stray = folder / "mlruns" / "0"
    stray.mkdir(parents=True)
    (stray / "meta.yaml").write_text("experiment_id: '0'")
    tracker = connect("dogs and cats")
    with tracker.run("r", "prepare") as run_id:
        tracker.log_text(run_id, "hello", "note.txt")
    assert os.environ["MLFLOW_TRACKING_URI"] == f"sqlite:///{folder}/mlflow.db"
    assert (folder / "mlartifacts" / "dogs and cats" / run_id / "artifacts" / "note.txt").read_text() == "hello"
    assert [path.name for path in (folder / "mlruns").iterdir()] == ["0"]
    client = MlflowClient()
    assert client.get_experiment("0").artifact_location == f"{(folder / 'mlartifacts').as_uri()}/0"
    out, err = capfd.readouterr()
    assert out == ""
    assert "alembic" not in err
    assert "database tables" not in err


@pytest.mark.parametrize("name", ["my dogs", "my%20dogs"])
def test_a_folder_with_an_odd_name(folder, monkeypatch, name):
    odd = folder / name
    odd.mkdir()
    monkeypatch.chdir(odd)
    tracker = connect("alpharho")
    with tracker.run("r", "prepare") as run_id:
        tracker.log_text(run_id, "hello", "note.txt")
    assert (odd / "mlflow.db").is_file()
    assert next(odd.rglob("note.txt")).read_text() == "hello"


def _connect_and_publish(barrier) -> None:
    barrier.wait()
    connect("alpharho").ensure_published(PUBLISHED)


@pytest.mark.slow
def test_processes_that_start_at_once_on_an_empty_folder(folder):
    assert children(5, _connect_and_publish) == [0] * 5
    runs = connect("alpharho").search("tags.source = 'paper'")
    assert sorted(run.name for run in runs) == sorted(row["name"] for row in PUBLISHED)
    assert not (folder / "mlflow.db.part").exists()


@pytest.mark.parametrize("contents", [b"", None])
def test_an_empty_or_missing_file_becomes_a_database(folder, contents):
    if contents is not None:
        (folder / "mlflow.db").write_bytes(contents)
    assert connect("alpharho").search() == []


def _refuse_connections() -> str:
    return "http://127.0.0.1:1"


def _never_answer() -> str:
    listener = socket.create_server(("127.0.0.1", 0))
    _never_answer.kept = listener  # type: ignore[attr-defined]
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def _answer_in_html(status: int) -> str:
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"<html>\nhello</html>")

        do_POST = do_GET

        def log_message(self, *args) -> None:
            pass

    page = http.server.HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=page.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{page.server_port}"


@pytest.mark.parametrize(
    ("serve", "received"),
    [
        (_refuse_connections, "Connection refused"),
        (_never_answer, "timed out"),
        (lambda: _answer_in_html(200), "valid JSON"),
        (lambda: _answer_in_html(404), "error code 404"),
        (lambda: _answer_in_html(500), "500"),
        (lambda: "sftp://somewhere", "sftp"),
        (lambda: "file:///tmp/somewhere", "file"),
        (lambda: "postgresql://me:secret@127.0.0.1:1/x", ""),
    ],
)
def test_a_store_that_is_none_is_named_within_seconds(monkeypatch, serve, received):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", serve())
    timeout = os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]
    start = time.monotonic()
    with pytest.raises(UserError) as error:
        connect("alpharho")
    assert time.monotonic() - start < 10
    message = str(error.value)
    assert received in message
    assert "Try: " in message
    assert "\n" not in message
    assert "secret" not in message
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == timeout


def _set_revision(revision: str) -> None:
    with sqlite3.connect("mlflow.db") as database:
        database.execute("update alembic_version set version_num = ?", [revision])
    database.close()


def _forget_revision() -> None:
    with sqlite3.connect("mlflow.db") as database:
        database.execute("delete from alembic_version")
    database.close()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda: Path("mlflow.db").write_bytes(b"no database" * 1000), "file is not a database"),
        (lambda: _set_revision("451aebb31d03"), "mlflow db upgrade sqlite:///"),
        (lambda: _set_revision("ffffffffffff"), "newer MLflow"),
        (_forget_revision, "half-made"),
    ],
)
def test_a_database_of_another_kind_is_refused_and_left_alone(tracker, damage, message):
    damage()
    before = Path("mlflow.db").read_bytes()
    with pytest.raises(UserError, match=message):
        connect("alpharho")
    assert Path("mlflow.db").read_bytes() == before


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_database_that_cannot_be_written_is_named(tracker, folder, what):
    folder.chmod(0o755 if what == "folder" else 0o777)
    Path("mlflow.db").chmod(0o444)
    Path("mlflow.db.lock").chmod(0o444 if what == "folder" else 0o666)
    for parent in folder.parents[:3]:
        parent.chmod(0o755)  # pytest's own folders are the owner's alone
    root = os.geteuid() == 0  # whom no permission stops
    if root:
        os.seteuid(65534)
    try:
        with pytest.raises(UserError, match=r"(?i)read-?only|permission denied|unable to open"):
            connect("alpharho")
    finally:
        if root:
            os.seteuid(0)


def test_a_deleted_experiment_is_named_with_the_way_back(tracker):
    MlflowClient().delete_experiment(tracker.experiment_id)
    with pytest.raises(UserError, match=f"mlflow experiments restore --experiment-id {tracker.experiment_id}"):
        connect("alpharho")


def test_an_experiment_whose_files_only_a_server_reaches_is_refused(tracker):
    MlflowClient().create_experiment("served", artifact_location="mlflow-artifacts:/7")
    with pytest.raises(UserError, match="--experiment-name NAME"):
        connect("served")


def _fill_the_disk(barrier) -> None:
    tracker = connect("alpharho")
    run_id = tracker.client.create_run(tracker.experiment_id).info.run_id
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    size = Path("mlflow.db").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    try:
        tracker.log_curves(run_id, {f"c{i}": [0.5] * 200 for i in range(50)})
    except UserError as error:
        sys.exit(7 if "disk" in str(error) and "\n" not in str(error) else 8)


def test_a_full_disk_is_one_line(capfd):
    assert children(1, _fill_the_disk) == [7]
    assert "Traceback" not in capfd.readouterr().err


def test_a_server_that_dies_in_a_run_is_one_line(monkeypatch, tracker):
    monkeypatch.setattr(tracker, "client", MlflowClient(_refuse_connections()))
    with pytest.raises(Outage, match="Connection refused") as error, tracker.impatient():
        tracker.log_metrics("0" * 32, {"a": 1.0})
    assert "\n" not in str(error.value)
