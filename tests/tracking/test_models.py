from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from samples import check_model, classifier

from pipeline.shell.errors import UserError
from tests.servers import free_port

SERVING_STARTS = 180  # s; it imports TensorFlow


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


@pytest.mark.slow
def test_mlflow_serves_it_and_raw_pictures_are_answered(tracker, folder):
    model = classifier(3)
    with tracker.run("train", "train") as run_id:
        uri = tracker.log_model(run_id, model, ["a", "b", "c"])
    pictures = np.random.default_rng(0).integers(0, 256, (2, 40, 50, 3), dtype=np.uint8)
    with served(uri, folder / "serving.log") as address:
        answered = json.loads(invoked(address, {"inputs": pictures.tolist()}))["predictions"]
        np.testing.assert_allclose(answered, model(pictures, training=False).numpy(), atol=1e-5)
        with pytest.raises(urllib.error.HTTPError) as refusal:
            invoked(address, {"inputs": [[1, 2]]})
        assert refusal.value.code == 400


@contextmanager
def served(uri: str, log) -> Iterator[str]:
    """The address of `mlflow models serve`, as in an activated environment, which ends with the block."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", uri, "--env-manager", "local"]
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"],
            env={**os.environ, "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        address, until = f"http://127.0.0.1:{port}", time.monotonic() + SERVING_STARTS
        while not answers(f"{address}/ping"):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.2)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=2)
    except OSError:
        return False
    return True


def invoked(address: str, body) -> bytes:
    content = json.dumps(body).encode()
    asked = urllib.request.Request(f"{address}/invocations", content, {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=60) as answer:
        return answer.read()
