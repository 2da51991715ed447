from __future__ import annotations

import http.server
import json
import math
import multiprocessing
import os
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

import pipeline.tracking.tracker
from pipeline import cli
from pipeline.errors import UserError
from pipeline.tracking import connect, environment_tags
from pipeline.tracking.runs import PAGE
from pipeline.tracking.store import _create_sqlite

BASELINES = [
    {
        "name": f"paper mobilenet_{alpha}_224",
        "source": "paper",
        "params": {"dataset": "stanford_dogs", "alpha": alpha, "resolution": 224},
        "metrics": {"test_top1": 0.8, "params_total": 3.3e6},
        "tags": {"protocol": "fine-tuned", "reference": "table 10"},
    }
    for alpha in ("1.0", "0.75")
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty working directory, with nothing in the environment that would point elsewhere."""
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.setenv(name, "")  # remembered, so that what connect() sets is undone
    return tmp_path


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory):
    """Made once, since MLflow takes a second for it."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    _create_sqlite(path)
    return path


@pytest.fixture
def tracker(folder, empty_database):
    shutil.copy(empty_database, folder)
    return connect("alpharho")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a real `mlflow server`."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_TRACKING_URI": ""}
    log = (folder / "log").open("w")
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_up(address, process, folder / "log")
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
        log.close()


def _wait_until_up(address: str, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=2)
            return
        except OSError:
            time.sleep(0.3)
    raise RuntimeError(log.read_text())


def _children(count: int, target, *args) -> list[int]:
    """Runs `target` in `count` processes at once; returns their exit codes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mlflow", "mlflow.store.tracking.sqlalchemy_store", "alembic.script"])
    barrier = context.Barrier(count)
    processes = [context.Process(target=target, args=(barrier, *args)) for _ in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    return [process.exitcode for process in processes]


def _runs(tracker) -> dict[str, str]:
    return {run.name: run.status for run in tracker.search()}


# --- the store


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
    connect("alpharho").ensure_baselines(BASELINES)


@pytest.mark.slow
def test_processes_that_start_at_once_on_an_empty_folder(folder):
    assert _children(5, _connect_and_publish) == [0] * 5
    runs = connect("alpharho").search("tags.source = 'paper'")
    assert sorted(run.name for run in runs) == sorted(row["name"] for row in BASELINES)
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
    start = time.monotonic()
    with pytest.raises(UserError) as error:
        connect("alpharho")
    assert time.monotonic() - start < 10
    message = str(error.value)
    assert received in message
    assert "Way out: " in message
    assert "\n" not in message
    assert "secret" not in message
    assert "MLFLOW_HTTP_REQUEST_TIMEOUT" not in os.environ


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
    run_id = tracker._create("r", "trial", None, {})
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    size = Path("mlflow.db").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    try:
        tracker.log_curves(run_id, {f"c{i}": [0.5] * 200 for i in range(50)})
    except UserError as error:
        sys.exit(7 if "disk" in str(error) and "\n" not in str(error) else 8)


def test_a_full_disk_is_one_line(capfd):
    assert _children(1, _fill_the_disk) == [7]
    assert "Traceback" not in capfd.readouterr().err


# --- runs


def test_nested_runs_carry_kind_parent_and_environment(tracker):
    with tracker.run("all", "sweep", tags={"dataset": "digits"}) as sweep, tracker.run("c", "cell", sweep) as cell:
        trials = [tracker.start_trial(f"t{i}", cell, {"learning_rate": 1e-3, "freeze_conv": True}) for i in range(3)]
        assert {run.status for run in tracker.search()} == {"RUNNING"}
        for trial in trials:
            tracker.end(trial, "KILLED" if trial == trials[0] else "FINISHED", tags={"optuna.state": "COMPLETE"})
    assert _runs(tracker) == {"all": "FINISHED", "c": "FINISHED", "t0": "KILLED", "t1": "FINISHED", "t2": "FINISHED"}
    assert tracker.params(trials[1]) == {"learning_rate": "0.001", "freeze_conv": "true"}
    records = {run.name: run for run in tracker.search()}
    assert (records["c"].parent, records["t1"].parent, records["all"].parent) == (sweep, cell, "")
    assert records["t1"].seconds >= 0
    assert tracker.tags(sweep).items() >= {"alpharho.kind": "sweep", "dataset": "digits", **environment_tags()}.items()
    assert tracker.tags(cell).items() >= {"alpharho.kind": "cell", **environment_tags()}.items()
    assert "device" not in tracker.tags(trials[0])
    assert tracker.tags(trials[0])["optuna.state"] == "COMPLETE"


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (KeyboardInterrupt(), "KILLED", "KeyboardInterrupt"),
        (SystemExit(3), "KILLED", "SystemExit: 3"),
        (ValueError("no\nway"), "FAILED", "ValueError: no"),
        (UserError("wanted a dog. Received: cat."), "FAILED", "wanted a dog. Received: cat."),
    ],
)
def test_an_exception_closes_everything_below_and_propagates(tracker, error, status, says):
    def stop():
        with tracker.run("sweep", "sweep") as sweep, tracker.run("cell", "cell", sweep) as cell:
            tracker.start_trial("trial", cell, {})
            raise error

    with pytest.raises(type(error)) as caught:
        stop()
    assert caught.value is error
    assert _runs(tracker) == {"sweep": status, "cell": status, "trial": "KILLED"}
    (sweep,) = tracker.search("tags.`alpharho.kind` = 'sweep'")
    assert sweep.tags["alpharho.error"] == says


def _sweep_until_stopped(barrier) -> None:
    pipeline.tracking.tracker.environment_tags = dict  # which would import tensorflow

    def main() -> None:
        tracker = connect("alpharho")
        with tracker.run("sweep", "sweep") as sweep, tracker.run("cell", "cell", sweep) as cell:
            for i in range(8):
                tracker.start_trial(f"t{i}", cell, {})
            os.kill(os.getpid(), signal.SIGALRM)
            time.sleep(60)

    def stop_twice(*_) -> None:
        """As a terminal and `mlflow run` do: SIGINT to all, and SIGTERM from the parent while runs are being closed."""
        threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGTERM)).start()
        signal.default_int_handler(signal.SIGINT, None)

    signal.signal(signal.SIGALRM, stop_twice)
    cli.run(main)


def test_two_signals_in_a_row_leave_no_run_running():
    assert _children(1, _sweep_until_stopped) == [cli.EXIT_INTERRUPTED]
    runs = connect("alpharho").search()
    assert len(runs) == 10
    assert {run.status for run in runs} == {"KILLED"}


def test_mlflow_run_is_adopted_with_the_spelling_it_wrote(tracker, monkeypatch):
    client = MlflowClient()
    elsewhere = client.create_experiment("project", artifact_location="mlartifacts/project")
    project = client.create_run(elsewhere).info.run_id
    client.log_param(project, "dataset", "'folder:my dogs'")
    client.log_param(project, "learning_rate", "1e-3")
    monkeypatch.setenv("MLFLOW_RUN_ID", project)
    adopting = connect("alpharho")
    with adopting.run("train digits", "train") as run_id:
        adopting.log_params(run_id, {"dataset": "folder:my dogs", "learning_rate": 1e-3, "epochs": 30})
    with adopting.run("another", "evaluate") as second:
        pass
    assert run_id == project != second
    assert adopting.params(run_id) == {"dataset": "'folder:my dogs'", "learning_rate": "1e-3", "epochs": "30"}
    assert _runs(adopting) == {"train digits": "FINISHED", "another": "FINISHED"}
    assert adopting.tags(run_id)["alpharho.kind"] == "train"


def test_a_name_that_a_person_gave_to_mlflow_run_stays(tracker, monkeypatch):
    project = MlflowClient().create_run(tracker.experiment_id, run_name="my run").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", project)
    adopting = connect("alpharho")
    with adopting.run("train digits", "train"):
        pass
    assert _runs(adopting) == {"my run": "FINISHED"}


def test_a_run_id_of_another_store_is_named(tracker, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    with pytest.raises(UserError, match="MLFLOW_RUN_ID"):
        connect("alpharho")


# --- what runs hold


def test_any_number_of_params_metrics_tags_and_epochs(tracker):
    with tracker.run("r", "prepare") as run_id:
        tracker.log_params(run_id, {f"p{i}": i for i in range(250)})
        tracker.log_params(run_id, {"p0": "another", "long": "x" * 9000})
        tracker.log_curves(run_id, {f"c{i}": np.linspace(0, 1, 700) for i in range(3)})
        tracker.set_tags(run_id, {f"t{i}": i for i in range(150)})
        tracker.log_metrics(run_id, {})
    assert len(tracker.params(run_id)) == 251
    assert tracker.params(run_id)["p0"] == "0"
    history = tracker.client.get_metric_history(run_id, "c2")
    assert [point.step for point in history] == list(range(1, 701))
    assert tracker.metrics(run_id)["c2"] == 1.0
    assert tracker.tags(run_id)["t149"] == "149"


def test_what_is_not_finite_is_kept_as_nan(tracker):
    with tracker.run("r", "prepare") as run_id:
        tracker.log_metrics(run_id, {"nan": math.nan, "inf": math.inf})
        tracker.log_curves(run_id, {"loss": [1.0, -math.inf]})
    assert all(math.isnan(value) for value in tracker.metrics(run_id).values())


def test_tables_are_csv(tracker):
    table = pd.DataFrame({"class": ["Shih-Tzu, the", "Ænglish"], "top1": [0.5, 0.25]})
    with tracker.run("r", "prepare") as run_id:
        tracker.log_table(run_id, table, "per_class.csv")
    path = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="per_class.csv")
    pd.testing.assert_frame_equal(pd.read_csv(path), table)


def test_a_dataset_shows_its_name_source_and_counts(tracker):
    with tracker.run("r", "prepare") as run_id:
        tracker.log_dataset(run_id, "digits", "/data/digits", "d" * 64, "training", {"train": 1000, "classes": 10})
    (entry,) = tracker.client.get_run(run_id).inputs.dataset_inputs
    assert (entry.dataset.name, entry.dataset.digest) == ("digits", "d" * 36)
    assert json.loads(entry.dataset.profile) == {"train": 1000, "classes": 10}
    assert json.loads(entry.dataset.source) == {"uri": "/data/digits"}
    assert [(tag.key, tag.value) for tag in entry.tags] == [("mlflow.data.context", "training")]


def test_search_does_not_stop_at_a_page(tracker, monkeypatch):
    monkeypatch.setattr("pipeline.tracking.runs.PAGE", 3)
    for i in range(7):
        tracker.client.create_run(tracker.experiment_id, run_name=str(i))
    assert PAGE == 1000
    assert {run.name for run in tracker.search()} == {str(i) for i in range(7)}
    assert [run.name for run in tracker.search("attributes.run_name = '4'")] == ["4"]


def test_baselines_are_published_once_and_stay_deleted(tracker):
    tracker.ensure_baselines(BASELINES)
    first = tracker.search()
    tracker.client.delete_run(first[0].run_id)
    connect("alpharho").ensure_baselines(BASELINES)
    (left,) = tracker.search()
    assert left == first[1]
    assert left.status == "FINISHED"
    assert left.metrics == {"test_top1": 0.8, "params_total": 3.3e6}
    assert left.params["resolution"] == "224"
    assert left.tags.items() >= {"source": "paper", "alpharho.kind": "baseline", "reference": "table 10"}.items()


@pytest.mark.parametrize("run_id", ["0" * 32, "", "no id / at all"])
def test_an_unknown_run_is_named(tracker, run_id):
    for read in (tracker.params, tracker.metrics, tracker.tags, tracker.load_model):
        with pytest.raises(UserError, match="mlflow ui"):
            read(run_id)


# --- models


def _model(classes: int):
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((None, None, 3), dtype="uint8"),
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.Resizing(32, 32),  # after a cast to float: on uint8 it rounds, but under predict() it does not
            layers.GlobalAveragePooling2D(),
            layers.Dense(classes, activation="softmax"),
        ]
    )


def _check_model(tracker) -> None:
    model = _model(3)
    with tracker.run("train", "train") as run_id:
        tracker.log_params(run_id, {"alpha": 0.5})
        uri = tracker.log_model(run_id, model, ["ant", "bee", "cæt"], registered_name="folder:a/b-mobilenet_0.5_32")
    served = mlflow.pyfunc.load_model(uri)
    aliased = mlflow.pyfunc.load_model("models:/folder-a-b-mobilenet_0.5_32@best")
    assert served.metadata.metadata == {"class_names": ["ant", "bee", "cæt"]}
    for size in ((20, 30), (100, 64)):
        pictures = np.random.default_rng(0).integers(0, 256, (4, *size, 3)).astype(np.uint8)
        expected = model.predict(pictures, verbose=0)
        for probabilities in (served.predict(pictures), aliased.predict(pictures)):
            assert probabilities.shape == (4, 3)
            np.testing.assert_allclose(probabilities, expected, atol=1e-6)
        np.testing.assert_allclose(tracker.load_model(run_id).predict(pictures), expected, atol=1e-6)
    logged = tracker.client.get_logged_model(uri.rpartition("/")[2])
    assert (logged.experiment_id, logged.source_run_id) == (tracker.experiment_id, run_id)
    assert (str(logged.status), logged.params) == ("READY", {"alpha": "0.5"})
    path = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="classes.json")
    assert json.loads(Path(path).read_text()) == ["ant", "bee", "cæt"]


def test_a_model_takes_pictures_of_any_size(tracker, folder):
    _check_model(tracker)
    start = time.monotonic()
    with tracker.run("again", "train") as run_id:
        tracker.log_model(run_id, _model(3), ["a", "b", "c"])
    assert time.monotonic() - start < 3
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


# --- a server


@pytest.mark.slow  # `mlflow server` takes 10 to 30 s to start
def test_a_server_does_all_of_it(server, monkeypatch, folder, capfd):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    tracker = connect("alpharho")
    with tracker.run("sweep", "sweep") as sweep:
        trial = tracker.start_trial("trial", sweep, {"learning_rate": 1e-3})
        tracker.end(trial, curves={"val_loss": [1.0, math.nan, math.inf]}, tags={"optuna.state": "FAIL"})
        tracker.log_table(sweep, pd.DataFrame({"a": [1]}), "a.csv")
        tracker.log_dataset(sweep, "digits", "https://example.org", "abc", "training", {"train": 3})
    assert [point.step for point in tracker.client.get_metric_history(trial, "val_loss")] == [1, 2, 3]
    assert math.isnan(tracker.metrics(trial)["val_loss"])
    for _ in range(2):
        tracker.ensure_baselines(BASELINES)
    assert len(tracker.search("tags.source = 'paper'")) == 2
    _check_model(tracker)
    assert "View run" not in capfd.readouterr().out
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_a_server_names_an_unknown_run(server, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    with pytest.raises(UserError, match="which is not there"):
        connect("alpharho").params("0" * 32)


def test_a_server_that_dies_in_a_run_is_one_line(monkeypatch, tracker):
    monkeypatch.setattr(tracker, "client", MlflowClient(_refuse_connections()))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(UserError, match="Connection refused") as error:
        tracker.log_metrics("0" * 32, {"a": 1.0})
    assert "\n" not in str(error.value)
