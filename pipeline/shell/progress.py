"""What a person is shown: tables on stdout, bars and notes on stderr, so that what a program prints can be piped."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

_shown = True
_notes: Callable[[str], None] | None = None  # where they go instead of stderr
_live: Progress | None = None  # what shows the bars that are open
_open = 0  # how many these are


class _Rate(ProgressColumn):
    """Units per second so far."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f} {task.fields['unit']}/s" if speed else "", no_wrap=True)


def show(table: Table) -> None:
    """Prints a table to stdout; brackets and colons in names are text, and no markup of rich's."""
    Console(markup=False, emoji=False).print(table)


def note(text: str) -> None:
    """One line for the person who waits."""
    if _notes is None:
        print(text, file=sys.stderr, flush=True)
    else:
        _notes(text)


@contextmanager
def notes_to(receive: Callable[[str], None]) -> Iterator[None]:
    """In the block, in all of the process, notes go to `receive`: a worker's are for whoever waits at the driver."""
    global _notes
    before, _notes = _notes, receive
    try:
        yield
    finally:
        _notes = before


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keeps what C++ code writes to file descriptor 2, and shows it only where the block fails."""
    with tempfile.TemporaryFile() as kept:
        shown = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(shown, kept.read())
            raise
        finally:
            os.dup2(shown, 2)
            os.close(shown)


@contextmanager
def no_bars() -> Iterator[None]:
    """Shows none in the block, whoever would."""
    global _shown
    before, _shown = _shown, False
    try:
        yield
    finally:
        _shown = before


@contextmanager
def bar(title: str, total: int, unit: str, late: bool = False) -> Iterator[Callable[[int], None]]:
    """Shows a bar while the block runs; yields `advance(count)`.

    Bars of blocks that overlap stand one below the other. Where stderr is no terminal, rich prints finished bars alone.

    Args:
        late: its clock begins with the first call of `advance`, so that making ready does not count.
    """
    global _live, _open
    if _live is None:
        _live = Progress(*_columns(), console=Console(stderr=True), disable=not _shown)
        _live.start()
    _open += 1
    progress = _live
    task = progress.add_task(title, total=total, start=not late, unit=unit)
    started = not late

    def advance(count: int) -> None:
        """Moves the bar."""
        nonlocal started
        if not started:
            progress.start_task(task)
            started = True
        progress.advance(task, count)

    try:
        yield advance
    finally:
        _open -= 1
        if not _open:
            _live = None
            progress.stop()


def _columns() -> tuple[ProgressColumn, ...]:
    return (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
