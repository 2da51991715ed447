"""Worker processes that are kept at work and harmed at random, for tests/chaos.py."""

from __future__ import annotations

import contextlib
import math
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TICK = 0.1  # s
SETTLE = 30  # s after the last event in which a worker may still give up over it
MOST_GIVE_UPS = 15  # more come of no outage: every start fails

ENDINGS = {signal.SIGKILL: (-signal.SIGKILL,), signal.SIGTERM: (130, -signal.SIGTERM)}  # the second while it imports
GAVE_UP = 2  # the exit code of an error told in one line, such as a server that is down when the worker starts

Outage = tuple[str, Callable[[], object]]  # how it is told, and what to do


@dataclass(frozen=True)
class Plan:
    """What is searched and how it is harmed; times in seconds, each drawn between two bounds."""

    alphas: str = "0.25,0.5"
    resolutions: str = "32,48"
    trials: int = 24
    epochs: int = 2500
    workers: int = 3
    signals: int = 20
    postgres_restarts: int = 1
    mlflow_restarts: int = 2
    pause: tuple[float, float] = (2, 25)  # between two events; a worker imports for 15 to 40 s
    held: tuple[float, float] = (3, 40)  # from SIGSTOP to SIGCONT
    outage: tuple[float, float] = (1, 10)  # from the MLflow server's death to its start, which takes 11 to 30 s more

    @property
    def cells(self) -> int:
        return len(self.alphas.split(",")) * len(self.resolutions.split(","))


@dataclass
class Worker:
    number: int
    process: subprocess.Popen
    log: Path
    begun: float
    endings: tuple[int, ...] = ()  # exit codes that what it was sent explains
    stopped: bool = False

    @property
    def last_line(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


class Monkey:
    """Keeps workers at work and harms them at random; `with` ends those that are left.

    Args:
        command: starts a worker, in `folder`; its output goes to folder/worker-<number>.log.
        back_off: until a worker that ended of itself is replaced, s; its server may be down.

    Attributes:
        findings: what no event explains, a line each.
        landed: signals that found a worker.
        done: whether a worker has come to the end of the sweep.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], folder: Path, seed: int, back_off: float = 8
    ) -> None:
        self.random = random.Random(seed)
        self.findings: list[str] = []
        self.landed = 0
        self.done = False
        self._command, self._environment, self._folder = list(command), {**os.environ, **environment}, folder
        self._begun = time.monotonic()
        self._workers: list[Worker] = []
        self._started = 0
        self._give_ups = 0
        self._back_off, self._not_before = back_off, 0.0
        self._later: list[tuple[float, str, Callable[[], object]]] = []

    def __enter__(self) -> Monkey:
        return self

    def __exit__(self, *_error: object) -> None:
        for worker in self._workers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.process.pid, signal.SIGKILL)
            worker.process.wait()

    def harm(self, plan: Plan, outages: Sequence[Outage]) -> None:
        """Starts the workers, lets the plan's events happen until the sweep has ended, and what follows from them."""
        for event in self._events(plan.signals, outages):
            self._let_work(plan.workers, self.random.uniform(*plan.pause))
            self.wait(plan.workers, lambda: self.done or bool(self._at_work))
            if self.done:
                break
            if event is None:
                self._send(plan.held)
            else:
                self.say(event[0])
                event[1]()
        self.wait(plan.workers, lambda: not self._later)

    def wait(self, workers: int, condition: Callable[[], bool]) -> None:
        """Keeps so many at work until it holds."""
        while not condition():
            self._let_work(workers, TICK)

    def finish(self, workers: int, limit: float) -> None:
        """Lets the workers go on undisturbed to the end of the sweep, `limit` seconds at most."""
        begun = time.monotonic()
        while self._workers or not self.done:
            self._let_work(workers, TICK, told_off=time.monotonic() - begun > SETTLE)
            if time.monotonic() - begun > limit:
                self.findings += [f"worker {worker.number} is still at work" for worker in self._workers]
                return

    def later(self, seconds: float, what: str, action: Callable[[], object]) -> None:
        """Does and says `what` after so many seconds."""
        self._later.append((time.monotonic() + seconds, what, action))

    def say(self, what: str) -> None:
        print(f"{time.monotonic() - self._begun:6.1f} s  {what}", flush=True)

    @property
    def _at_work(self) -> list[Worker]:
        """Those that were not sent to their end."""
        return [worker for worker in self._workers if not worker.endings]

    def _events(self, signals: int, outages: Sequence[Outage]) -> list[Outage | None]:
        """None for a signal; the outages, in random order, lie apart, so that each finds the one before mended."""
        apart = math.ceil(signals / (len(outages) + 1))
        events: list[Outage | None] = [None] * signals
        for number, outage in reversed(list(enumerate(self.random.sample(outages, len(outages)), start=1))):
            events.insert(number * apart, outage)
        return events

    def _let_work(self, count: int, seconds: float, told_off: bool = False) -> None:
        until = time.monotonic() + seconds
        while True:
            for item in [item for item in self._later if item[0] <= time.monotonic()]:
                self._later.remove(item)
                self.say(item[1])
                item[2]()
            self._bury(told_off)
            idle = self.done or time.monotonic() < self._not_before
            for _ in range(0 if idle else count - len(self._at_work)):
                self._start()
            if time.monotonic() >= until:
                return
            time.sleep(TICK)

    def _start(self) -> None:
        self._started += 1
        log = self._folder / f"worker-{self._started}.log"
        with log.open("w") as file:
            process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that Ctrl-C reaches the monkey alone
            )
        self._workers.append(Worker(self._started, process, log, time.monotonic()))
        self.say(f"worker {self._started} starts")

    def _send(self, held: tuple[float, float]) -> None:
        """One of the three signals to one of the workers; to one that stands still SIGKILL, for it hears no other."""
        worker = self.random.choice(self._at_work)
        number = self.random.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
        number = signal.SIGKILL if worker.stopped else number
        age = time.monotonic() - worker.begun
        worker.process.send_signal(number)
        self.landed += 1
        self.say(f"worker {worker.number} {number.name} at the age of {age:.0f} s")
        if number != signal.SIGSTOP:
            worker.endings = ENDINGS[number]
            return
        worker.stopped = True
        self.later(self.random.uniform(*held), f"worker {worker.number} SIGCONT", lambda: self._wake(worker))

    def _wake(self, worker: Worker) -> None:
        worker.stopped = False
        worker.process.send_signal(signal.SIGCONT)  # does nothing to one that was killed and buried

    def _bury(self, told_off: bool) -> None:
        """Tells of the workers that ended; `told_off` where no event is left that would excuse one that gave up."""
        for worker in [worker for worker in self._workers if worker.process.poll() is not None]:
            self._workers.remove(worker)
            code = worker.process.returncode
            what = f"worker {worker.number} ended with code {code}"
            self.say(what)
            if code == 0:
                self.done = True
            elif code not in worker.endings:
                self._give_ups += 1
                self._not_before = time.monotonic() + self._back_off
                self.say(f"worker {worker.number} said: {worker.last_line}")
                if code != GAVE_UP or told_off:
                    self.findings.append(f"{what} of itself: {worker.last_line}")
                if self._give_ups > MOST_GIVE_UPS:
                    raise RuntimeError(f"{self._give_ups} workers gave up. The last said: {worker.last_line}")
