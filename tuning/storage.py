"""Optuna's database: opened with a clear refusal, outlasting its outages, and locked where two must not act at once."""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import optuna
import sqlalchemy
import sqlalchemy.exc
from filelock import FileLock, Timeout
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.orm import Session, SessionTransaction, scoped_session, sessionmaker

from pipeline.shell import progress
from pipeline.shell.errors import UserError, first_line

T = TypeVar("T")

OUTAGES = (StorageInternalError, sqlalchemy.exc.SQLAlchemyError)  # what a database that is away raises

HEARTBEAT_SECONDS = 5  # how often a process says of each trial in training that it lives
GRACE_SECONDS = 30  # after which a silent trial is taken for dead
PATIENCE_SECONDS = 300  # how long an outage of the database is waited for
_patience = float(PATIENCE_SECONDS)
_LONGEST_WAIT = 10  # s, between two attempts
_SQLITE_TIMEOUT = 60  # s; six writers had no "database is locked" with it
# A PostgreSQL that lost its power, or whose network swallows packets, is noticed within half a minute.
_NETWORK = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30000,
}
_FROZEN_SECONDS = 60  # a holder of a lock that is silent for so long loses it: a suspended machine must not stop others


def open_storage(url: str) -> RDBStorage:
    """Connects, and creates the tables where there are none.

    Raises:
        UserError: the database does not answer, is damaged, of another kind, or of another version of Optuna.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=ExperimentalWarning)  # heartbeats, since 2021
    try:
        # A connection that a restart of the server has cut is noticed when it is taken out of the pool.
        file = sqlite_file(url)
        options = (
            {"connect_args": {"timeout": _SQLITE_TIMEOUT}}
            if file
            else {"connect_args": _NETWORK, "pool_pre_ping": True}
        )
        if file and not file.parent.is_dir():  # which the lock would make, after any slip of the pen
            raise FileNotFoundError(f"no folder {file.parent}")
        engine = sqlalchemy.create_engine(url, **options)
        with engine.connect():  # or a server that is not there would be waited for
            pass
        # Two processes that create the tables of one database at once leave it broken.
        with exclusive(engine, "tables"):
            return RDBStorage(
                url, engine_kwargs=options, heartbeat_interval=HEARTBEAT_SECONDS, grace_period=GRACE_SECONDS
            )
    except (sqlalchemy.exc.SQLAlchemyError, StorageInternalError, RuntimeError, ImportError, OSError) as error:
        raise UserError(
            f"wanted an Optuna {optuna.__version__} database at {shown(url)!r}. Received: {first_line(error)}. "
            "Try: start its server, upgrade an older one by `optuna storage upgrade`, or name another --storage"
        ) from error


def shown(url: str) -> str:
    """`url` without its password."""
    try:
        parsed = make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        return re.sub(r":[^:@]*@", ":***@", url)
    return re.sub(r"(password=)[^&]*", r"\1***", parsed.render_as_string(hide_password=True))


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Turns an outage of the database in the middle of a sweep into a UserError."""
    try:
        yield
    except (StorageInternalError, sqlalchemy.exc.SQLAlchemyError) as error:
        raise UserError(
            f"wanted the database {shown(url)!r} to take what was found. Received: "
            f"{first_line(error.__cause__ or error)}. Try: put that right and start again; "
            "finished trials are kept"
        ) from error


@contextmanager
def impatient() -> Iterator[None]:
    """Inside, `patiently` tries once: who stops a program does not wait for minutes."""
    global _patience
    before, _patience = _patience, 0.0
    try:
        yield
    finally:
        _patience = before


def patiently(action: Callable[[], T]) -> T:
    """Calls `action`, which must do no harm when it is done twice, until the database answers.

    Raises what `action` raised last after PATIENCE_SECONDS, and at once what waiting does not mend.
    """
    begun, wait, waited = time.monotonic(), 0.5, False
    while True:
        try:
            result = action()
        except (StorageInternalError, sqlalchemy.exc.SQLAlchemyError, TransactionLostError) as error:
            if not _is_outage(error) or time.monotonic() - begun > _patience:
                raise
            if not waited:
                reason = first_line(error.__cause__ or error)
                progress.note(f"Optuna's database does not answer ({reason}); trying again for {PATIENCE_SECONDS} s")
            waited = True
            time.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)
        else:
            if waited:
                progress.note("Optuna's database answers again")
            return result


def _is_outage(error: BaseException) -> bool:
    """Whether time may mend it: a server that restarts, or a sqlite file that another process has locked."""
    if isinstance(error, TransactionLostError):
        return True
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    if "sqlite3" in str(cause):
        return "is locked" in str(cause)
    lost = isinstance(cause, sqlalchemy.exc.DBAPIError) and cause.connection_invalidated
    return lost or isinstance(cause, (sqlalchemy.exc.OperationalError, sqlalchemy.exc.InterfaceError))


class TransactionLostError(Exception):
    """A statement failed, so that everything before it in the transaction is gone."""


@contextmanager
def transaction(storage: RDBStorage, name: str) -> Iterator[RDBStorage]:
    """Yields `storage` as one that writes all or nothing, when the block ends, and lets one process at a time in.

    Optuna commits every attribute and state for itself, which takes a disk's time for each and can be broken off in
    between. Only the storage that is yielded may write in the block; it raises as any does when the database is lost.

    Args:
        name: of the study. On PostgreSQL other studies' transactions go on beside this one.
    """
    with storage.engine.connect() as connection:
        if sqlite_file(storage.engine.url):
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            _take_advisory_lock(connection, f"transaction {name}")
        begun = connection.get_transaction()
        # The sessions' commits stay within the connection's transaction; a rollback ends it.
        maker = sessionmaker(bind=connection, join_transaction_mode="rollback_only")

        @event.listens_for(maker, "after_begin")
        def require_same(_session: Session, _of_session: SessionTransaction, _connection: Connection) -> None:
            # Optuna tries some writes again: that would be in a transaction of its own, without the lock.
            if connection.get_transaction() is not begun:
                raise TransactionLostError

        joined = RDBStorage.__new__(RDBStorage)
        joined.__dict__.update(storage.__dict__)
        joined.scoped_session = scoped_session(maker)
        yield joined
        if begun is None or not begun.is_active:
            raise TransactionLostError
        begun.commit()


class LockedElsewhereError(Exception):
    """Another process has the lock."""


@contextmanager
def exclusive(engine: Engine, name: str, wait: bool = True) -> Iterator[Callable[[], bool]]:
    """Lets one process of all machines at a time into the block, however long it takes; yields "is it still so?".

    It does not keep `transaction` out, which may stand inside. sqlite: a lock file beside it. PostgreSQL: an advisory
    lock, which the server takes back when the process dies, when its machine is silent for a minute, and when the
    server itself is restarted. Then others may come in, so what the block does must bear being done twice.

    Raises:
        LockedElsewhereError: without `wait`, when another process is in.
    """
    file = sqlite_file(engine.url)
    with _file_lock(file, name, wait) if file else _advisory_lock(engine, f"exclusive {name}", wait) as held:
        yield held


@contextmanager
def _file_lock(file: Path, name: str, wait: bool) -> Iterator[Callable[[], bool]]:
    lock = FileLock(f"{file}.locks/{_digest(name).hex()}", timeout=-1 if wait else 0)
    try:
        lock.acquire()
    except Timeout as error:
        raise LockedElsewhereError from error
    try:
        yield lambda: True
    finally:
        lock.release()


@contextmanager
def _advisory_lock(engine: Engine, name: str, wait: bool) -> Iterator[Callable[[], bool]]:
    connection, one_at_a_time = patiently(lambda: _locked(engine, name, wait)), threading.Lock()

    def held() -> bool:
        try:
            with one_at_a_time:
                connection.exec_driver_sql("SELECT 1")
        except sqlalchemy.exc.SQLAlchemyError:
            return False
        return True

    def keep_alive() -> None:
        while not done.wait(HEARTBEAT_SECONDS) and held():
            pass

    done = threading.Event()
    alive = threading.Thread(target=keep_alive, daemon=True)
    alive.start()
    try:
        yield held
    finally:
        done.set()
        alive.join()
        with contextlib.suppress(sqlalchemy.exc.SQLAlchemyError):  # lost before
            connection.close()


def _locked(engine: Engine, name: str, wait: bool) -> Connection:
    connection = engine.connect()
    try:
        _take_advisory_lock(connection, name, wait)
    except BaseException:
        connection.close()
        raise
    return connection


def _take_advisory_lock(connection: Connection, name: str, wait: bool = True) -> None:
    """Until the end of the connection's transaction."""
    key = int.from_bytes(_digest(name), signed=True)
    connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = '{_FROZEN_SECONDS}s'")
    if wait:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({key})")
    elif not connection.exec_driver_sql(f"SELECT pg_try_advisory_xact_lock({key})").scalar():
        raise LockedElsewhereError


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()[:8]


def sqlite_file(url: str | URL) -> Path | None:
    """None for PostgreSQL; raises UserError where it is neither's."""
    try:
        parsed = make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        raise UserError(
            f"wanted a database URL such as sqlite:///optuna.db for --storage. Received: {shown(str(url))!r}"
        ) from error
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        return Path(parsed.database).absolute()
    if parsed.get_backend_name() != "postgresql":
        raise UserError(
            "wanted --storage on sqlite:///FILE or postgresql+psycopg://, where a sweep can be shared safely. "
            f"Received: {shown(str(url))!r}"
        )
    return None
