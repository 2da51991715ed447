"""Real servers for tests: PostgreSQL and `mlflow server`, as processes of this machine that end with their block."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

USER = "alpharho"
MLFLOW_START = 120  # s; 11 to 30 are usual on two cores


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def why_no_postgres() -> str:
    """Why this machine cannot start a PostgreSQL server, or nothing where it can."""
    missing = [tool for tool in ("initdb", "pg_ctl", "postgres") if _binary(tool) is None]
    if missing:
        return f"no {missing[0]} of PostgreSQL on PATH or in /usr/lib/postgresql/*/bin: install PostgreSQL's server"
    if importlib.util.find_spec("psycopg") is None:
        return "no psycopg: install the extra `distributed`"
    return ""


class Postgres:
    """A PostgreSQL server with a data folder of its own, a free port of 127.0.0.1 and one user with a password.

    Its settings are the defaults, so what is committed survives a crash (fsync is on). As root it runs as the user
    postgres or nobody. `with Postgres() as server:` starts it, stops it and removes its folder.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.password = secrets.token_urlsafe(12)
        # Not below a test's own folder, which other users may not enter; a socket's path has at most 107 bytes.
        self._folder = Path(tempfile.mkdtemp(prefix="pg"))
        self._data = self._folder / "data"

    def __enter__(self) -> Postgres:
        try:
            self._initialise()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        try:
            self.stop()
        finally:
            shutil.rmtree(self._folder)

    def url(self, database: str) -> str:
        """What SQLAlchemy connects to `database` by."""
        return f"postgresql+psycopg://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> str:
        """Makes an empty database and returns its URL."""
        import psycopg

        address = self.url("postgres").replace("+psycopg", "")
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}"'.encode())
        return self.url(database)

    def restart(self) -> None:
        """Fast mode: open transactions are rolled back and their connections cut. Returns when it answers again."""
        self._ctl("restart", "-w", "-t", "60", "-m", "fast", "-l", str(self._folder / "log"))

    def start(self) -> None:
        """After `stop`."""
        self._ctl("start", "-w", "-t", "60", "-l", str(self._folder / "log"))

    def stop(self) -> None:
        """Fast mode; nothing happens where it is down already."""
        if (self._data / "postmaster.pid").exists():
            self._ctl("stop", "-w", "-t", "60", "-m", "fast")

    def _initialise(self) -> None:
        password = self._folder / "password"
        password.write_text(self.password)
        if os.geteuid() == 0:
            for path in (self._folder, password):
                shutil.chown(path, _unprivileged().pw_uid)
        how = (f"--username={USER}", "--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8", "--locale=C")
        self._call("initdb", f"--pgdata={self._data}", *how)
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(f"listen_addresses = '127.0.0.1'\nport = {self.port}\n")
            file.write(f"unix_socket_directories = '{self._folder}'\n")

    def _ctl(self, action: str, *options: str) -> None:
        self._call("pg_ctl", action, f"--pgdata={self._data}", *options)

    def _call(self, tool: str, *arguments: str) -> None:
        who: dict[str, Any] = {}
        if os.geteuid() == 0:
            account = _unprivileged()
            who = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        command = [str(_binary(tool)), *arguments]
        done = subprocess.run(command, cwd=self._folder, text=True, capture_output=True, **who)
        if done.returncode:
            log = self._folder / "log"
            raise RuntimeError(f"{tool}: {done.stdout}{done.stderr}{log.read_text() if log.exists() else ''}")


class MlflowServer:
    """`mlflow server` on a free port of 127.0.0.1, with its output in folder/mlflow.log.

    Args:
        backend: the URI of its database.
        folder: it is made where it is missing; uploaded files go to folder/artifacts.
        options: further flags of `mlflow server`.
    """

    def __init__(self, backend: str, folder: Path, options: Sequence[str] = ()) -> None:
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.log = folder / "mlflow.log"
        self._folder = folder
        self.flags = [
            *("--host", "127.0.0.1", "--port", str(self.port), "--workers", "1", "--backend-store-uri", backend),
            *("--artifacts-destination", str(folder / "artifacts"), *options),
        ]
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> MlflowServer:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.kill()

    def start(self) -> None:
        """Starts it, again on the same port, and returns when it answers."""
        self.spawn()
        self.wait()

    def spawn(self) -> None:
        """Starts it, in place of one that runs, and does not wait for it."""
        self.kill()
        self._folder.mkdir(parents=True, exist_ok=True)
        # Its own queue of jobs would only take longer to start; it must not take the tests' store for its own.
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_TRACKING_URI": ""}
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *self.flags],
                cwd=self._folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Until it answers. Raises RuntimeError where it ends instead, or does not answer in two minutes."""
        deadline = time.monotonic() + MLFLOW_START
        while not self.answers():
            if time.monotonic() > deadline:
                raise RuntimeError(self.log.read_text())
            time.sleep(0.2)

    def answers(self) -> bool:
        """Whether it is up. Raises RuntimeError, with its log, where it has ended."""
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(self.log.read_text())
        try:
            urllib.request.urlopen(f"{self.address}/health", timeout=2)
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL to it and to its workers, as a power cut would."""
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


def _binary(tool: str) -> Path | None:
    """The newest of Debian's, which are not on PATH there, where PATH has none."""
    found = shutil.which(tool)
    if found:
        return Path(found)
    versions = Path("/usr/lib/postgresql").glob(f"*/bin/{tool}")
    return max(versions, key=lambda path: float(path.parts[-3]), default=None)


def _unprivileged() -> pwd.struct_passwd:
    """Who runs it in root's place. Raises KeyError where there is nobody."""
    known = {account.pw_name: account for account in pwd.getpwall()}
    return known.get("postgres") or known["nobody"]
