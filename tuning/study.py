"""One Optuna study for each cell: its settings, what became of its trials, and what is left to do.

python -m tuning.study --status                 # every study of optuna.db
python -m tuning.study --status --storage URL
"""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import StudyModel, TrialModel
from optuna.trial import FrozenTrial, TrialState
from rich.table import Table
from sqlalchemy import func, select

from pipeline.config import OF_FINETUNING, SweepConfig, TrainConfig, as_params
from pipeline.shell import cli, progress
from pipeline.shell.errors import UserError
from tuning.storage import explained, open_storage, patiently, sqlite_file, transaction

# What may differ between two calls that go on with the same study.
_FREE = frozenset(
    {
        *("data_dir", "work_dir", "experiment", "skip_unreadable", "engine"),
        *("learning_rate", "beta_1", "beta_2", "export_backbone"),
    }
)
_SETTINGS = "settings"
_IDENTITY = "identity"
CELL_RUN = "mlflow_run_id"  # user attributes of a study: the cell's run in MLflow, and that of the sweep above it
SWEEP_RUN = "mlflow_sweep_run_id"
TESTED = "tested_with"  # of a study, and a metric of its run: how many trials were done when the best was tested
TOTAL = "trials"  # user attribute of a study: how many were asked for last
FIT = "fit"  # user attribute of a trial: what came of it (tuning/outcomes.py)


def study_name(config: SweepConfig | TrainConfig, cell_name: str) -> str:
    """Like stanford_dogs-mobilenet_0.75_192-frozen; a protocol, head_init and views that were asked for come last."""
    mode = "frozen" if config.freeze_conv else "finetuned"
    asked = {config.protocol: "paper", config.head_init: "auto", config.views: "none"}
    return "-".join([config.dataset, cell_name, mode, *(name for name, usual in asked.items() if name != usual)])


class NoFinishedTrialError(UserError):
    """Every trial of a study failed."""


@dataclass(frozen=True)
class CellStudy:
    """A study that is being worked on.

    Attributes:
        settings: what all of its trials share; name -> text.
    """

    study: optuna.Study
    storage: RDBStorage
    settings: dict[str, str]

    @property
    def name(self) -> str:
        return self.study.study_name

    @cached_property
    def identity(self) -> str:
        """The name, and what tells it from a study of the same name in another database."""
        return self.attributes()[_IDENTITY]

    def trials(self) -> list[FrozenTrial]:
        """All of them, not to be changed; only unfinished and new ones are fetched."""
        return patiently(lambda: self.study.get_trials(deepcopy=False))

    def attributes(self) -> dict[str, Any]:
        """User attributes of the study."""
        return patiently(lambda: self.study.user_attrs)

    def keep(self, name: str, value: object) -> None:
        """Writes a user attribute of the study."""
        patiently(lambda: self.study.set_user_attr(name, value))

    def is_tested(self, total: int) -> bool:
        """Whether `total` trials are done, and the best of these was tested."""
        trials = self.trials()
        return not left(trials, total) and self.attributes().get(TESTED) == done(trials)

    def require_settings(self) -> None:
        """Raises UserError where another process began the study with other settings; says which."""
        # A study from before there was such a setting has what became its default.
        begun_with = as_params(TrainConfig()) | self.attributes().get(_SETTINGS, {})
        differing = sorted(key for key in self.settings if self.settings[key] != begun_with.get(key))
        if differing:
            raise UserError(
                f"wanted the settings that the study {self.name} was begun with. Received: "
                + ", ".join(
                    f"{key} {_short(self.settings[key])} (begun with {_short(begun_with.get(key))})"
                    for key in differing
                )
                + ". Try: the old settings, or a new database: --storage sqlite:///another.db"
            )


def _short(setting: str | None) -> str:
    """A digest by its first letters."""
    return f"{setting[:12]}..." if setting and re.fullmatch("[0-9a-f]{64}", setting) else str(setting)


def open_study(storage: RDBStorage, name: str, base: TrainConfig, pictures: str, weights: str) -> CellStudy:
    """Finds the study, or begins it.

    Args:
        base: the configuration that all of its trials share.
        pictures: digest of the training pictures.
        weights: what the weights are, whatever their file is called (backbones.weights_identity).

    Raises:
        UserError: its trials had other settings or other pictures; says which.
    """
    settings = settings_of(base, pictures, weights)

    def begin() -> None:
        with transaction(storage, name) as joined:
            if name not in optuna.get_all_study_names(joined):
                study = optuna.create_study(storage=joined, study_name=name, direction="maximize")
                study.set_user_attr(_IDENTITY, f"{name}@{uuid.uuid4().hex[:8]}")
            study = optuna.load_study(storage=joined, study_name=name)
            if not study.get_trials(deepcopy=False):
                study.set_user_attr(_SETTINGS, settings)

    patiently(begin)
    found = find_study(storage, name, settings)
    found.require_settings()
    return found


def settings_of(base: TrainConfig, pictures: str, weights: str) -> dict[str, str]:
    """What all trials of a study share; see `open_study`."""
    idle = _FREE if base.finetunes else _FREE | OF_FINETUNING
    shared = {key: value for key, value in as_params(base).items() if key not in idle}
    return shared | {"pictures": pictures, "weights": weights}


def find_study(storage: RDBStorage, name: str, settings: dict[str, str]) -> CellStudy:
    """Raises KeyError where nobody has begun it."""
    return CellStudy(patiently(lambda: optuna.load_study(study_name=name, storage=storage)), storage, settings)


def is_interrupted(trial: FrozenTrial) -> bool:
    """Whether it ended without an outcome, because its process was stopped or died; it can be had again."""
    return trial.state == TrialState.FAIL and not failure(trial)


def failure(trial: FrozenTrial) -> str:
    """Why its objective is worthless, or an empty text."""
    return trial.user_attrs.get(FIT, {}).get("failure", "")


def count(trials: Sequence[FrozenTrial]) -> dict[str, int]:
    """Trials by what became of them: complete, pruned, failed (the objective was worthless), interrupted, running."""
    states = Counter("INTERRUPTED" if is_interrupted(trial) else trial.state.name for trial in trials)
    return {
        "complete": states["COMPLETE"],
        "pruned": states["PRUNED"],
        "failed": states["FAIL"],
        "interrupted": states["INTERRUPTED"],
        "running": states["RUNNING"],
    }


def done(trials: Sequence[FrozenTrial]) -> int:
    """How many trials are complete or pruned; a trial is one or the other for ever."""
    counts = count(trials)
    return counts["complete"] + counts["pruned"]


def left(trials: Sequence[FrozenTrial], total: int) -> int:
    """How many trials are still to be finished, of `total`.

    A trial that diverged is drawn anew, but no more than `total` times: where every draw diverges the search ends.
    """
    return max(0, min(total, 2 * total - count(trials)["failed"]) - done(trials))


def places(trials: Sequence[FrozenTrial], total: int) -> int:
    """How many trials may be begun: those that are left, and that nobody is at."""
    return max(0, left(trials, total) - count(trials)["running"])


def count_done(storage: RDBStorage, names: Sequence[str], total: int) -> int:
    """Trials of these studies that are complete or pruned, of `total` each; fetches numbers, not the trials."""
    is_done = TrialModel.state.in_([TrialState.COMPLETE, TrialState.PRUNED])
    counted = (
        select(func.count())
        .select_from(TrialModel)
        .join(StudyModel)
        .where(StudyModel.study_name.in_(names), is_done)
        .group_by(StudyModel.study_id)
    )
    with storage.engine.connect() as connection:
        return sum(min(number, total) for number in connection.execute(counted).scalars())


def best(trials: Sequence[FrozenTrial], name: str) -> FrozenTrial:
    """The finished trial with the highest validation top-1; among equals, which are common, the lowest loss.

    Raises NoFinishedTrialError where none of the study `name` finished.
    """
    finished = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if finished:
        return max(finished, key=lambda trial: (trial.value, -trial.user_attrs[FIT]["val_loss"], -trial.number))
    reasons = sorted({failure(trial) or "interrupted" for trial in trials})
    raise NoFinishedTrialError(
        f"wanted a finished trial in {name}. Received: only failed ones ({'; '.join(reasons)}). "
        "Try: more --epochs, another --batch_size, or other --weights"
    )


@dataclass(frozen=True)
class StatusConfig:
    """Prints what became of the trials of every study."""

    status: bool = False
    """print it"""
    storage: str = SweepConfig.storage
    """Optuna's storage"""


def status_table(storage: RDBStorage, now: datetime) -> Table:
    """A row for each study: trials, the age of the oldest that runs, what is left of those asked for last, the best."""
    shown = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    shown.add_column("study", overflow="fold")
    for column in ("done", "pruned", "failed", "running", "age s", "left", "val %"):
        shown.add_column(column, justify="right", no_wrap=True)
    for name in sorted(optuna.get_all_study_names(storage)):
        study = optuna.load_study(study_name=name, storage=storage)
        trials = study.get_trials(deepcopy=False)
        counts, total = count(trials), study.user_attrs.get(TOTAL)
        started = [trial.datetime_start for trial in trials if trial.state == TrialState.RUNNING]
        age = (now - min(filter(None, started))).total_seconds() if started else None
        values = [trial.value for trial in trials if trial.state == TrialState.COMPLETE and trial.value is not None]
        shown.add_row(
            name,
            *(str(counts[state]) for state in ("complete", "pruned", "failed", "running")),
            "-" if age is None else f"{age:.0f}",
            "-" if total is None else str(left(trials, total)),
            f"{100 * max(values):.1f}" if values else "-",
        )
    return shown


def main() -> None:
    """Prints the status of every study."""
    config = cli.parse(StatusConfig)
    if not config.status:
        raise UserError("wanted something to do. Received: no flag. Try: python -m tuning.study --status")
    file = sqlite_file(config.storage)
    if file and not file.exists():  # which opening it would make
        raise UserError(f"wanted a database that is there. Received: {config.storage}. Try: --storage URL")
    with explained(config.storage):
        progress.show(status_table(open_storage(config.storage), datetime.now()))


if __name__ == "__main__":
    cli.run(main)
