"""Made-up sweeps in a real MLflow store, as a sweep leaves them; without tensorflow, Optuna or training.

    run_id = write_sweep(tracker)                                 # 4 cells x 16 trials, 2 s
    run_id = write_sweep(tracker, classes=ODD_NAMES, running=True)

The numbers are drawn by seed: the larger cell is the better one, a learning rate near 2e-3 the best, every fourth trial
is pruned and one in sixteen diverges.
"""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from pipeline.config import Cell, Protocol, SweepConfig, TrainConfig, as_params
from pipeline.scoring import metrics
from pipeline.scoring.published import find_published, imagenet_note
from pipeline.tracking import RunRecord, TrialRun, connect, records
from pipeline.tracking.runs import ANSWERS, ERROR_TAG, KEY_TAG, KIND_TAG, VALIDATION
from pipeline.tracking.trials import create

if TYPE_CHECKING:
    from pipeline.tracking import Tracker

CELLS = (Cell(0.25, 48), Cell(0.25, 96), Cell(0.5, 48), Cell(0.5, 96))
DOGS = (Cell(0.75, 192), Cell(0.75, 224), Cell(1.0, 192), Cell(1.0, 224))  # published: dataset="stanford_dogs"
STARTED = datetime(2026, 11, 23, 10, 49, tzinfo=UTC)
TRIAL = timedelta(seconds=2)
DEVICE = {
    "device": "Intel(R) Xeon(R) Processor, 2 cores",
    "versions": "python 3.11.7, tensorflow 2.21.0, keras 3.15.1, optuna 5.0.0, mlflow 3.17.2, numpy 2.4.6",
}
PICTURES = 1437
REJECT_BELOW = 0.4
DRAWN = ("learning_rate", "beta_1", "beta_2")
ODD_NAMES = (
    *("<script>alert(1)</script>", "\"quoted\", 'so'", "北京犬", "мопс", "NA", "null", "007", ""),
    *("two\nlines", "</td>&amp;", "a rather long name of a class that nobody would want to read in a narrow chart"),
)
RUN = RunRecord(  # of a cell; tests replace what matters to them
    run_id="a" * 32,
    name="digits-mobilenet_0.5_96-frozen",
    status="FINISHED",
    parent="b" * 32,
    started=STARTED,
    seconds=3.0,
    params={},
    metrics={},
    tags={},
)


def sample_store(folder: Path, empty_database: Path) -> Tracker:
    """A new store in `folder`, for samples that several tests read; `empty_database` as the fixture of that name."""
    shutil.copy(empty_database, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
            patch.setenv(name, "")
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        return connect("alpharho")


def write_sweep(
    tracker: Tracker,
    *,
    dataset: str = "digits",
    cells: Sequence[Cell] = CELLS,
    trials: int = 16,
    epochs: int = 30,
    classes: int | Sequence[str] = 10,
    weights: str = "tiny",
    protocol: Protocol = "paper",
    started: datetime = STARTED,
    seed: int = 0,
    running: bool = False,
    empty: bool = False,
    bare: bool = False,
) -> str:
    """Writes a sweep, its cells and their trials. Returns the sweep's run id.

    Args:
        trials: of each cell, at least 1.
        classes: their names, or how many.
        weights: "imagenet" and "none" allow other alphas than "tiny" does; with "none" whole networks are trained.
        started: aware; the runs follow each other from then on.
        running: it was not finished: the last cell has no test, and its last trial is in training.
        empty: the last cell has no trial, and with it nothing but its name.
        bare: as an earlier version might have left it: without device, data set, costs, times, curves and tables.
    """
    config = SweepConfig(
        dataset=dataset,
        backbone=cells[0].backbone,
        weights=weights,
        protocol=protocol,
        freeze_conv=weights != "none",
        epochs=epochs,
        trials=trials,
        alphas=tuple(sorted({cell.alpha for cell in cells})),
        resolutions=tuple(sorted({cell.resolution for cell in cells})),
    )
    names = [str(number) for number in range(classes)] if isinstance(classes, int) else list(classes)
    sample = _Sample(tracker, config, names, np.random.default_rng(seed), bare, started)
    return sample.write(cells, running, empty)


@dataclasses.dataclass
class _Sample:
    """A sweep that is being written; `now` moves on with every trial."""

    tracker: Tracker
    config: SweepConfig
    names: list[str]
    rng: np.random.Generator
    bare: bool
    now: datetime

    def write(self, cells: Sequence[Cell], running: bool, empty: bool) -> str:
        tags = {} if self.bare else DEVICE
        sweep = self._open(f"sweep {self.config.dataset}", "sweep", tags, uuid.uuid4().hex)
        asked = as_params(self.config)
        self.tracker.log_metrics(sweep, {"trials": float(asked.pop("trials"))})
        self.tracker.log_params(sweep, asked)
        self._log_dataset(sweep)
        for cell in cells:
            last = cell == cells[-1]
            self._write_cell(sweep, cell, unfinished=running and last, empty=empty and last)
        if not running:
            self._close(sweep)
        return sweep

    def _write_cell(self, sweep: str, cell: Cell, unfinished: bool, empty: bool) -> None:
        base = self.config.train_config(cell)
        study = f"{base.dataset}-{cell.name}-{'frozen' if base.freeze_conv else 'finetuned'}"
        identity = f"{study}@{sweep[:8]}"
        family = {"mlflow.parentRunId": sweep}
        run_id = self._open(study, "cell", {**family, **({} if self.bare else DEVICE)}, f"{identity} cell")
        self._log_dataset(run_id)
        if empty:
            return
        published = []
        for number in range(self.config.trials):
            trial = self._trial(base, identity, number)
            if unfinished and number == self.config.trials - 1:
                half = {**trial.tags, **family, "mlflow.parentRunId": run_id, KIND_TAG: "trial", KEY_TAG: trial.key}
                create(self.tracker.client, self.tracker.experiment_id, trial.name, half, _ms(trial.started))
            else:
                self.tracker.publish(trial, run_id)
                published.append(trial)
        if not unfinished:
            self._test(run_id, base, published)
            self._close(run_id)

    def _trial(self, base: TrainConfig, identity: str, number: int) -> TrialRun:
        """The number decides what becomes of it; the first one is always complete."""
        drawn = {
            "learning_rate": 10 ** self.rng.uniform(-5, -1),
            "beta_1": 1 - 10 ** self.rng.uniform(-2, math.log10(0.5)),
            "beta_2": 1 - 10 ** self.rng.uniform(-4, -1),
        }
        config = dataclasses.replace(base, **drawn)
        state = "FAIL" if number % 16 == 5 else "PRUNED" if number % 4 == 3 else "COMPLETE"
        epochs = base.epochs if state == "COMPLETE" else int(self.rng.integers(1, base.epochs + 1))
        curves = self._curves(config, epochs)
        found: dict[str, float] = {"best_epoch": float(np.argmax(curves["val_top1"]) + 1), "seconds": 0.06}
        tags = {"optuna.state": state, "device": DEVICE["device"]}
        if state == "FAIL":
            curves["train_loss"][-1] = curves["val_loss"][-1] = math.nan
            tags[ERROR_TAG] = f"train_loss is nan in epoch {epochs}"
        else:
            found["best_val_top1"] = float(curves["val_top1"].max())
        began, self.now = self.now, self.now + TRIAL
        return TrialRun(
            name=f"{base.cell.name} trial {number}",
            key=f"{identity}#{number}",
            status={"COMPLETE": "FINISHED", "PRUNED": "KILLED"}.get(state, "FAILED"),
            started=began,
            ended=self.now,
            params={**as_params(config), "cell": base.cell.name},
            metrics={**self._costs(base), **(_without(found, ["best_epoch", "seconds"]) if self.bare else found)},
            curves={} if self.bare else curves,
            tags=_without(tags, ["device"]) if self.bare else tags,
        )

    def _curves(self, config: TrainConfig, epochs: int) -> dict[str, np.ndarray]:
        """Five, each (epochs,)."""
        epoch = np.arange(1, epochs + 1)
        best = 0.97 - 0.25 * (1e6 / records.cell_costs(config, len(self.names))["mult_adds"]) ** 0.25
        fit = math.exp(-0.15 * math.log10(config.learning_rate / 2e-3) ** 2) * best
        train = 1.02 * fit * (1 - np.exp(-epoch / 4))
        val = fit * (1 - np.exp(-epoch / 3)) + self.rng.normal(0, 0.01, epochs)
        return {
            "train_loss": -np.log(np.clip(train, 0.01, 0.99)),
            "train_top1": np.clip(train, 0, 1),
            "val_loss": -np.log(np.clip(val, 0.01, 0.99)) + 0.01 * epoch,
            "val_top1": np.clip(val, 0, 1),
            "learning_rate": config.learning_rate * 0.5 ** (epoch // 6),
        }

    def _test(self, run_id: str, base: TrainConfig, published: Sequence[TrialRun]) -> None:
        """What the test of the best of these trials leaves on the cell's run."""
        complete = [trial for trial in published if trial.tags["optuna.state"] == "COMPLETE"]
        winner = max(complete, key=lambda trial: trial.metrics["best_val_top1"])
        self.tracker.log_params(run_id, {**_without(as_params(base), DRAWN), "cell": base.cell.name})
        rates = {name: float(str(winner.params[name])) for name in DRAWN}
        states = [trial.tags["optuna.state"] for trial in published]
        counts = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
        found = {
            **rates,
            **{f"trials_{name}": float(states.count(state)) for name, state in counts.items()},
            "best_val_top1": winner.metrics["best_val_top1"],
            "best_val_balanced_top1": winner.metrics["best_val_top1"],
            "best_trial": float(winner.key.rpartition("#")[2]),
            "tested_with": float(len(published)),
        }
        tested = self._scores(run_id, base, winner.metrics["best_val_top1"])
        self.tracker.log_metrics(run_id, {**self._costs(base), **found, **tested})
        trained = json.dumps(as_params(dataclasses.replace(base, **rates)))
        self.tracker.set_tags(run_id, {"alpharho.config": trained, "alpharho.pictures": "b718ae57eae7"})
        if caveat := imagenet_note(base.dataset, base.weights):
            self.tracker.set_tags(run_id, {"caveat": caveat})
        if self.bare:
            return
        if len(complete) >= 4:  # as many as the search asks for
            self.tracker.log_table(run_id, self._importance(), "importance.csv")
        epochs = int(winner.metrics["best_epoch"])
        curves = {name: np.asarray(winner.curves[name])[:epochs] for name in ("train_loss", "train_top1")}
        self.tracker.log_curves(run_id, curves)
        speed = 3e9 / records.cell_costs(base, len(self.names))["mult_adds"]
        self.tracker.log_metrics(run_id, {"best_epoch": float(epochs), "seconds": 6.1, "pictures_per_second": speed})

    def _scores(self, run_id: str, base: TrainConfig, val_top1: float) -> dict[str, float]:
        """Writes the two tables, and returns the metrics of a test."""
        confusion = self._confusion(val_top1 - 0.02)
        if not self.bare:
            self.tracker.log_table(run_id, metrics.per_class_accuracy(confusion, self.names), "per_class.csv")
            self.tracker.log_table(run_id, metrics.confusion_table(confusion, self.names), "confusion.csv")
        correct, pictures = int(np.trace(confusion)), int(confusion.sum())
        top1 = correct / pictures
        if not self.bare:
            self._answers(run_id, confusion, val_top1)
        confidence = self.rng.uniform(0.2, 1, pictures)
        right = self.rng.random(pictures) < confidence
        if not self.bare:
            self.tracker.log_table(run_id, metrics.coverage_table(confidence, right), "coverage.csv")
        sure = confidence >= REJECT_BELOW
        low, high = metrics.wilson_interval(correct, pictures)
        rows = {source: find_published(base.cell, base.dataset, source) for source in ("paper", "replication")}
        return {
            **{"test_top1": top1, "test_top1_low": low, "test_top1_high": high},
            "test_top5": 1 - 0.3 * (1 - top1) if len(self.names) > 5 else 1.0,
            "test_balanced_top1": top1,
            "test_pictures": float(pictures),
            "reject_below": REJECT_BELOW,
            **{"test_answered": float(sure.mean()), "test_top1_answered": float(right[sure].mean())},
            **{f"delta_{source}": top1 - row.top1 for source, row in rows.items() if row},
            **({"untrained_top1": 0.9 * top1} if base.weights == "imagenet" else {}),
        }

    def _confusion(self, top1: float) -> np.ndarray:
        """Counts (C, C), 36 pictures a class; a class is taken for one of the next two in the list."""
        size = len(self.names)
        right = self.rng.binomial(36, np.clip(self.rng.normal(top1, 0.05, size), 0, 1))
        near = self.rng.binomial(36 - right, 0.7)
        counts = np.zeros((size, size), np.int64)
        rows = np.arange(size)
        np.add.at(counts, (rows, rows), right)
        np.add.at(counts, (rows, (rows + 1) % size), near)
        np.add.at(counts, (rows, (rows + 2) % size), 36 - right - near)
        return counts

    def _answers(self, run_id: str, confusion: np.ndarray, val_top1: float) -> None:
        """To each picture of the test, and of validation: the same pictures are hard for every cell."""
        truths, found = np.nonzero(confusion)
        counts = confusion[truths, found]
        answers = pd.DataFrame({"truth": np.repeat(truths, counts), "answer": np.repeat(found, counts)})
        untrained = np.where(self.rng.random(len(answers)) < 0.95, answers["answer"], 0)
        ids = [f"{self.config.dataset}/test#{index}" for index in range(len(answers))]
        extra = {"p_answer": 0.9, "p_truth": 0.8, "untrained": untrained, "group": np.arange(len(answers))}
        self.tracker.log_frame(run_id, answers.assign(picture=ids, **extra), ANSWERS)
        val = pd.DataFrame({"picture": [f"{index}" for index in range(216)], "right": np.arange(216) < val_top1 * 216})
        self.tracker.log_frame(run_id, val, VALIDATION)

    def _importance(self) -> pd.DataFrame:
        """Shares that sum to 1."""
        shares = self.rng.dirichlet([8, 2, 1])
        return pd.DataFrame({"hyperparameter": [*DRAWN], "mean": shares, "deviation": 0.1 * shares})

    def _costs(self, base: TrainConfig) -> dict[str, float]:
        if self.bare:
            return {}
        return {name: float(value) for name, value in records.cell_costs(base, len(self.names)).items()}

    def _log_dataset(self, run_id: str) -> None:
        if not self.bare:
            counts = {"pictures_train_and_val": PICTURES, "pictures_val": 216, "classes": len(self.names)}
            address = f"https://example.org/{self.config.dataset}"
            self.tracker.log_dataset(run_id, self.config.dataset, address, "4ee7cc36d0f9", "training", counts)

    def _open(self, name: str, kind: str, tags: Mapping[str, str], key: str) -> str:
        """As Tracker.open, which would ask tensorflow for the device, and at the sample's time."""
        own = {**tags, KIND_TAG: kind, KEY_TAG: key}
        return create(self.tracker.client, self.tracker.experiment_id, name, own, _ms(self.now))

    def _close(self, run_id: str) -> None:
        self.tracker.client.set_terminated(run_id, "FINISHED", _ms(self.now))


def _without(values: Mapping, names: Iterable[str]) -> dict:
    return {name: value for name, value in values.items() if name not in names}


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
