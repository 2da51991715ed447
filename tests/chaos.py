"""Harms the workers of a sweep and the servers under it, and counts in both databases what came of it.

    make chaos
    python -m tests.chaos --seed 7

Three workers search four cells of digits on a real PostgreSQL and a real `mlflow server`. Every few seconds one of them
gets SIGKILL, SIGTERM or SIGSTOP (SIGCONT follows) and a new one takes its place; PostgreSQL is restarted once, the
MLflow server killed and started twice. Prints its seed and every event; exit code 1 with what is wrong at the end.
The seed repeats the choices, not the moments at which they find the workers.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy

from tests.servers import MlflowServer, Postgres, why_no_postgres

ROOT = Path(__file__).parents[1]
TICK = 0.1  # s
SETTLE = 30  # s after the last event in which a worker may still give up over it
MOST_GIVE_UPS = 15  # more come of no outage: every start fails

ENDINGS = {signal.SIGKILL: (-signal.SIGKILL,), signal.SIGTERM: (130, -signal.SIGTERM)}  # the second while it imports
GAVE_UP = 2  # the exit code of an error told in one line, such as a server that is down when the worker starts

# What MLflow must say of a trial. A failed one is FAILED where its loss was not finite, KILLED where its process died.
STATUS = {"COMPLETE": ("FINISHED",), "PRUNED": ("KILLED",), "FAIL": ("FAILED", "KILLED"), "RUNNING": ()}
VALUE = {"COMPLETE": "best_val_top1", "PRUNED": "val_top1"}  # the metric whose last value is Optuna's
CURVES = ("train_loss", "train_top1", "val_loss", "val_top1", "learning_rate")
ENDED = ("FINISHED", "FAILED", "KILLED")

SERVER_OPTIONS = ("--allowed-hosts", "localhost:*,127.0.0.1:*")  # with the others, the flags of docker/compose.yaml

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


def chaos(plan: Plan, seed: int, folder: Path, limit: float = 1800) -> tuple[list[str], int]:
    """Runs a sweep by `plan`; what is wrong at its end, a line each, and how many signals landed before that.

    Args:
        folder: the workers' logs are left in it.
        limit: how long the workers may take after the last event, s.
    """
    with Postgres() as postgres:
        storage, backend = postgres.create("optuna"), postgres.create("mlflow")
        with (
            MlflowServer(backend, folder / "mlflow", SERVER_OPTIONS) as server,
            Monkey(command(plan, storage, folder / "work"), environment(server.address), folder, seed) as monkey,
        ):

            def cut() -> None:
                server.kill()
                monkey.later(monkey.random.uniform(*plan.outage), "the MLflow server starts", server.spawn)

            outages = [("PostgreSQL restarts", postgres.restart)] * plan.postgres_restarts
            monkey.harm(plan, [*outages, *[("the MLflow server is killed", cut)] * plan.mlflow_restarts])
            monkey.wait(plan.workers, server.answers)
            monkey.say("undisturbed from here on")
            monkey.finish(plan.workers, limit)
        wrong = check(storage, backend, folder / "work", plan.cells, plan.trials)
        return [*monkey.findings, *wrong], monkey.landed


def command(plan: Plan, storage: str, work_dir: Path) -> list[str]:
    """What a person types on each machine."""
    return [
        *(sys.executable, str(ROOT / "tuning" / "optimize.py"), "--dataset", "digits", "--weights", "tiny"),
        *("--alphas", plan.alphas, "--resolutions", plan.resolutions, "--trials", str(plan.trials)),
        *("--epochs", str(plan.epochs), "--storage", storage, "--work_dir", str(work_dir)),
    ]


def environment(address: str) -> dict[str, str]:
    """One thread each, so that the workers do not fight for the cores."""
    return {"MLFLOW_TRACKING_URI": address, "OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"}


@dataclass(frozen=True)
class Trial:
    """As Optuna's database has it; `key` is the study's name, # and the number."""

    key: str
    state: str
    value: float | None
    params: dict[str, float]

    @property
    def study(self) -> str:
        return self.key.rpartition("#")[0]


@dataclass(frozen=True)
class Run:
    """As MLflow's database has it; `metrics` holds each metric's last value, `points` how many values it got."""

    run_id: str
    name: str
    status: str
    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, float]
    points: dict[str, int]
    steps: dict[str, int]  # the last step of each metric

    @property
    def kind(self) -> str:
        return self.tags.get("alpharho.kind", "")

    @property
    def key(self) -> str:
        """Without what tells the study from one of the same name in another database."""
        return re.sub(r"@[0-9a-f]{8}#", "#", self.tags.get("alpharho.key", ""))


def check(optuna_url: str, mlflow_url: str, work_dir: Path, cells: int, trials: int) -> list[str]:
    """What is wrong at the end of a sweep of so many cells and trials a cell, a line each; both URLs are SQLAlchemy's.

    Runs in MLflow's waste basket do not count.
    """
    drawn, runs = read_trials(optuna_url), read_runs(mlflow_url)
    return [
        *check_totals(drawn, cells, trials),
        *check_trial_runs(drawn, [run for run in runs if run.kind == "trial"], cell_runs(runs)),
        *check_other_runs(runs, sorted({trial.study for trial in drawn})),
        *check_tables(work_dir, 2 * cells),  # train and test
    ]


def read_trials(url: str) -> list[Trial]:
    drawn, values, params = _query(
        url,
        "SELECT t.trial_id, s.study_name, t.number, t.state FROM trials t JOIN studies s ON s.study_id = t.study_id",
        "SELECT trial_id, value FROM trial_values",
        "SELECT trial_id, param_name, param_value FROM trial_params",
    )
    value_of, params_of = dict(values), _nested(params)
    return [
        Trial(f"{study}#{number}", state, value_of.get(trial_id), params_of.get(trial_id, {}))
        for trial_id, study, number, state in drawn
    ]


def read_runs(url: str) -> list[Run]:
    runs, tags, params, metrics, points, steps = _query(
        url,
        "SELECT run_uuid, name, status FROM runs WHERE lifecycle_stage = 'active'",
        "SELECT run_uuid, key, value FROM tags",
        "SELECT run_uuid, key, value FROM params",
        "SELECT run_uuid, key, value FROM latest_metrics",
        "SELECT run_uuid, key, COUNT(*) FROM metrics GROUP BY run_uuid, key",
        "SELECT run_uuid, key, MAX(step) FROM metrics GROUP BY run_uuid, key",
    )
    about = [_nested(rows) for rows in (tags, params, metrics, points, steps)]
    return [Run(run_id, name, status, *(part.get(run_id, {}) for part in about)) for run_id, name, status in runs]


def cell_runs(runs: Iterable[Run]) -> dict[str, Run]:
    """By the name of the study, which is the run's."""
    return {run.name: run for run in runs if run.kind == "cell"}


def check_totals(drawn: Sequence[Trial], cells: int, trials: int) -> Iterator[str]:
    """Exactly `trials` finished ones in each study, and none at work."""
    states = {study: Counter(t.state for t in drawn if t.study == study) for study in sorted({t.study for t in drawn})}
    if len(states) != cells:
        yield f"{len(states)} studies with trials, wanted {cells}"
    for study, count in states.items():
        if count["COMPLETE"] + count["PRUNED"] != trials:
            yield f"{study}: wanted {trials} trials COMPLETE or PRUNED, there are {dict(count)}"
    for trial in drawn:
        if trial.state == "RUNNING":
            yield f"{trial.key}: RUNNING in Optuna"
    yield from (f"{key}: {n} trials in Optuna" for key, n in Counter(trial.key for trial in drawn).items() if n > 1)


def check_trial_runs(drawn: Sequence[Trial], runs: Sequence[Run], cells: Mapping[str, Run]) -> Iterator[str]:
    """One run for each trial that began, and the same in both databases."""
    there = {trial.key: trial for trial in drawn if trial.state != "WAITING"}
    found = Counter(run.key for run in runs)
    yield from (f"{key}: no MLflow run" for key in there if not found[key])
    yield from (f"{key}: {number} MLflow runs" for key, number in found.items() if number > 1)
    for run in runs:
        if run.key not in there:
            yield f"MLflow run {run.name}: no trial {run.key!r} in Optuna"
            continue
        yield from (f"{run.key}: {what}" for what in differences(there[run.key], run))
        cell = cells.get(there[run.key].study)
        if cell and run.tags.get("mlflow.parentRunId") != cell.run_id:
            yield f"{run.key}: not below the run of its cell"


def differences(trial: Trial, run: Run) -> Iterator[str]:
    """Between what Optuna and MLflow have of one trial."""
    if run.tags.get("optuna.state") != trial.state:
        yield f"{trial.state} in Optuna, tagged {run.tags.get('optuna.state')} in MLflow"
    if run.status not in STATUS[trial.state]:
        yield f"{trial.state} in Optuna, {run.status} in MLflow"
    for name, wanted in hyperparameters(trial).items():
        spelled = run.params.get(name)
        if spelled is None or not math.isclose(float(spelled), wanted, rel_tol=1e-12):
            yield f"{name} {wanted} in Optuna, {spelled} in MLflow"
    if trial.state in VALUE:
        value = run.metrics.get(VALUE[trial.state])
        if trial.value is None or value is None or not math.isclose(value, trial.value, rel_tol=1e-12):
            yield f"value {trial.value} in Optuna, {VALUE[trial.state]} {value} in MLflow"
    for name in CURVES:
        if run.points.get(name, 0) != run.steps.get(name, 0):  # the first epoch's step is 1
            yield f"{name} has {run.points[name]} points up to epoch {run.steps[name]}"


def hyperparameters(trial: Trial) -> dict[str, float]:
    """As the trial's run calls them; a trial whose process died before it drew has none."""
    names = {"learning_rate": "learning_rate", "one_minus_beta_1": "beta_1", "one_minus_beta_2": "beta_2"}
    drawn = {names[name]: value for name, value in trial.params.items()}
    return {name: 1 - value if name.startswith("beta") else value for name, value in drawn.items()}


def check_other_runs(runs: Sequence[Run], studies: Sequence[str]) -> Iterator[str]:
    """Every cell tested once, one finished sweep, nothing at work, no run but the trials' twice."""
    for run in runs:
        if run.status not in ENDED:
            yield f"MLflow run {run.name} ({run.kind}): {run.status}"
    cells = cell_runs(runs)
    for study in studies:
        if study not in cells:
            yield f"{study}: no run of the cell"
        elif cells[study].status != "FINISHED" or cells[study].points.get("test_top1", 0) != 1:
            yield f"{study}: {cells[study].status}, tested {cells[study].points.get('test_top1', 0)} times"
    if [run.status for run in runs if run.kind == "sweep"] != ["FINISHED"]:
        yield f"wanted one sweep run, FINISHED, there are {[run.status for run in runs if run.kind == 'sweep']}"
    named = Counter((run.kind, run.name, run.params.get("dataset")) for run in runs if run.kind in ("cell", "baseline"))
    yield from (f"{kind} run {name}: {number} times" for (kind, name, _), number in named.items() if number > 1)


def check_tables(work_dir: Path, count: int) -> Iterator[str]:
    """So many whole feature tables, and nothing half-made beside them."""
    folders = [path for path in sorted((work_dir / "features").glob("*")) if path.is_dir()]
    if len(folders) != count:
        yield f"{len(folders)} feature tables, wanted {count}"
    for folder in folders:
        try:
            wanted = json.loads((folder / "table.json").read_text())["sha256"]
            if hashlib.sha256((folder / "features.npy").read_bytes()).hexdigest() != wanted:
                yield f"feature table {folder.name}: its hash does not match"
        except (OSError, ValueError, KeyError) as error:
            yield f"feature table {folder.name}: {error!r}"


def _query(url: str, *statements: str) -> list[list[tuple]]:
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        answers = [[tuple(row) for row in connection.execute(sqlalchemy.text(text))] for text in statements]
    engine.dispose()
    return answers


def _nested(rows: Iterable[tuple]) -> dict[Any, dict[str, Any]]:
    """(id, name, value) -> {id: {name: value}}"""
    nested: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
    for identity, name, value in rows:
        nested[identity][name] = value
    return dict(nested)


def main() -> None:
    parser = argparse.ArgumentParser(description="A sweep whose workers and servers are harmed at random.")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="of the events")
    parser.add_argument("--epochs", type=int, default=Plan.epochs, help="more make a longer sweep")
    given = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # the first is ignored where a shell started this in the background
        signal.signal(number, signal.default_int_handler)  # so that nothing is left behind
    if reason := why_no_postgres():
        sys.exit(f"error: wanted a PostgreSQL server to start. Received: {reason}")
    plan = Plan(epochs=given.epochs)
    print(f"seed {given.seed}: {plan}", flush=True)
    folder, begun = Path(tempfile.mkdtemp(prefix="chaos")), time.monotonic()
    findings, landed = chaos(plan, given.seed, folder)
    if landed < plan.signals:
        findings.append(f"wanted {plan.signals} signals in a sweep. Received: {landed}. Way out: more --epochs")
    for finding in findings:
        print(f"wrong: {finding}")
    if findings:
        sys.exit(f"{len(findings)} findings with seed {given.seed}; the workers' logs are in {folder}")
    shutil.rmtree(folder)
    print(
        f"all whole: {plan.cells} cells x {plan.trials} trials after {plan.signals} signals and "
        f"{plan.postgres_restarts + plan.mlflow_restarts} outages, seed {given.seed}, {time.monotonic() - begun:.0f} s"
    )


if __name__ == "__main__":
    main()
