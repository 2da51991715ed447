"""A process of a Ray cluster that runs one task after the other, and what the driver asks of it.

Nothing here imports ray before a process of Ray's does, and tensorflow is imported when a worker starts.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.shell import progress
from pipeline.shell.errors import UserError, first_line

ROOT = Path(__file__).parents[1]
HELD = 2  # shared values that a worker keeps beside the one in use: with a table each, more would fill its memory

Kind = Literal["told", "note", "result", "refused", "error"]
"""Of a message: an argument of `tell`, a line for a person, the result, or what a UserError or another error says."""


@dataclass(frozen=True)
class Shared:
    """A value in Ray's object store, which a node fetches once and all of its workers see.

    Attributes:
        ref: Ray's reference to it.
    """

    ref: Any


@dataclass(frozen=True)
class About:
    """A process, as far as it must be like the driver.

    Attributes:
        alpharho: digest of the sources.
    """

    ray: str
    python: str
    alpharho: str

    @classmethod
    def here(cls) -> About:
        """This process."""
        import ray

        return cls(ray.__version__, platform.python_version(), sources())


@functools.cache
def sources() -> str:
    """Twelve hex of a hash over the program's own modules."""
    whole = hashlib.sha256()
    for path in sorted(path for package in ("pipeline", "tuning") for path in (ROOT / package).rglob("*.py")):
        whole.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return whole.hexdigest()[:12]


class Worker:
    """Runs tasks, on as many cores as OMP_NUM_THREADS says and on the GPUs that Ray lets it see.

    Args:
        folder: of the driver, which relative paths are meant from, if this machine has it.
    """

    def __init__(self, folder: str) -> None:
        with contextlib.suppress(OSError):
            os.chdir(folder)
        from pipeline.networks import devices

        devices.set_up()
        self._held: OrderedDict[Any, Any] = OrderedDict()

    def node(self) -> str:
        """The machine's name, for people."""
        return platform.node()

    def run(
        self, fn: Callable[..., Any], args: Any, kwargs: Any, tells: bool, passed: int
    ) -> Iterator[tuple[Kind, Any]]:
        """Calls `fn` in a thread beside, and yields what comes of it: messages, the last of them the result or error.

        Args:
            tells: whether `fn` takes the keyword argument `tell`.
            passed: how many times an earlier attempt told, before its worker died; these are not told again.
        """
        said: queue.SimpleQueue[tuple[Kind, Any]] = queue.SimpleQueue()
        told = iter(range(passed))

        def tell(value: Any) -> None:
            """To the driver, unless it knows."""
            if next(told, None) is None:
                said.put(("told", value))

        def work() -> None:
            """The task itself."""
            try:
                with progress.notes_to(lambda text: said.put(("note", text))):
                    known = {**kwargs, "tell": tell} if tells else kwargs
                    said.put(("result", fn(*map(self._resolved, args), **known)))
            except UserError as error:
                said.put(("refused", str(error)))
            except BaseException as error:
                said.put(("error", f"{type(error).__name__}: {first_line(error)}"))

        threading.Thread(target=work, daemon=True).start()
        while True:
            kind, value = said.get()
            yield kind, value
            if kind in ("result", "refused", "error"):
                return

    def _resolved(self, value: Any) -> Any:
        """What was shared, which stays what it is between tasks."""
        if not isinstance(value, Shared):
            return value
        import ray

        key = value.ref
        if key not in self._held:
            while len(self._held) > HELD - 1:
                self._held.popitem(last=False)
            self._held[key] = ray.get(value.ref)
        self._held.move_to_end(key)
        return self._held[key]
