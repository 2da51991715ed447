"""Where tasks run: behind the Executor protocol of concurrent.futures, so that nobody else needs to know.

A task is a plain function of its arguments that writes nothing. One that tells of itself while it runs takes a keyword
argument `tell`, a function of the driver; an executor that runs tasks elsewhere carries what is told back, and calls it
there, in the driver.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


class InlineExecutor(Executor):
    """Runs each task in the driver itself, while it is submitted."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """A future that is done; what `fn` raised comes out of its `result`, an interrupt at once."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future
