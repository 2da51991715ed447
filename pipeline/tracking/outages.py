"""Failures of the store: what will pass is waited for, what a person must mend is said in one line."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import requests
from mlflow.exceptions import MlflowException, RestException

from pipeline.shell import patience
from pipeline.shell.errors import STORAGE_ERRORS, TEMPORARY_HINT, Outage, UserError, is_temporary
from pipeline.shell.patience import masked

T = TypeVar("T")
P = ParamSpec("P")

HTTP_TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
IMPATIENT_TIMEOUT = "5"  # s

_DELETED = re.compile(r"must be in (?:the )?'?active'? ")  # of a run or an experiment that a person put into the trash
_UNAVAILABLE = {"TEMPORARILY_UNAVAILABLE", "DEADLINE_EXCEEDED", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED"}
_WRONG_ADDRESS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidSchema,
    requests.exceptions.TooManyRedirects,
)
_REFUSED = {"UNAUTHENTICATED", "PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED"}
_REFUSED_STATUS = re.compile(r"failed with error code 40[13]\b")  # mlflow of an answer that is no JSON
_SERVER_ERROR = re.compile(r"failed with error code 5\d\d")  # mlflow of an answer that is no JSON
# What databases say, as a temporary failure, of what no wait mends.
_LASTING = re.compile(
    r"disk|no space left|read-?only|permission denied|unable to open|no such table|not a database|malformed"
    r"|authentication failed|does not exist",
    re.IGNORECASE,
)


def waiting(attempt: Callable[[], T], again: Callable[[], T] | None = None) -> T:
    """Calls `attempt`, and after an outage `again`, until the store answers; see `patience.patiently`.

    Raises:
        Outage: when patience is over, or at once inside `impatient`.
        UserError: a person must mend the store.
    """
    once_more = again or attempt
    return patience.patiently(MLFLOW, lambda: _explaining(attempt), lambda: _explaining(once_more))


def patient(function: Callable[P, T]) -> Callable[P, T]:
    """For a function that may be called twice with the effect of once: waits for the store, as `waiting` does."""

    @functools.wraps(function)
    def patient_one(*args: P.args, **kwargs: P.kwargs) -> T:
        """The same, which waits."""
        return waiting(lambda: function(*args, **kwargs))

    return patient_one


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
    """`patience.impatient`, in which a server that says nothing is given up after 5 s."""
    before = os.environ.get(HTTP_TIMEOUT)
    os.environ[HTTP_TIMEOUT] = IMPATIENT_TIMEOUT
    try:
        with patience.impatient():
            yield
    finally:
        if before is None:
            del os.environ[HTTP_TIMEOUT]
        else:
            os.environ[HTTP_TIMEOUT] = before


def one_line(error: BaseException) -> str:
    """What went wrong, without the request, the SQL and the pages of HTML that mlflow adds."""
    cause = error.__context__ if isinstance(error.__context__, requests.RequestException) else error
    reason = getattr(cause.args[0], "reason", cause) if cause.args else type(cause).__name__
    first = str(reason).partition("\n")[0].partition(" Response body:")[0]
    return masked(first.rpartition("): ")[2].strip().rstrip(".")[:300])


def advice(error: MlflowException | OSError) -> str:
    """What a person can do, without "Try:" and a full stop."""
    if isinstance(error, OSError) and is_temporary(error):
        return TEMPORARY_HINT
    if is_refused(error):
        return (
            "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, "
            "to those of an account that may write there"
        )
    return "put that right and start again"


def is_refused(error: MlflowException | OSError) -> bool:
    """Whether a server asks for another name and password, or allows this one too little (401, 403)."""
    request = _request_error(error)
    if request is not None and request.response is not None:
        return request.response.status_code in (401, 403)
    code = error.error_code if isinstance(error, MlflowException) else ""
    return code in _REFUSED or bool(_REFUSED_STATUS.search(str(error)))


def _explaining(attempt: Callable[[], T]) -> T:
    with explained():
        return attempt()


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
    if _request_error(error) is not None or is_refused(error):
        return True
    if isinstance(error, OSError):
        return error.errno in STORAGE_ERRORS or is_temporary(error)
    return error.error_code in _UNAVAILABLE or bool(_DELETED.search(str(error)))


def _request_error(error: MlflowException | OSError) -> requests.RequestException | None:
    """mlflow wraps those of requests, except where it sends files."""
    return next((e for e in (error, error.__context__) if isinstance(e, requests.RequestException)), None)


def _explanation(error: MlflowException | OSError) -> str:
    store = masked(os.environ.get("MLFLOW_TRACKING_URI", "mlflow.db"))
    return f"wanted the MLflow store {store} to take or give data. Received: {one_line(error)}. Try: {advice(error)}."


MLFLOW = patience.Service(
    name="the MLflow store",
    patience=600.0,
    is_outage=lambda error: isinstance(error, Outage),
    reason=lambda error: one_line(error.__cause__ or error),
)
