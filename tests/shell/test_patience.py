"""Waiting and trying again, on a clock of our own; and passwords that nobody must see."""

from __future__ import annotations

import time

import pytest

from pipeline.shell.patience import Service, has_password, impatient, masked, patiently


class Away(Exception):
    """What time may mend."""


SERVICE = Service("the store", patience=120, is_outage=lambda error: isinstance(error, Away))


@pytest.fixture
def waits(monkeypatch) -> list[float]:
    """What was waited, in seconds; a clock moves on by them and by nothing else."""
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    monkeypatch.setattr(time, "monotonic", lambda: sum(waited))
    return waited


def failing(times: int, error: Exception):
    """Answers after so many failures."""
    left = [error] * times

    def attempt() -> str:
        if left:
            raise left.pop()
        return "answer"

    return attempt


def test_an_answer_comes_without_a_word(waits, capsys):
    assert patiently(SERVICE, lambda: 7) == 7
    assert (waits, capsys.readouterr().err) == ([], "")


def test_waits_grow_and_two_lines_tell_of_them(waits, capsys):
    assert patiently(SERVICE, failing(7, Away("no route\nto postgresql://u:secret@h"))) == "answer"
    assert waits == [0.5, 1, 2, 4, 8, 15, 15]
    assert capsys.readouterr().err.splitlines() == [
        "waiting up to 2 minutes for the store: no route",
        "the store answers again, after 46 s",
    ]


def test_a_service_says_its_reason_without_its_password(waits, capsys):
    service = Service("the store", 60, SERVICE.is_outage, lambda _error: "no answer of postgresql://u:secret@h/db")
    patiently(service, failing(1, Away()))
    assert "for the store: no answer of postgresql://u:***@h/db" in capsys.readouterr().err


def test_the_last_error_is_raised_when_patience_is_over(waits, capsys):
    errors = [Away(str(number)) for number in range(100)]
    tried = iter(errors)

    def attempt() -> None:
        raise next(tried)

    with pytest.raises(Away) as last:
        patiently(SERVICE, attempt)
    assert last.value is errors[len(waits)]
    assert sum(waits) == 120
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_from_the_second_time_on_the_other_function_is_called(waits):
    def attempt() -> str:
        raise Away

    assert patiently(SERVICE, attempt, failing(2, Away())) == "answer"
    assert len(waits) == 3


@pytest.mark.parametrize("outages", [0, 2])
def test_what_no_time_mends_is_raised_at_once(waits, outages):
    left = [ValueError("no"), *[Away()] * outages]

    def attempt() -> None:
        raise left.pop()

    with pytest.raises(ValueError, match="no"):
        patiently(SERVICE, attempt)
    assert len(waits) == outages


def test_the_impatient_hear_of_it_at_once(waits, capsys):
    with impatient():
        with impatient():
            pass
        with pytest.raises(Away):
            patiently(SERVICE, failing(1, Away()))
    assert (waits, capsys.readouterr().err) == ([], "")


PASSWORDS = {
    "postgresql://user:secret@host:5432/db": "postgresql://user:***@host:5432/db",
    "postgresql+psycopg://user:secret@host/db": "postgresql+psycopg://user:***@host/db",
    "postgresql://user:se/cret@host/db": "postgresql://user:***@host/db",
    "postgresql://user:se:cret@host/db": "postgresql://user:***@host/db",
    "postgresql://user:se@cret@host/db": "postgresql://user:***@host/db",
    "postgresql://user:12/secret@host/db": "postgresql://user:***@host/db",
    "postgresql://user:secret?#'\"@host/db": "postgresql://user:***@host/db",
    "postgresql://user:se cret@host/db": "postgresql://user:***@host/db",
    "postgresql://user@corp:secret@host/db": "postgresql://user@corp:***@host/db",
    "postgresql://user:s%40ecret@[::1]:5432/db": "postgresql://user:***@[::1]:5432/db",
    "postgresql://:secret@host": "postgresql://:***@host",
    "http://anna:secret@host:5000": "http://anna:***@host:5000",
    "https://anna:se/cret@host/mlflow": "https://anna:***@host/mlflow",
    "https://anna:5ecret@host": "https://anna:***@host",
    "https://anna:12345@host": "https://anna:***@host",
    "postgresql://host/db?password=secret": "postgresql://host/db?password=***",
    "postgresql://host/db?user=u&password=secret&sslmode=require": (
        "postgresql://host/db?user=u&password=***&sslmode=require"
    ),
    "postgresql://user@host:5432/db?password=se@cret": "postgresql://user@host:5432/db?password=***",
    "postgresql://user:secret@host/db?sslpassword=other": "postgresql://user:***@host/db?sslpassword=***",
    "host=h user=u password=secret dbname=d": "host=h user=u password=*** dbname=d",
    "host=h password='se cret \\'s' dbname=d": "host=h password=*** dbname=d",
    "password = secret host=h": "password = *** host=h",
    "PGPASSWORD=secret psql": "PGPASSWORD=*** psql",
    "wanted a database at postgresql://u:secret@h/d. Received: none.": (
        "wanted a database at postgresql://u:***@h/d. Received: none."
    ),
    "Received: 'postgresql://h/d?password=secret'. Try: it": "Received: 'postgresql://h/d?password=***'. Try: it",
    "python tuning/optimize.py --storage 'postgresql://u:secret@h/d' --trials 8": (
        "python tuning/optimize.py --storage 'postgresql://u:***@h/d' --trials 8"
    ),
    "postgresql://u:secret@h/d and http://v:secret@h2": "postgresql://u:***@h/d and http://v:***@h2",
}


@pytest.mark.parametrize(("text", "shown"), PASSWORDS.items())
def test_a_password_is_masked(text, shown):
    assert masked(text) == shown
    assert has_password(text)
    assert masked(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "postgresql://user@host:5432/db",
        "postgresql://user:@host/db",
        "postgresql://[::1]:5432/db",
        "postgresql:///db?host=/var/run",
        "sqlite:///optuna.db",
        "sqlite:////home/a:b@c/optuna.db",
        "http://127.0.0.1:5000",
        "http://127.0.0.1:5000/#/experiments/1?owner=a@b",
        "http://host:5000 does not answer anna@host",
        "git@github.com:owner/name.git",
        'FATAL: password authentication failed for user "me"',
        "no password supplied: a@b",
    ],
)
def test_other_text_is_left_alone(text):
    assert masked(text) == text
    assert not has_password(text)
