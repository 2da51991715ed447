"""Where tasks run: behind the Executor protocol of concurrent.futures, so that nobody else needs to know.

A task is a plain function of its arguments that writes nothing. One that tells of itself while it runs takes a keyword
argument `tell`, a function of the driver; an executor that runs tasks elsewhere carries what is told back, and calls it
there, in the driver's own thread, while the driver waits.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


class TaskError(Exception):
    """A task that ran elsewhere ended by an error of its own, or took worker after worker with it; says why."""


class TaskExecutor(Executor):
    """What the driver asks of an executor beside `submit`.

    Attributes:
        at_once: how many tasks run side by side.
    """

    at_once = 1

    def share(self, value: T) -> T:
        """What tasks are to be handed in place of `value`, which many of them want: it is sent once for all."""
        return value

    def everywhere(self, fn: Callable[..., Any], /, *args: Any) -> None:
        """Calls `fn` on each machine that tasks run on. Raises UserError, which names the machine, where it does."""

    @abstractmethod
    def wait(self, futures: Collection[Future[Any]]) -> None:
        """Returns when one of `futures`, or more, are done, and at once where there are none."""


class InlineExecutor(TaskExecutor):
    """Runs each task in the driver itself, while it is submitted."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """A future that is done; what `fn` raised comes out of its `result`, an interrupt at once."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future

    def wait(self, futures: Collection[Future[Any]]) -> None:
        """All are done."""
