"""One Optuna study for each cell: its name and settings, the driver's copy of its trials, and what is left to do.

A trial reaches the database once, whole, when it has ended. Its user attributes tell its `index` in the search, from 0;
its `task`, [index of the task's first trial, number of its trials]; `enqueued`, what a person asked for; and `fit`, all
that came of it (tasks.Outcome). Trials without an index are a person's own.
"""

from __future__ import annotations

import copy
import hashlib
import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import optuna
from optuna.distributions import FloatDistribution
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from pipeline.config import OF_FINETUNING, Cell, Pruner, SweepConfig, TrainConfig, as_params
from pipeline.shell.errors import UserError, first_line
from tuning import stopping
from tuning.storage import waiting

if TYPE_CHECKING:
    from pipeline.datasets import Dataset

T = TypeVar("T")

# What does not change what a search finds: where things lie, and what it draws itself. Pictures and weights are known
# by their contents, not by their names.
_NO_SETTINGS = frozenset(
    {
        *("dataset", "labels", "data_dir", "work_dir", "experiment", "skip_unreadable", "engine", "weights"),
        *("learning_rate", "beta_1", "beta_2", "export_backbone"),
    }
)

# User attributes of a study.
IDENTITY = "identity"  # the name, and what tells it from a study of the same name in another database
DATABASE = "database"  # the same in all studies of a database; MLflow's runs carry it as a tag
SETTINGS = "settings"
TOTAL = "trials"  # how many were asked for last, or found to be enough
JUDGES = "judges"  # how many pictures a trial is validated on
TESTED = "tested_with"  # how many trials were done when the best was tested; a metric of the cell's run, too
FEATURES = "features"  # what they are of: pictures (digests of the splits), cell, and weights (digest of the backbone)

OURS = "_drawn"  # ends a hyperparameter's name in the database where a person's trials have it as another kind

# User attributes of a trial.
INDEX, TASK, ENQUEUED, FIT = "index", "task", "enqueued", "fit"


class CellFailedError(UserError):
    """A cell comes to nothing, for a reason of its own: the other cells go on."""


def named(config: SweepConfig, cell: Cell, dataset: Dataset) -> tuple[str, dict[str, str]]:
    """The name of a cell's study, and its settings."""
    from pipeline.networks import backbones  # tensorflow, which who only looks at a database need not load

    base, weights = config.train_config(cell), backbones.weights_identity(cell, config.weights)
    known = (dataset.train.digest, weights, pruner_kind(config, dataset), fold_count(config, dataset))
    settings = settings_of(config, base, *known)
    return study_name(dataset.name, base, settings), settings


def fold_count(config: SweepConfig, dataset: Dataset) -> int:
    """How many heads each trial trains; see SweepConfig.fold_count."""
    is_val = dataset.train.is_val
    return config.fold_count(len(dataset.train), is_val is not None and bool(is_val.any()))


def pruner_kind(config: SweepConfig, dataset: Dataset) -> Pruner:
    """What stops trials on this data; see SweepConfig.pruner_kind."""
    return config.pruner_kind(len(dataset.train), config.outputs(dataset.num_classes), fold_count(config, dataset))


def settings_of(
    config: SweepConfig, base: TrainConfig, pictures: str, weights: str, pruner: Pruner, folds: int = 1
) -> dict[str, str]:
    """What all trials of a study share, and what it therefore is known by.

    Args:
        pictures: digest of the training pictures.
        weights: what the weights are, whatever their file is called (backbones.weights_identity).
        pruner: what the config's comes to.
        folds: that its heads are validated on.
    """
    idle = _NO_SETTINGS if base.finetunes else _NO_SETTINGS | OF_FINETUNING
    idle |= {"augment"} if base.freeze_conv else set()
    shared = {name: value for name, value in as_params(base).items() if name not in idle}
    return shared | {
        "batch_size": str(base.batch),
        "pictures": pictures,
        "weights": weights,
        "wave": str(config.round_size),
        "pruner": pruner,
        "folds": str(folds),
    }


def study_name(dataset: str, base: TrainConfig, settings: Mapping[str, str]) -> str:
    """Like stanford_dogs-mobilenet_0.75_192-frozen-1f0c3a: other settings are another study, side by side."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:6]
    return f"{model_name(dataset, base)}-{digest}"


def model_name(dataset: str, base: TrainConfig) -> str:
    """Under which a cell's models are registered in MLflow, whatever the settings."""
    return f"{dataset}-{base.cell.name}-{'frozen' if base.freeze_conv else 'finetuned'}"


@dataclass
class CellStudy:
    """A study, and the driver's copy of it: nobody else writes, so it is read once.

    Attributes:
        ended: the search's own trials by index, ascending.
        added: what a person added with a value; it teaches the sampler, and is never the winner.
        columns: hyperparameter -> (name, distribution) to write it under, where a person's trials have another one:
            within a study Optuna takes no second scale of a name, and no second kind. What is drawn stays the same.
    """

    study: optuna.Study
    storage: RDBStorage
    identity: str
    database: str
    attributes: dict[str, Any]
    ended: dict[int, FrozenTrial] = field(default_factory=dict)
    added: list[FrozenTrial] = field(default_factory=list)
    columns: dict[str, tuple[str, FloatDistribution]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Optuna's."""
        return self.study.study_name

    @property
    def trials(self) -> list[FrozenTrial]:
        """The search's own, in order of index."""
        return list(self.ended.values())

    @property
    def pruner(self) -> Pruner:
        """That of all its trials."""
        return self.attributes[SETTINGS]["pruner"]

    def before(self, index: int) -> list[FrozenTrial]:
        """What a round that begins with `index` is drawn from: a person's trials, and those of the rounds before."""
        return [*self.added, *(trial for at, trial in self.ended.items() if at < index)]

    def keep(self, name: str, value: object) -> None:
        """Writes a user attribute of the study."""
        if self.attributes.get(name) != value:
            self.call(lambda: self.study.set_user_attr(name, value))
            self.attributes[name] = value

    def add(self, index: int, trial: FrozenTrial) -> None:
        """Writes a trial that has ended, in one transaction, and once, even where the answer to it is lost."""
        written = self.as_written(trial)

        def unless_there() -> None:
            """For an attempt whose answer was lost."""
            if not any(there.user_attrs.get(INDEX) == index for there in self.study.get_trials(deepcopy=False)):
                self.study.add_trial(written)

        self.call(lambda: self.study.add_trial(written), unless_there)
        self.file(index, trial)

    def as_written(self, trial: FrozenTrial) -> FrozenTrial:
        """The trial under the names and distributions of `columns`."""
        columns = {name: self.columns.get(name, (name, own)) for name, own in trial.distributions.items()}
        written = copy.copy(trial)
        written.params = {columns[name][0]: value for name, value in trial.params.items()}
        written.distributions = dict(columns.values())
        return written

    def file(self, index: int, trial: FrozenTrial) -> None:
        """Into the driver's copy."""
        self.ended[index] = trial
        if len(self.ended) > 1 and index < max(self.ended):
            self.ended = dict(sorted(self.ended.items()))

    def total(self, config: SweepConfig) -> int:
        """How many trials it is to have, as far as those that have ended can tell."""
        return stopping.total(config.trials, self.ended, config.round_size, self.attributes.get(JUDGES, 0))

    def left(self, config: SweepConfig) -> int:
        """How many of these are still to be finished."""
        return stopping.left(self.trials, self.total(config))

    def is_tested(self, config: SweepConfig) -> bool:
        """Whether all trials are done, and the best of these was tested."""
        return not self.left(config) and self.attributes.get(TESTED) == stopping.done(self.trials)

    def call(self, attempt: Callable[[], T], again: Callable[[], T] | None = None) -> T:
        """Asks the database, and waits for it.

        Raises UserError where the study is not there any more, or has a trial beside which Optuna takes none of ours.
        """
        try:
            return waiting(attempt, again)
        except ValueError as error:  # Optuna's, of distributions; the next start looks what it may write
            raise UserError(
                f"wanted to write a trial of the study {self.name}. Received: {first_line(error)}, as a trial has that "
                "was added while the sweep ran. Try: the same command again, which allows for it"
            ) from error
        except KeyError as error:  # Optuna's
            raise UserError(
                f"wanted the study {self.name}. Received: it was deleted while the sweep ran. "
                "Try: the same command again, which begins it anew"
            ) from error


def open_study(storage: RDBStorage, name: str, settings: Mapping[str, str], database: str) -> CellStudy:
    """Finds the study, or begins it.

    Args:
        database: for a study that is begun; see `database_of`.

    Raises:
        UserError: another program made it, or changed its trials.
    """

    def begin() -> optuna.Study:
        """Makes no second one where an answer was lost."""
        if name in optuna.get_all_study_names(storage):
            return optuna.load_study(storage=storage, study_name=name)
        return optuna.create_study(storage=storage, study_name=name, direction="maximize")

    study = waiting(begin)
    kept, trials = waiting(lambda: (study.user_attrs, study.get_trials(deepcopy=False)))
    if IDENTITY not in kept:
        # An empty one may be of a driver that was killed just when it had begun it.
        if kept.keys() - {SETTINGS, DATABASE} or trials or study.direction != StudyDirection.MAXIMIZE:
            raise UserError(
                f"wanted to begin the study {name}. Received: one of that name that alpharho did not make "
                f"({len(trials)} trials, {study.direction.name.lower()}). Try: rename or delete it "
                f"(`optuna delete-study --study-name {name}`), or name another --storage"
            )
        kept = {SETTINGS: dict(settings), DATABASE: database, IDENTITY: f"{name}@{uuid.uuid4().hex[:8]}"}
        for attribute, value in kept.items():  # the identity last
            waiting(lambda attribute=attribute, value=value: study.set_user_attr(attribute, value))  # type: ignore[misc]
    ended = _by_index(name, trials)
    return CellStudy(study, storage, kept[IDENTITY], kept[DATABASE], dict(kept), ended)


def database_of(storage: RDBStorage) -> str:
    """What the database is known by: what its studies say, or a new name where it has none."""
    summaries = waiting(lambda: optuna.get_all_study_summaries(storage, include_best_trial=False))
    known = (summary.user_attrs.get(DATABASE) for summary in summaries)
    return next(filter(None, known), uuid.uuid4().hex[:12])


def is_own(trial: FrozenTrial) -> bool:
    """Whether it is the search's own, and whole."""
    return trial.state.is_finished() and INDEX in trial.user_attrs and FIT in trial.user_attrs


def _by_index(name: str, trials: Iterable[FrozenTrial]) -> dict[int, FrozenTrial]:
    found: dict[int, FrozenTrial] = {}
    for trial in map(_as_drawn, filter(is_own, trials)):
        index = trial.user_attrs[INDEX]
        if index in found:
            if trial.user_attrs[FIT] == found[index].user_attrs[FIT]:
                continue  # Optuna wrote it once more, when an answer of the database was lost
            raise UserError(
                f"wanted each trial of the study {name} once. Received: trials {found[index].number} and "
                f"{trial.number} both with the index {index}, as another program left them. Try: delete the study "
                f"(`optuna delete-study --study-name {name}`), or name another --storage"
            )
        found[index] = trial
    return dict(sorted(found.items()))


def _as_drawn(trial: FrozenTrial) -> FrozenTrial:
    """The reverse of CellStudy.as_written, distributions apart."""
    read = copy.copy(trial)
    read.params = {name.removesuffix(OURS): value for name, value in trial.params.items()}
    return read


def objective_curve(fit: Mapping[str, Any]) -> Sequence[float]:
    """The score that was aimed at, epoch by epoch, of what is kept with a trial."""
    curves = fit.get("curves", {})
    return curves.get("val_balanced_top1", curves.get("val_top1", ()))


def failure(trial: FrozenTrial) -> str:
    """Why its objective is worthless, or an empty text."""
    return trial.user_attrs.get(FIT, {}).get("failure", "")


def _rank(trial: FrozenTrial) -> tuple[float, float, int]:
    return trial.value or 0.0, -trial.user_attrs[FIT]["val_loss"], -trial.user_attrs[INDEX]


def best(trials: Sequence[FrozenTrial], name: str) -> FrozenTrial:
    """The finished trial with the highest value; among equals, which are common, the lowest loss.

    Raises CellFailedError where none of the study `name` finished.
    """
    finished = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if finished:
        return max(finished, key=_rank)
    reasons = sorted({failure(trial) for trial in trials if failure(trial)})
    raise CellFailedError(
        f"wanted a finished trial in {name}. Received: only failed ones ({'; '.join(reasons)}). "
        "Try: more --epochs, another --batch_size, or other --weights"
    )
