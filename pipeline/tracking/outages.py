"""Failures of the store: what will pass is waited for, what a person must mend is said in one line."""

from __future__ import annotations

import errno
import functools
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import requests
from mlflow.exceptions import MlflowException, RestException

from pipeline.shell.errors import UserError
from pipeline.shell.progress import note

T = TypeVar("T")
P = ParamSpec("P")

PATIENCE = 600.0  # s from the first failure until we give up
FIRST_WAIT, LONGEST_WAIT = 0.5, 15.0  # s; doubled each time
IMPATIENT_TIMEOUT = "5"  # s
STORAGE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR}

_UNAVAILABLE = {"TEMPORARILY_UNAVAILABLE", "DEADLINE_EXCEEDED", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED"}
_WRONG_ADDRESS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidSchema,
    requests.exceptions.TooManyRedirects,
)
_SERVER_ERROR = re.compile(r"failed with error code 5\d\d")  # mlflow of an answer that is no JSON
# What databases say, as a temporary failure, of what no wait mends.
_LASTING = re.compile(
    r"disk|no space left|read-?only|permission denied|unable to open|no such table|not a database|malformed"
    r"|authentication failed|does not exist",
    re.IGNORECASE,
)
_impatient = False


class Outage(UserError):
    """The store gave no answer, or one that says it cannot work now; `__cause__` is mlflow's error."""


def patiently(attempt: Callable[[], T], again: Callable[[], T] | None = None) -> T:
    """Calls `attempt` until the store answers, with growing waits, and `again` instead after the first time.

    An attempt that failed may have been carried out all the same: both must do no harm when that is so.

    Raises:
        Outage: after PATIENCE, or at once inside `impatient`.
        UserError: a person must mend the store.
    """
    try:
        with explained():
            return attempt()
    except Outage as outage:
        if _impatient:
            raise
        why = one_line(outage.__cause__ or outage)
        note(f"waiting up to {PATIENCE / 60:.0f} minutes for the MLflow store: {why}")
    begun, wait = time.monotonic(), FIRST_WAIT
    while True:
        time.sleep(wait)
        try:
            with explained():
                answer = (again or attempt)()
        except Outage:
            if time.monotonic() - begun + wait > PATIENCE:
                raise
            wait = min(2 * wait, LONGEST_WAIT)
        else:
            note(f"the MLflow store answers again, after {time.monotonic() - begun:.0f} s")
            return answer


def patient(function: Callable[P, T]) -> Callable[P, T]:
    """For a function that may be called twice with the effect of once: waits for the store, as `patiently` does."""

    @functools.wraps(function)
    def waiting(*args: P.args, **kwargs: P.kwargs) -> T:
        return patiently(lambda: function(*args, **kwargs))

    return waiting


@contextmanager
def explained() -> Iterator[None]:
    """Turns failures of the store into Outage or UserError; other errors, which are this program's own, pass."""
    try:
        yield
    except (MlflowException, OSError) as error:
        if _passes(error):
            raise Outage(_explanation(error)) from error
        if _must_be_mended(error):
            raise UserError(_explanation(error)) from error
        raise


@contextmanager
def impatient() -> Iterator[None]:
    """Lets a server that does not answer fail at once, or in 5 s where it says nothing."""
    global _impatient
    before = _impatient, os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT")
    _impatient, os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = True, IMPATIENT_TIMEOUT
    try:
        yield
    finally:
        _impatient, timeout = before
        if timeout is None:
            del os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]
        else:
            os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = timeout


def one_line(error: BaseException) -> str:
    """What went wrong, without the request, the SQL and the pages of HTML that mlflow adds."""
    cause = error.__context__ if isinstance(error.__context__, requests.RequestException) else error
    reason = getattr(cause.args[0], "reason", cause) if cause.args else type(cause).__name__
    first = str(reason).partition("\n")[0].partition(" Response body:")[0]
    return first.rpartition("): ")[2].strip().rstrip(".")[:300]


def shown(uri: str) -> str:
    """`uri` without its password."""
    return re.sub(r"(//[^:/@]*:)[^@/]*@", r"\1***@", uri)


def _passes(error: MlflowException | OSError) -> bool:
    """Whether the same call may succeed later."""
    request = _request_error(error)
    if request is not None:
        if request.response is not None:
            return request.response.status_code >= 500
        return not isinstance(request, _WRONG_ADDRESS)
    if isinstance(error, OSError):
        return isinstance(error, ConnectionError | TimeoutError)
    if _LASTING.search(one_line(error)):
        return False
    internal = isinstance(error, RestException) and error.error_code == "INTERNAL_ERROR"
    # SQLAlchemy's mark of a connection that broke under a statement, whatever the driver calls that.
    broken = getattr(error.__cause__, "connection_invalidated", False)
    return error.error_code in _UNAVAILABLE or internal or broken or bool(_SERVER_ERROR.search(str(error)))


def _must_be_mended(error: MlflowException | OSError) -> bool:
    if _request_error(error) is not None:
        return True
    if isinstance(error, OSError):
        return error.errno in STORAGE_ERRORS
    return error.error_code in _UNAVAILABLE


def _request_error(error: MlflowException | OSError) -> requests.RequestException | None:
    """mlflow wraps those of requests, except where it sends files."""
    return next((e for e in (error, error.__context__) if isinstance(e, requests.RequestException)), None)


def _explanation(error: BaseException) -> str:
    store = shown(os.environ.get("MLFLOW_TRACKING_URI", "mlflow.db"))
    return (
        f"wanted the MLflow store {store} to take or give data. Received: {one_line(error)}. "
        "Try: put that right and start again."
    )
