"""Harms a sweep's driver and the servers under it, and compares what came of it with an undisturbed sweep.

    make chaos                        # three seeds
    python -m tests.chaos --seeds 7

Four cells of digits are searched, first undisturbed on sqlite; then, for each seed, on a real PostgreSQL and a real
`mlflow server`: the driver gets SIGKILL at 20 random moments and is started again by the same command, PostgreSQL is
restarted once, the MLflow server killed and started twice, and the disk with the feature tables is full once. Both must
hold the same trials, values, curves, winners and test scores, to the last digit, and MLflow one closed run for each.
Prints every event; exit code 1 with what is wrong at the end.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import drivers
from tests.drivers import Driver
from tests.servers import MlflowServer, Postgres, why_no_postgres
from tests.sweep_state import answers, faults, read_trials

FLAGS = (
    *("--dataset=digits", "--weights=tiny", "--alphas=0.25,0.5", "--resolutions=32,48"),
    *("--trials=24", "--epochs=12", "--pruner=successive_halving", "--export=none"),
)
CELLS, TRIALS = 4, 24
SERVER_OPTIONS = ("--allowed-hosts", "localhost:*,127.0.0.1:*")  # with the others, the flags of docker/compose.yaml
LIFE = (0.03, 0.22)  # of a driver that is to be killed, as a part of an undisturbed one's
REFUSED = 2  # exit code of an error told in one line, such as a full disk or a server that is down at the start
LIMIT = 300.0  # s, for the last driver to end


@dataclass(frozen=True)
class Stores:
    """Where a sweep keeps what it finds; both URLs are SQLAlchemy's."""

    optuna: str
    mlflow: str


def undisturbed(folder: Path, flags: Sequence[str] = FLAGS) -> tuple[Stores, float]:
    """A sweep on sqlite that nobody harms, and the seconds that it took."""
    stores = on_sqlite(folder)
    return stores, drivers.run(folder, [*flags, f"--storage={stores.optuna}"])


def on_sqlite(folder: Path) -> Stores:
    folder.mkdir(parents=True, exist_ok=True)
    return Stores(f"sqlite:///{folder}/optuna.db", f"sqlite:///{folder}/mlflow.db")


class Harm:
    """One sweep, whose driver is killed and started again until it has ended.

    Args:
        seconds: that an undisturbed driver takes; what is killed lives for a part of them.
        seed: of the moments.

    Attributes:
        killed: drivers that were killed at work.
        findings: endings that nothing explains.
    """

    def __init__(
        self, folder: Path, flags: Sequence[str], environment: dict[str, str], seconds: float, seed: int
    ) -> None:
        self.random = random.Random(seed)
        self.killed = 0
        self.findings: list[str] = []
        self._folder, self._flags, self._environment, self._seconds = folder, flags, environment, seconds
        self._begun = time.monotonic()

    def kill(self, times: int) -> None:
        """SIGKILL to so many drivers at random moments of their lives; fewer where the sweep ends before."""
        for _ in range(times):
            driver = self._start()
            if driver.wait(self._moment()) is None:
                driver.kill()
                self.killed += 1
                self.say(f"driver {driver.pid} is killed")
            self._note_end(driver, (0, -9))

    def meanwhile(self, event: Callable[[], None]) -> None:
        """Lets something happen while a driver is at work, or starts, which may be refused then; and kills it."""
        driver = self._start()
        driver.wait(self._moment())
        event()
        if driver.wait(self._moment()) is None:
            driver.kill()
            self.killed += 1
            self.say(f"driver {driver.pid} is killed")
        self._note_end(driver, (0, -9, REFUSED))

    def refuse(self, features: Path, fill: Callable[[bool], None]) -> None:
        """A driver whose disk is full when it has begun with feature tables, which is to end with a line."""
        driver, deadline = self._start(), time.monotonic() + LIMIT
        while not list(features.glob("*.part")) and driver.code is None and time.monotonic() < deadline:
            time.sleep(0.01)
        fill(True)
        driver.wait(LIMIT)
        fill(False)
        self._note_end(driver, (REFUSED,))

    def finish(self) -> None:
        """A driver that nobody harms."""
        driver = self._start()
        driver.wait(LIMIT)
        self._note_end(driver, (0,))
        driver.kill()

    def say(self, what: str) -> None:
        print(f"{time.monotonic() - self._begun:6.1f} s  {what}", flush=True)

    def _moment(self) -> float:
        return self._seconds * self.random.uniform(*LIFE)

    def _start(self) -> Driver:
        return Driver(self._folder, self._flags, self._environment)

    def _note_end(self, driver: Driver, expected: Sequence[int]) -> None:
        if driver.code not in expected:
            said = driver.log.read_text(errors="replace").strip().splitlines()[-1:]
            self.findings.append(f"driver {driver.pid} ended with {driver.code}, wanted {expected}: {said}")


def differences(one: Stores, other: Stores) -> list[str]:
    """Between what two sweeps found, times apart."""
    ours, theirs = read_trials(one.optuna), read_trials(other.optuna)
    found = [f"studies {sorted(ours)} and {sorted(theirs)}"] if ours.keys() != theirs.keys() else []
    for name in ours.keys() & theirs.keys():
        found += [
            f"{name}#{index}: {ours[name].get(index)} and {theirs[name].get(index)}"
            for index in sorted(ours[name].keys() | theirs[name].keys())
            if ours[name].get(index) != theirs[name].get(index)
        ]
    if answers(one.mlflow) != answers(other.mlflow):
        found.append(f"tests and winners: {answers(one.mlflow)} and {answers(other.mlflow)}")
    return found


@contextmanager
def small_disk(folder: Path) -> Iterator[Callable[[bool], None]]:
    """A disk of its own under `folder`; yields what fills it (True) and frees it (False). Wants root, on Linux."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)], check=True)
    ballast = folder / "ballast"

    def fill(full: bool) -> None:
        if not full:
            ballast.unlink()
            return
        with ballast.open("wb") as file:
            file.write(bytes(max(0, shutil.disk_usage(folder).free - 200_000)))

    try:
        yield fill
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def chaos(reference: Stores, seconds: float, folder: Path, seed: int, kills: int = 20) -> list[str]:
    """Harms one sweep; what is wrong at its end, a line each. `seconds`: what the undisturbed `reference` took."""
    with Postgres() as postgres, small_disk(folder / "work") as fill:
        stores = Stores(postgres.create("optuna"), postgres.create("mlflow"))
        with MlflowServer(stores.mlflow, folder / "mlflow", SERVER_OPTIONS) as server:
            storage = postgres.url("optuna").replace(f":{postgres.password}@", "@")
            flags = [*FLAGS, f"--storage={storage}", f"--work_dir={folder / 'work'}"]
            environment = {"MLFLOW_TRACKING_URI": server.address, "PGPASSWORD": postgres.password}
            harm = Harm(folder, flags, environment, seconds, seed)

            def restart_mlflow() -> None:
                server.kill()
                harm.say("the MLflow server is killed")
                time.sleep(harm.random.uniform(0.5, 3))
                server.start()
                harm.say("the MLflow server answers again")

            def restart_postgres() -> None:
                postgres.restart()
                harm.say("PostgreSQL was restarted")

            harm.refuse(folder / "work" / "features", fill)
            harm.say("a driver was refused, since the disk is full")
            events = [restart_mlflow, restart_postgres, restart_mlflow]
            harm.random.shuffle(events)
            for number, event in enumerate(events):
                harm.meanwhile(event)
                harm.kill(kills * (number + 1) // len(events) - harm.killed)
            harm.finish()
            harm.say(f"undisturbed to the end, after {harm.killed} drivers that were killed at work")
        wrong = [*harm.findings, *faults(stores.optuna, stores.mlflow, CELLS, TRIALS), *differences(reference, stores)]
        if harm.killed < kills:
            wrong.append(f"wanted {kills} drivers killed at work. Received: {harm.killed}. Try: a shorter LIFE")
        return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description="A sweep whose driver and servers are harmed at random.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of the moments, one sweep each")
    given = parser.parse_args()
    if reason := why_no_postgres():
        sys.exit(f"error: wanted a PostgreSQL server to start. Received: {reason}")
    folder = Path(tempfile.mkdtemp(prefix="chaos"))
    reference, seconds = undisturbed(folder / "undisturbed")
    print(f"undisturbed: {seconds:.0f} s", flush=True)
    for seed in given.seeds:
        begun = time.monotonic()
        wrong = chaos(reference, seconds, folder / f"seed-{seed}", seed)
        for finding in wrong:
            print(f"wrong: {finding}")
        if wrong:
            sys.exit(f"{len(wrong)} findings with seed {seed}; what the drivers said is in {folder}")
        print(
            f"all the same with seed {seed}: {CELLS} cells x {TRIALS} trials, {time.monotonic() - begun:.0f} s",
            flush=True,
        )
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
