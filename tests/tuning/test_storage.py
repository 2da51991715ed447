"""Optuna's database on real files and a real server: refusals, outages, locks and transactions."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path

import optuna
import pytest
import sqlalchemy
import sqlalchemy.exc
from optuna.exceptions import StorageInternalError

from pipeline.shell.errors import UserError
from tests import studies
from tests.studies import processes
from tuning import storage
from tuning.storage import LockedElsewhereError, TransactionLostError, exclusive, open_storage, patiently, transaction


def _open(url: str) -> int:
    return len(open_storage(url).get_all_studies())


def test_six_processes_may_start_on_nothing(any_url):
    with processes(6) as pool:
        assert pool.map(_open, [any_url] * 6) == [0] * 6


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
def test_a_url_that_leads_nowhere_is_refused(wrong, tmp_path):
    (tmp_path / "a_file").touch()
    with pytest.raises(UserError, match="Received"):
        open_storage(wrong.format(tmp_path=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["a_file"]


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


@pytest.mark.postgres
def test_a_read_only_server_is_told_in_one_line(postgres):
    address = postgres.create("readonly")
    open_storage(address)
    with pytest.raises(UserError, match="read-only") as refusal, storage.explained(address):
        studies.open_study(f"{address}?options=-c%20default_transaction_read_only%3Don")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://me:hush@here/db",
        "postgresql+psycopg://me:hu/sh@here/db",
        "postgresql+psycopg://me:hush@here:port/db",
        "postgresql+psycopg//me:hush@here/db",
        "postgresql+psycopg://me@here/db?password=hush",
        "--storage=postgresql+psycopg://me:hush@here/db",
    ],
)
def test_a_password_is_not_shown(url):
    assert "***" in storage.shown(url)
    assert "sh" not in storage.shown(url)


def test_an_outage_is_waited_for_and_told_once(capsys):
    answers = iter([_outage(), _outage(), "at last"])

    def action():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert patiently(action) == "at last"
    told = capsys.readouterr().err.splitlines()
    assert ["trying again" in told[0], "answers again" in told[1], len(told)] == [True, True, 2]


def _outage() -> StorageInternalError:
    error = StorageInternalError("commit")
    error.__cause__ = sqlalchemy.exc.OperationalError("SELECT 1", {}, Exception("the server is starting up"))
    return error


def test_what_waiting_does_not_mend_is_raised_at_once(url):
    with pytest.raises(sqlalchemy.exc.OperationalError, match="no such table"):
        patiently(lambda: _query(url, "SELECT * FROM absent"))


def _query(url: str, statement: str) -> None:
    with sqlalchemy.create_engine(url).connect() as connection:
        connection.exec_driver_sql(statement)


@pytest.mark.postgres
@pytest.mark.slow
def test_a_restarted_server_is_found_again(postgres):
    opened = open_storage(postgres.create("restarted"))
    optuna.create_study(storage=opened, study_name="s")
    postgres.restart()
    assert patiently(lambda: [study.study_name for study in opened.get_all_studies()]) == ["s"]


def test_one_at_a_time_has_a_lock(any_url):
    engine = open_storage(any_url).engine
    with exclusive(engine, "cell"):
        with pytest.raises(LockedElsewhereError), exclusive(engine, "cell", wait=False):
            pass
        with exclusive(engine, "other", wait=False):
            pass
    with exclusive(engine, "cell", wait=False):
        pass


def test_a_lock_ends_with_an_exception(any_url):
    engine = open_storage(any_url).engine
    with pytest.raises(ZeroDivisionError), exclusive(engine, "cell"):
        raise ZeroDivisionError
    with exclusive(engine, "cell", wait=False):
        pass


@pytest.mark.postgres
def test_a_lock_that_the_server_took_back_is_free_and_the_block_goes_on(postgres):
    engine = open_storage(postgres.create("lost")).engine
    address = engine.url.render_as_string(hide_password=False)
    with exclusive(engine, "cell") as held:
        assert held()
        _query(address, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
        assert not held()
        with exclusive(engine, "cell", wait=False):
            pass


def test_a_transaction_writes_all_or_nothing(any_url):
    opened = open_storage(any_url)
    study = optuna.create_study(storage=opened, study_name="s")
    study_id = opened.get_study_id_from_name("s")
    with pytest.raises(KeyError), transaction(opened, "s") as joined:
        joined.set_trial_user_attr(joined.create_new_trial(study_id) + 1, "a", 1)
    assert study.get_trials() == []
    with transaction(opened, "s") as joined:
        trial_id = joined.create_new_trial(study_id)
        joined.set_trial_user_attr(trial_id, "a", 1)
        assert study.get_trials() == []
    assert [trial.user_attrs for trial in study.get_trials()] == [{"a": 1}]


def test_a_transaction_of_which_a_statement_failed_is_lost_whole(any_url):
    """Optuna tries to begin a trial five times: the later attempts would be outside the transaction and its lock."""
    opened = open_storage(any_url)
    study = optuna.create_study(storage=opened, study_name="s")
    study_id, fails = opened.get_study_id_from_name("s"), [True]

    def fail_once(_connection, _cursor, statement, *_rest) -> None:
        if fails and statement.startswith("INSERT INTO trials"):
            fails.clear()
            raise sqlalchemy.exc.OperationalError(statement, {}, Exception("terminating connection"))

    def begin_two() -> None:
        with transaction(opened, "s") as joined:
            joined.create_new_trial(study_id)
            fails.append(True)
            joined.create_new_trial(study_id)

    fails.clear()
    sqlalchemy.event.listen(opened.engine, "before_cursor_execute", fail_once)
    with pytest.raises(TransactionLostError):
        begin_two()
    assert study.get_trials() == []
    with transaction(opened, "s") as joined:  # the lock is free
        joined.create_new_trial(study_id)
    assert len(study.get_trials()) == 1


def test_transactions_of_one_study_come_one_after_the_other(any_url):
    opened = open_storage(any_url)
    seen: list[str] = []

    def other() -> None:
        with transaction(opened, "s"):
            seen.append("second")

    with transaction(opened, "s"):
        thread = threading.Thread(target=other)
        thread.start()
        time.sleep(0.3)
        seen.append("first")
    thread.join(30)
    assert seen == ["first", "second"]
