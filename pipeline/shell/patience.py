"""The one way to wait for a service that is away and to try again, and the one mask for passwords.

DATABASE = Service("Optuna's database", patience=300, is_outage=lambda error: isinstance(error, OperationalError))
trials = patiently(DATABASE, lambda: study.trials)
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from pipeline.shell.errors import first_line
from pipeline.shell.progress import note

T = TypeVar("T")

FIRST_WAIT, LONGEST_WAIT = 0.5, 15.0  # s; doubled each time

_MASK = "***"
# As SQLAlchemy reads a URL: a user's name may hold an @, a password anything. Of an http address digits are a port.
_OF_USER = re.compile(
    r"(\bhttps?://[^\s:/\[]*:)(?!\d+(?:[/?#\s'\")]|$))\S+@|(\b(?!https?:)[a-z][\w+.-]*://[^\s:/\[]*:)\S+@",
    re.IGNORECASE,
)
_WITH_BLANKS = re.compile(r"(\A(?!https?:)[a-z][\w+.-]*://[^\s:/\[]*:)(?!\d+(?:[/?\s]|$))[^@]+@", re.IGNORECASE)
# Of a query, a libpq string or a shell's environment; a quote around all of it stays.
_NAMED = re.compile(
    r"(\b\w*password\s*=\s*)"
    r"(?:'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|[^&\s]+?(?=['\"][\])}.,;:]*(?:\s|\Z)|&|\s|\Z))",
    re.IGNORECASE,
)
_impatient = 0  # how many blocks of `impatient` we are in


@dataclass(frozen=True)
class Service:
    """Something outside of the process that may be away for a while.

    Attributes:
        name: as a person is told: "the MLflow store".
        patience: s from the first failure until we give up.
        is_outage: whether time may mend this error.
        reason: what an error says, in one line.
    """

    name: str
    patience: float
    is_outage: Callable[[Exception], bool]
    reason: Callable[[Exception], str] = first_line


def patiently(service: Service, attempt: Callable[[], T], again: Callable[[], T] | None = None) -> T:
    """Calls `attempt` until the service answers, with growing waits, and `again` instead after the first time.

    An attempt that failed may have been carried out all the same: both must do no harm when that is so. Raises the last
    error when the service's patience is over, at once where it is no outage, and at once inside `impatient`.
    """
    try:
        return attempt()
    except Exception as error:
        if _impatient or not service.is_outage(error):
            raise
        why = service.reason(error)
    note(masked(f"waiting up to {service.patience / 60:.0f} minutes for {service.name}: {why}"))
    begun, wait = time.monotonic(), FIRST_WAIT
    while True:
        time.sleep(max(0.0, min(wait, begun + service.patience - time.monotonic())))
        try:
            answer = (again or attempt)()
        except Exception as error:
            over = time.monotonic() - begun >= service.patience
            if over or _impatient or not service.is_outage(error):
                raise
            wait = min(2 * wait, LONGEST_WAIT)
        else:
            note(f"{service.name} answers again, after {time.monotonic() - begun:.0f} s")
            return answer


@contextmanager
def impatient() -> Iterator[None]:
    """Inside, in all of the process, the first failure of any service is raised at once."""
    global _impatient
    _impatient += 1
    try:
        yield
    finally:
        _impatient -= 1


def masked(text: str) -> str:
    """`text` - a URL, a message, a command line - with *** for every password of a URL or a libpq string in it."""
    return _mask(text)[0]


def has_password(url: str) -> bool:
    """Whether a URL, or a libpq string, holds a password."""
    return _mask(url)[1] > 0


def _mask(text: str) -> tuple[str, int]:
    """The masked text, and how many passwords it had."""
    text, named = _NAMED.subn(rf"\g<1>{_MASK}", text)
    text, of_users = _OF_USER.subn(lambda found: f"{found[1] or found[2]}{_MASK}@", text)
    text, with_blanks = _WITH_BLANKS.subn(rf"\g<1>{_MASK}@", text) if not of_users else (text, 0)
    return text, named + of_users + with_blanks
