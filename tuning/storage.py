"""Optuna's database: opened with a clear refusal, waited for when it is away, and locked for the life of the driver."""

from __future__ import annotations

import hashlib
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import optuna
import sqlalchemy
import sqlalchemy.exc
from filelock import FileLock, Timeout
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.engine import URL, Connection, make_url

from pipeline.shell import patience
from pipeline.shell.errors import UserError, first_line
from pipeline.shell.patience import Service, masked

T = TypeVar("T")

PATIENCE_SECONDS = 300.0  # how long an outage of the database is waited for
_SQLITE_TIMEOUT = 60  # s; Optuna's own 5 s are too short beside a person who looks at the file with another program
# A PostgreSQL that lost its power, or whose network swallows packets, is noticed within half a minute.
_NETWORK = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30000,
}
_LOCK_KEY = int.from_bytes(hashlib.sha256(b"alpharho driver").digest()[:8], signed=True)
_HOLDER = re.compile(r"alpharho (\d+) (\S+)\.\d+Z (\S+)")  # process id, start, host


def open_storage(url: str) -> RDBStorage:
    """Connects, and creates the tables where there are none; the driver alone may come upon an empty database.

    Raises:
        UserError: the database does not answer, is damaged, of another kind, or of another version of Optuna.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        options = _options(url)
        engine = sqlalchemy.create_engine(url, **options)
        with engine.connect():  # or a server that is not there would be waited for
            pass
        engine.dispose()
        return RDBStorage(url, engine_kwargs=options)
    except (sqlalchemy.exc.SQLAlchemyError, StorageInternalError, RuntimeError, ImportError, OSError) as error:
        raise _unusable(url, error) from error


def open_existing(url: str) -> RDBStorage:
    """As `open_storage`, for who only reads: raises UserError where there is no such file, instead of making it."""
    file = sqlite_file(url)
    if file and not file.exists():
        raise UserError(f"wanted a database that is there. Received: {masked(url)}. Try: --storage URL")
    return open_storage(url)


def waiting(attempt: Callable[[], T], again: Callable[[], T] | None = None) -> T:
    """Calls `attempt`, and after an outage `again`, until the database answers; see `patience.patiently`."""
    return patience.patiently(DATABASE, attempt, again)


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Turns an outage of the database that outlasted all patience into a UserError."""
    try:
        yield
    except (StorageInternalError, sqlalchemy.exc.SQLAlchemyError) as error:
        raise UserError(
            f"wanted the database {masked(url)} to take what was found. Received: {_reason(error)}. "
            "Try: put that right and start again; finished trials are kept"
        ) from error


def sqlite_file(url: str | URL) -> Path | None:
    """None for PostgreSQL; raises UserError where it is neither's."""
    try:
        parsed = make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        raise UserError(
            f"wanted a database URL such as sqlite:///optuna.db for --storage. Received: {masked(str(url))!r}"
        ) from error
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        return Path(parsed.database).resolve()
    if parsed.get_backend_name() != "postgresql":
        raise UserError(f"wanted --storage on sqlite:///FILE or postgresql+psycopg://. Received: {masked(str(url))!r}")
    return None


class LockLostError(UserError):
    """Another driver has the database, and the runs that are open are its own."""


class DriverLock:
    """Held by the one driver of a database, for its whole life; made by `driver_lock`.

    sqlite: a lock on a file beside it, which the system takes back when the process dies. PostgreSQL: an advisory lock
    of a session, which the server takes back with the connection.
    """

    def __init__(self, url: str) -> None:
        self._url, self._file = url, sqlite_file(url)
        started = datetime.now(UTC)
        self._name = f"alpharho {os.getpid()} {started:%Y-%m-%dT%H:%M:%S.%fZ} {socket.gethostname()}"[:63]
        self._lock = FileLock(f"{self._file}.lock", timeout=0) if self._file else None
        self._connection: Connection | None = None

    def acquire(self) -> None:
        """Raises LockLostError, which names the holder, where another driver has it."""
        if self._lock is None:
            self._acquire_on_server()
            return
        _options(self._url)  # or the lock would make a folder whose name is misspelt
        path = Path(self._lock.lock_file)
        try:
            self._lock.acquire()
        except Timeout:
            raise self._refused(path.read_text(errors="replace")) from None
        path.write_text(self._name)

    def check(self) -> None:
        """Before something is written: a restarted server has forgotten the lock, which is then taken again.

        Raises LockLostError where another driver has taken it meanwhile.
        """
        if self._lock is None:
            waiting(self._still_or_again)

    def release(self) -> None:
        """Whether it is held or not."""
        if self._lock is not None:
            self._lock.release()
        elif self._connection is not None:
            with suppress(sqlalchemy.exc.SQLAlchemyError):  # the server is away, and the lock with it
                self._connection.close()
                self._connection.engine.dispose()

    def _still_or_again(self) -> None:
        try:
            if self._connection is None:
                raise sqlalchemy.exc.InvalidRequestError("no connection")
            self._connection.exec_driver_sql("SELECT 1")
        except sqlalchemy.exc.SQLAlchemyError:
            self.release()
            self._connection = None
            self._acquire_on_server()

    def _acquire_on_server(self) -> None:
        options = _options(self._url)
        options["connect_args"] |= {"application_name": self._name}
        engine = sqlalchemy.create_engine(self._url, isolation_level="AUTOCOMMIT", **options)
        connection = engine.connect()
        if connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({_LOCK_KEY})").scalar():
            self._connection = connection
            return
        try:
            holder = connection.exec_driver_sql(_WHO_HOLDS).scalar() or ""
        finally:
            connection.close()
            engine.dispose()
        if holder == self._name:
            # The server has not missed the old connection yet; it will, and that is waited for.
            raise sqlalchemy.exc.InterfaceError("pg_try_advisory_lock", None, Exception("its old connection has it"))
        raise self._refused(holder)

    def _refused(self, holder: str) -> UserError:
        found = _HOLDER.match(holder)
        who = f"process {found[1]} on {found[3]}, started {found[2]}Z" if found else "which does not say who it is"
        return LockLostError(
            f"wanted to be the one driver of {masked(self._url)}. Received: another is at work, {who}. "
            "Try: wait for it or stop it, or name another --storage"
        )


@contextmanager
def driver_lock(url: str) -> Iterator[DriverLock]:
    """Lets one driver at a time into the block. Raises UserError where another one is in, or nothing answers."""
    lock = DriverLock(url)
    try:
        lock.acquire()
    except (sqlalchemy.exc.SQLAlchemyError, ImportError, OSError) as error:
        raise _unusable(url, error) from error
    try:
        yield lock
    finally:
        lock.release()


# A bigint key stands in two columns of pg_locks (PostgreSQL's documentation, "pg_locks").
_WHO_HOLDS = f"""
SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND objsubid = 1
AND (classid::bigint << 32) | objid::bigint = {_LOCK_KEY}
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def _options(url: str) -> dict:
    """For SQLAlchemy's create_engine."""
    file = sqlite_file(url)
    if file and not file.parent.is_dir():  # which the lock would make, after any slip of the pen
        raise FileNotFoundError(f"no folder {file.parent}")
    if file:
        return {"connect_args": {"timeout": _SQLITE_TIMEOUT}}
    # A connection that a restart of the server has cut is noticed when it is taken out of the pool.
    return {"connect_args": dict(_NETWORK), "pool_pre_ping": True}


def _unusable(url: str, error: Exception) -> UserError:
    way = (
        "start its server, upgrade an older one by `optuna storage upgrade`, or name another --storage; "
        "a password goes into PGPASSWORD or PGPASSFILE"
    )
    return UserError(
        f"wanted an Optuna {optuna.__version__} database at {masked(url)}. Received: {_reason(error)}. "
        f"Try: {'a folder that is there and can be written' if isinstance(error, OSError) else way}"
    )


def _reason(error: Exception) -> str:
    return masked(first_line(error.__cause__ if isinstance(error, StorageInternalError) and error.__cause__ else error))


def _is_outage(error: Exception) -> bool:
    """Whether time may mend it: a server that restarts, or a sqlite file that another program has locked."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    if "sqlite3" in str(cause):
        return "is locked" in str(cause)
    lost = isinstance(cause, sqlalchemy.exc.DBAPIError) and cause.connection_invalidated
    return lost or isinstance(cause, (sqlalchemy.exc.OperationalError, sqlalchemy.exc.InterfaceError))


DATABASE = Service("Optuna's database", PATIENCE_SECONDS, _is_outage, _reason)
