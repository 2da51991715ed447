"""Tasks on a Ray cluster: `--executor ray`. Nothing else imports ray, and this file only where it is asked for.

Each of the workers is an actor, a process that has imported tensorflow and keeps what it was handed last, and runs one
task at a time. The driver hands out tasks in the order in which they were submitted, and to a worker that dies it gives
a successor; the task goes to whoever is free next, MOST_DEATHS times at most. All of it happens in the driver's thread,
in `submit` and `wait`.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from pipeline.config import SweepConfig
from pipeline.shell import progress
from pipeline.shell.errors import UserError, first_line
from tuning import nodes
from tuning.executors import TaskError, TaskExecutor
from tuning.worker import About, Shared, Worker

T = TypeVar("T")

MOST_DEATHS = 3  # of workers by the same task; then it is the task that kills them
_LOOK = 1.0  # s; so often the driver looks up where nothing happens
_JOINS = 60.0  # s that nodes have to join a cluster that is starting
_SLOW = 60.0  # s without a worker, after which it is told


@dataclass(eq=False)
class _Job:
    """A task that was submitted.

    Attributes:
        told: how many times it has told of itself.
        deaths: how many workers died of it.
    """

    future: Future[Any]
    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    tell: Callable[[Any], None] | None
    told: int = 0
    deaths: int = 0


@dataclass(eq=False)
class _Slot:
    """A worker, and what it is at.

    Attributes:
        actor: Ray's handle.
        node: the name of its machine, once it is up.
        awaited: what Ray is asked for next: the name of the machine, or the stream of messages of `job`.
    """

    actor: Any
    awaited: Any
    node: str = ""
    job: _Job | None = None


class RayExecutor(TaskExecutor):
    """See executors.TaskExecutor.

    Raises UserError where the cluster is not there, is not like the driver, or has not what is asked for.
    """

    def __init__(self, config: SweepConfig) -> None:
        self._ray = nodes.connect(config.ray_address)
        try:
            self._share = self._room_for(config)
            nodes.require_alike(About.here(), nodes.look_at(self._ray))
            self._slots = [self._started() for _ in range(self._share.workers)]
        except BaseException:
            self._ray.shutdown()
            raise
        self.at_once = self._share.workers
        self._jobs: deque[_Job] = deque()
        self._idle_since, self._failed_starts = time.monotonic(), 0  # of workers in a row
        several = "s" if self.at_once > 1 else ""
        progress.note(f"{self.at_once} worker{several} on Ray, {self._share}")

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """A future, to be waited for by `wait`. An error of the task's own comes out of its `result` as a TaskError."""
        tell = kwargs.pop("tell", None)
        job = _Job(Future(), fn, args, kwargs, tell)
        self._jobs.append(job)
        self._hand_out()
        return job.future

    def share(self, value: T) -> T:
        """Into Ray's object store, for as long as what is returned is held."""
        return Shared(self._ray.put(value))  # type: ignore[return-value]

    def everywhere(self, fn: Callable[..., Any], /, *args: Any) -> None:
        """On every worker that is up, and on at least one."""
        while not any(slot.node for slot in self._slots):
            self._look()
        asked = [(slot, self._stream(slot, _Job(Future(), fn, args, {}, None))) for slot in self._slots if slot.node]
        for slot, stream in asked:
            try:
                kind, value = [self._ray.get(ref) for ref in stream][-1]
            except self._ray.exceptions.RayError as error:
                self._replace(slot, first_line(error))
                continue
            if kind != "result":
                raise UserError(f"node {slot.node}: {value}")

    def wait(self, futures: Collection[Future[Any]]) -> None:
        """Meanwhile what tasks tell is passed on."""
        while futures and not any(future.done() for future in futures):
            self._look()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends the workers, whatever they are at, and leaves the cluster."""
        for slot in self._slots:
            with contextlib.suppress(self._ray.exceptions.RayError):
                self._ray.kill(slot.actor)
        self._slots = []
        self._ray.shutdown()

    def _room_for(self, config: SweepConfig) -> nodes.Share:
        """Waits a while for nodes that are still to join a cluster. Raises UserError where there is no room."""
        asked = config.workers, config.cpus_per_worker, config.gpus_per_worker
        until, told = time.monotonic() + (_JOINS if config.ray_address else 0.0), False
        while True:
            try:
                return nodes.share(nodes.found(self._ray), *asked)
            except UserError as error:
                if time.monotonic() > until:
                    raise
                if not told:
                    progress.note(f"waiting up to {_JOINS:.0f} s for more nodes: {error}")
                told = True
            time.sleep(_LOOK)

    def _started(self) -> _Slot:
        """A worker that is on its way."""
        share = self._share
        environment = {"OMP_NUM_THREADS": str(share.cpus)}
        if not share.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = ""
        actor = (
            self._ray.remote(Worker)
            .options(num_cpus=share.cpus, num_gpus=share.gpus, runtime_env={"env_vars": environment})
            .remote(os.getcwd())
        )
        return _Slot(actor, actor.node.remote())

    def _hand_out(self) -> None:
        for slot in self._slots:
            if slot.node and slot.job is None and self._jobs:
                slot.job = self._jobs.popleft()
                slot.awaited = self._stream(slot, slot.job)

    def _stream(self, slot: _Slot, job: _Job) -> Any:
        run = slot.actor.run.options(num_returns="streaming")
        return run.remote(job.fn, job.args, job.kwargs, job.tell is not None, job.told)

    def _look(self) -> None:
        """Passes on what has arrived, or waits a moment for something to."""
        asked = {slot.awaited: slot for slot in self._slots if slot.awaited is not None}
        ready, _ = self._ray.wait(list(asked), num_returns=1, timeout=_LOOK)
        if ready:
            ready, _ = self._ray.wait(list(asked), num_returns=len(asked), timeout=0)
        for one in ready:
            self._receive(asked[one])
        self._hand_out()
        if any(slot.node for slot in self._slots):
            self._idle_since = time.monotonic()
        elif time.monotonic() - self._idle_since > _SLOW:
            progress.note("waiting for a worker: the cluster has no room for one, or none starts")
            self._idle_since = time.monotonic()

    def _receive(self, slot: _Slot) -> None:
        """The next message of a worker, its end, or its death."""
        errors = self._ray.exceptions
        try:
            if not slot.node:
                slot.node, slot.awaited, self._failed_starts = self._ray.get(slot.awaited), None, 0
            else:
                self._pass_on(slot, *self._ray.get(next(slot.awaited)))
        except StopIteration:
            slot.job, slot.awaited = None, None
        except errors.RayTaskError as error:  # what it told, or its result, cannot be sent
            self._end(slot, TaskError(first_line(error)))
        except errors.RayError as error:
            self._replace(slot, first_line(error))

    def _pass_on(self, slot: _Slot, kind: str, value: Any) -> None:
        job = slot.job
        if job is None:
            return
        if kind == "note":
            progress.note(f"{slot.node}: {value}")
        elif kind == "told" and job.tell is not None:
            job.told += 1
            job.tell(value)
        elif kind == "result":
            job.future.set_result(value)
        elif kind in ("refused", "error"):
            job.future.set_exception(TaskError(value))

    def _end(self, slot: _Slot, error: TaskError) -> None:
        if slot.job is not None and not slot.job.future.done():
            slot.job.future.set_exception(error)
        slot.job, slot.awaited = None, None

    def _replace(self, slot: _Slot, reason: str) -> None:
        """A successor for a worker that died; its task, unless that was done, goes first again."""
        job, place = slot.job, self._slots.index(slot)
        self._failed_starts += not slot.node
        if self._failed_starts > MOST_DEATHS * self.at_once:
            raise UserError(
                f"wanted a worker to start. Received: {reason}, {self._failed_starts} times, and no one that did. "
                "Try: `python -c 'import tensorflow'` on each node, and a look at its memory"
            )
        progress.note(f"a worker{f' on {slot.node}' if slot.node else ''} died; another one is started")
        if job is not None and not job.future.done():
            job.deaths += 1
            if job.deaths < MOST_DEATHS:
                self._jobs.appendleft(job)
            else:
                job.future.set_exception(TaskError(f"{job.deaths} workers died of it: {reason}"))
        self._slots[place] = self._started()
