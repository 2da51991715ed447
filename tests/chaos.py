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
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.monkey import Monkey, Plan
from tests.servers import MlflowServer, Postgres, why_no_postgres
from tests.sweep_counts import check

ROOT = Path(__file__).parents[1]
SERVER_OPTIONS = ("--allowed-hosts", "localhost:*,127.0.0.1:*")  # with the others, the flags of docker/compose.yaml


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
        findings.append(f"wanted {plan.signals} signals in a sweep. Received: {landed}. Try: more --epochs")
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
