"""Failures of the store that are a person's to mend: a server that is gone, a full disk, a missing permission."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import requests
from mlflow.exceptions import MlflowException

from pipeline.errors import UserError

IMPATIENT = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "5", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}  # mlflow's: 120 s, 7
STORAGE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR}


@contextmanager
def explained() -> Iterator[None]:
    """Turns an outage into a UserError; other errors, which are this program's own, pass."""
    try:
        yield
    except MlflowException as error:
        outage = error.error_code == "TEMPORARILY_UNAVAILABLE" or isinstance(
            error.__context__, requests.RequestException
        )
        if not outage:
            raise
        raise UserError(_explanation(one_line(error))) from error
    except OSError as error:
        if error.errno not in STORAGE_ERRORS:
            raise
        raise UserError(_explanation(one_line(error))) from error


@contextmanager
def impatient() -> Iterator[None]:
    """Lets a server that does not answer fail in 5 s instead of minutes."""
    before = {name: os.environ.get(name) for name in IMPATIENT}
    os.environ.update(IMPATIENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def one_line(error: BaseException) -> str:
    """What went wrong, without the request, the SQL and the pages of HTML that mlflow adds."""
    cause = error.__context__ if isinstance(error.__context__, requests.RequestException) else error
    reason = getattr(cause.args[0], "reason", cause) if cause.args else type(cause).__name__
    first = str(reason).partition("\n")[0].partition(" Response body:")[0]
    return first.rpartition("): ")[2].strip().rstrip(".")[:300]


def shown(uri: str) -> str:
    """`uri` without its password."""
    return re.sub(r"(//[^:/@]*:)[^@/]*@", r"\1***@", uri)


def _explanation(received: str) -> str:
    store = shown(os.environ.get("MLFLOW_TRACKING_URI", "mlflow.db"))
    return (
        f"wanted the MLflow store {store} to take or give data. Received: {received}. "
        "Way out: put that right and start again."
    )
