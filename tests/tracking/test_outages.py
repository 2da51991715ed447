"""What is said of an error, and which may pass; test_server.py has real outages."""

from __future__ import annotations

import errno
import os
import tempfile

import pytest
from mlflow.exceptions import MlflowException, RestException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED, TEMPORARILY_UNAVAILABLE

from pipeline.shell.errors import Outage, UserError
from pipeline.tracking import outages


def refusal(error: Exception) -> UserError:
    """What becomes of an error."""
    with pytest.raises(UserError) as raised, outages.explained():
        raise error
    assert raised.value.__cause__ is error
    assert "\n" not in str(raised.value)
    return raised.value


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
        TimeoutError("timed out"),
        MlflowException("the server is busy", TEMPORARILY_UNAVAILABLE),
        MlflowException("API request to x failed with error code 503 != 200. Response body: '<html>\n</html>'"),
        RestException({"error_code": "INTERNAL_ERROR", "message": "worker timeout"}),
    ],
)
def test_what_may_pass_is_an_outage(error):
    assert isinstance(refusal(error), Outage)


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/srv/mlartifacts/x"), "put that right"),
        (OSError(errno.ENOSPC, "No space left on device", f"{tempfile.gettempdir()}/tmpx/model"), "set TMPDIR"),
        (MlflowException("disk I/O error", TEMPORARILY_UNAVAILABLE), "put that right"),
        (MlflowException("API request to x failed with error code 401 != 200."), "set MLFLOW_TRACKING_USERNAME"),
        (MlflowException("Permission denied", PERMISSION_DENIED), "set MLFLOW_TRACKING_USERNAME"),
        (MlflowException("The run x must be in the 'active' state. Current state is deleted."), "put that right"),
    ],
)
def test_what_a_person_must_mend_is_told_with_the_way(error, hint):
    said = refusal(error)
    assert not isinstance(said, Outage)
    assert f"Try: {hint}" in str(said)


@pytest.mark.parametrize(
    "error", [MlflowException("no such filter"), FileNotFoundError(errno.ENOENT, "x"), KeyError(1)]
)
def test_an_error_of_ours_passes_as_it_is(error):
    with pytest.raises(type(error)) as raised, outages.explained():
        raise error
    assert raised.value is error


def test_no_password_is_told(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:se/cret@host/db")
    error = MlflowException("no answer of postgresql://me:se/cret@host/db", TEMPORARILY_UNAVAILABLE)
    assert "cret" not in str(refusal(error))


@pytest.mark.parametrize("before", ["30", None])
def test_the_impatient_give_a_silent_server_up_soon(monkeypatch, before):
    monkeypatch.setenv(outages.HTTP_TIMEOUT, before or "")
    if before is None:
        monkeypatch.delenv(outages.HTTP_TIMEOUT)

    def fail() -> None:
        raise TimeoutError("timed out")

    with outages.impatient():
        assert os.environ[outages.HTTP_TIMEOUT] == outages.IMPATIENT_TIMEOUT
        with pytest.raises(Outage):
            outages.waiting(fail)
    assert os.environ.get(outages.HTTP_TIMEOUT) == before
