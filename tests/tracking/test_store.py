from __future__ import annotations

import http.server
import os
import resource
import shutil
import signal
import socket
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipeline.config import DataConfig
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


def test_who_opens_an_empty_folder_at_once_finds_one_store(folder):
    with ThreadPoolExecutor(4) as threads:
        experiments = list(threads.map(lambda _: connect("alpharho").experiment_id, range(4)))
    assert len(set(experiments)) == 1
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
        (
            lambda: _answer_in_html(401),
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
        ),
        (
            lambda: _answer_in_html(403),
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
        ),
        (lambda: _answer_in_html(500), "500"),
        (lambda: "sftp://somewhere", "sftp"),
        (lambda: "file:///tmp/somewhere", "file"),
        (lambda: "postgresql://me:secret@127.0.0.1:1/x", ""),
    ],
)
def test_a_store_that_is_none_is_named_and_not_waited_for(monkeypatch, serve, received):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", serve())
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    with pytest.raises(UserError) as error:
        connect("alpharho")
    message = str(error.value)
    assert received in message
    assert "Try: " in message
    assert "\n" not in message
    assert "secret" not in message
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "20"


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


@pytest.fixture
def full_disk():
    """No file grows beyond what mlflow.db has when it is called."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (Path("mlflow.db").stat().st_size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_one_line(tracker, full_disk, capfd):
    run_id = tracker.open("r", "prepare")
    full_disk()
    with pytest.raises(UserError, match="disk") as refusal:
        tracker.log_curves(run_id, {f"c{i}": [0.5] * 200 for i in range(50)})
    assert "\n" not in str(refusal.value)
    assert "Traceback" not in capfd.readouterr().err


def test_a_server_that_dies_in_a_run_is_one_line(monkeypatch, tracker):
    monkeypatch.setattr(tracker, "client", MlflowClient(_refuse_connections()))
    with pytest.raises(Outage, match="Connection refused") as error, tracker.impatient():
        tracker.log_metrics("0" * 32, {"a": 1.0})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_refuses_in_a_run_is_told_of_credentials(monkeypatch, tracker, status):
    monkeypatch.setattr(tracker, "client", MlflowClient(_answer_in_html(status)))
    with pytest.raises(UserError, match="MLFLOW_TRACKING_TOKEN") as error:
        tracker.log_metrics("0" * 32, {"a": 1.0})
    assert not isinstance(error.value, Outage)


def test_the_environment_names_the_experiment_where_no_flag_does(tracker, monkeypatch):
    elsewhere = tracker.client.create_experiment("elsewhere")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", elsewhere)
    assert connect(DataConfig.experiment).experiment() == "elsewhere"
    assert connect("mine").experiment() == "mine"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "by name")
    assert connect(DataConfig.experiment).experiment() == "by name"
    assert connect("mine").experiment() == "mine"
    monkeypatch.setenv("MLFLOW_RUN_ID", tracker.open("r", "prepare"))
    assert connect(DataConfig.experiment).experiment() == DataConfig.experiment
    assert connect(DataConfig.experiment, in_project=False).experiment() == DataConfig.experiment


def test_an_unknown_experiment_in_the_environment_is_named(tracker, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "77")
    with pytest.raises(UserError, match=r"MLFLOW_EXPERIMENT_ID names .*Received: 77"):
        connect(DataConfig.experiment)


@pytest.mark.parametrize("copied", [True, False])
def test_a_project_that_was_moved_is_refused_and_nothing_is_written(tmp_path, empty_database, monkeypatch, copied):
    old, new = tmp_path / "my old", tmp_path / "new"
    old.mkdir()
    monkeypatch.chdir(old)
    shutil.copy(empty_database, old)
    connect("alpharho").open("r", "prepare")
    (shutil.copytree if copied else shutil.move)(old, new)
    monkeypatch.chdir(new)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    before = sorted(old.rglob("*"))
    with pytest.raises(UserError, match=rf"beside {new}.*Received: {old}/mlartifacts.*bring the project back to {old}"):
        connect("alpharho")
    assert sorted(old.rglob("*")) == before


def test_a_project_that_is_reached_by_another_path_is_the_same(tracker, folder, tmp_path_factory, monkeypatch):
    link = tmp_path_factory.mktemp("links") / "project"
    link.symlink_to(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{link}/mlflow.db")
    assert connect("alpharho").experiment_id == tracker.experiment_id


def test_an_artifact_folder_that_a_person_chose_is_left_alone(tracker, tmp_path_factory):
    tracker.client.create_experiment("chosen", artifact_location=str(tmp_path_factory.mktemp("nas")))
    connect("chosen").check_artifacts()
