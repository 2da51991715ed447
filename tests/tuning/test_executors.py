from __future__ import annotations

from concurrent.futures import as_completed

import pytest

from tuning.executors import InlineExecutor


def test_a_task_has_run_when_it_was_submitted():
    told: list[int] = []
    with InlineExecutor() as executor:
        future = executor.submit(lambda number, tell: tell(number) or number + 1, 1, tell=told.append)
        assert told == [1]
        assert [done.result() for done in as_completed([future])] == [2]


def test_an_error_comes_out_of_the_result():
    future = InlineExecutor().submit(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        future.result()


def test_an_interrupt_is_not_kept():
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        InlineExecutor().submit(interrupted)
