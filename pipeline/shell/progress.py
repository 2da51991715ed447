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


class _Rate(ProgressColumn):
    """Units per second so far."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f} {self.unit}/s" if speed else "", no_wrap=True)


def show(table: Table) -> None:
    """Prints a table to stdout; brackets and colons in names are text, and no markup of rich's."""
    Console(markup=False, emoji=False).print(table)


def note(text: str) -> None:
    """One line for the person who waits."""
    print(text, file=sys.stderr, flush=True)


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

    Where stderr is no terminal, rich prints the finished bar alone.

    Args:
        late: its clock begins with the first call of `advance`, so that making ready does not count.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        _Rate(unit),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not _shown) as progress:
        task = progress.add_task(title, total=total, start=not late)

        def advance(count: int) -> None:
            """Moves the bar."""
            if not progress.tasks[0].started:
                progress.start_task(task)
            progress.advance(task, count)

        yield advance
