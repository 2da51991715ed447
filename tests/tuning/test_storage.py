"""Optuna's database on real files and a real server: refusals, outages, and the one driver's lock."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
import sqlalchemy
import sqlalchemy.exc
from optuna.exceptions import StorageInternalError

from pipeline.shell import patience
from pipeline.shell.errors import UserError
from tests.study_samples import open_study, run_round
from tuning import storage
from tuning.storage import DriverLock, driver_lock, open_existing, open_storage, waiting

ROOT = Path(__file__).parents[2]


def test_a_file_that_is_no_database_is_refused(tmp_path):
    Path(tmp_path, "optuna.db").write_text("not a database, but long enough to look like a header of one" * 20)
    with pytest.raises(UserError, match="not a database"):
        open_storage(f"sqlite:///{tmp_path}/optuna.db")


def test_a_database_of_another_version_is_refused(url, tmp_path):
    open_storage(url)
    with sqlite3.connect(tmp_path / "optuna.db") as database:
        database.execute("UPDATE version_info SET schema_version = 1")
        database.execute("UPDATE alembic_version SET version_num = 'v0.9.0.a'")
    with pytest.raises(UserError, match="upgrade") as refusal:
        open_storage(url)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "wrong",
    [
        "optuna.db",
        "nosuchdb://here",
        "mysql://here/db",
        "postgresql://me@here:port/db",
        "sqlite:///{tmp_path}/a_file/optuna.db",
    ],
)
@pytest.mark.parametrize("opens", [open_storage, lambda url: driver_lock(url).__enter__()])
def test_a_url_that_leads_nowhere_is_refused(wrong, opens, tmp_path):
    (tmp_path / "a_file").touch()
    with pytest.raises(UserError, match="Received"):
        opens(wrong.format(tmp_path=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["a_file"]


def test_who_only_reads_makes_no_database(tmp_path):
    with pytest.raises(UserError, match=r"typo\.db"):
        open_existing(f"sqlite:///{tmp_path}/typo.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.postgres
def test_a_server_that_refuses_is_told_in_one_line(postgres):
    address = postgres.create("refusals")
    wrong_password = address.replace(f":{postgres.password}@", ":wrong@")
    nobody_there = address.replace(f":{postgres.port}/", ":1/")
    for wrong, reason in (
        (wrong_password, "password authentication failed"),
        (nobody_there, "refused"),
        (postgres.url("nowhere"), "does not exist"),
    ):
        with pytest.raises(UserError, match=reason) as refusal:
            open_storage(wrong)
        assert "\n" not in str(refusal.value)
        assert "wrong@" not in str(refusal.value)
        assert "PGPASSWORD" in str(refusal.value)


@pytest.mark.postgres
def test_a_read_only_server_is_told_in_one_line(postgres):
    address = postgres.create("readonly")
    open_storage(address)
    with pytest.raises(UserError, match="read-only") as refusal, storage.explained(address), patience.impatient():
        open_study(f"{address}?options=-c%20default_transaction_read_only%3Don")
    assert "\n" not in str(refusal.value)


def test_a_second_driver_is_told_of_the_first(any_url):
    with driver_lock(any_url):
        with pytest.raises(UserError) as refusal, driver_lock(any_url):
            pass
        said = str(refusal.value)
        assert f"process {os.getpid()} on " in said
        assert "started 20" in said
        assert "\n" not in said
    with driver_lock(any_url):
        pass


def test_a_drivers_lock_ends_with_its_process(any_url):
    hold = "from tuning.storage import driver_lock; held = driver_lock(input()); held.__enter__(); print(1); input()"
    holder = subprocess.Popen(
        [sys.executable, "-u", "-c", hold], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    print(any_url, file=holder.stdin, flush=True)
    assert holder.stdout.readline() == "1\n"
    with pytest.raises(UserError, match=f"process {holder.pid} on"), driver_lock(any_url):
        pass
    holder.kill()
    holder.wait()
    waiting(DriverLock(any_url).acquire)  # a server notices a closed connection a moment later


@pytest.mark.postgres
def test_a_lock_that_a_restarted_server_forgot_is_taken_again(postgres):
    address = postgres.create("restarted")
    with driver_lock(address) as lock:
        postgres.restart()
        lock.check()
        with pytest.raises(UserError, match="another is at work"), driver_lock(address):
            pass
        postgres.restart()
        with driver_lock(address), pytest.raises(UserError, match="another is at work"):
            lock.check()


@pytest.mark.postgres
def test_a_restarted_server_is_waited_for(postgres):
    study = open_study(postgres.create("waited"))
    run_round(study)
    postgres.restart()
    assert len(run_round(study)) == 8
    assert len(study.study.get_trials()) == 16


def test_what_waiting_does_not_mend_is_raised_at_once():
    calls = []

    def fails():
        calls.append(0)
        raise StorageInternalError from sqlalchemy.exc.IntegrityError("INSERT", {}, Exception("sqlite3: twice"))

    with pytest.raises(StorageInternalError):
        waiting(fails)
    assert len(calls) == 1


def test_a_locked_file_is_waited_for(url, tmp_path):
    open_storage(url)
    other = sqlite3.connect(tmp_path / "optuna.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    engine = sqlalchemy.create_engine(url, connect_args={"timeout": 0.1})
    tries = []

    def write():
        tries.append(0)
        if len(tries) == 2:
            other.execute("ROLLBACK")
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE t (i)")

    waiting(write)
    assert len(tries) == 2


def test_optuna_stays_quiet(url):
    open_storage(url)
    assert optuna.logging.get_verbosity() == optuna.logging.WARNING
