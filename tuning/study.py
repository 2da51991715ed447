"""One Optuna study for each cell: where it is stored, what it draws next, and what is left to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import optuna
import sqlalchemy.exc
from filelock import FileLock
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.engine import make_url

from pipeline.config import SweepConfig, TrainConfig, as_params
from pipeline.errors import UserError, first_line

# What may differ between two calls that go on with the same study.
_FREE = frozenset(
    {"data_dir", "work_dir", "experiment", "skip_unreadable", "learning_rate", "beta_1", "beta_2", "export_backbone"}
)
_SETTINGS = "settings"
FAILURE = "failure"  # user attribute of a trial: why its objective is worthless
VAL_LOSS = "val_loss"  # user attribute of a trial: at its best epoch
_SQLITE_TIMEOUT = 60  # s; six writers had no "database is locked" with it


def study_name(config: SweepConfig | TrainConfig, cell_name: str) -> str:
    """Like stanford_dogs-mobilenet_0.75_192-frozen; a head_init that was asked for stands behind it."""
    mode = "frozen" if config.freeze_conv else "finetuned"
    asked = "" if config.head_init == "auto" else f"-{config.head_init}"
    return f"{config.dataset}-{cell_name}-{mode}{asked}"


def open_storage(url: str) -> RDBStorage:
    """Connects, and creates the tables where there are none.

    Raises:
        UserError: the database does not answer, is read-only, damaged, or of another version of Optuna.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        file = make_url(url).database if url.startswith("sqlite") else None
        if not file:
            return RDBStorage(url)
        if not Path(file).absolute().parent.is_dir():  # which the lock would make, after any slip of the pen
            raise FileNotFoundError(f"no folder {Path(file).absolute().parent}")
        # Two processes that create the tables of one sqlite file at once leave it broken.
        with FileLock(f"{Path(file).absolute()}.lock", timeout=_SQLITE_TIMEOUT):
            return RDBStorage(url, engine_kwargs={"connect_args": {"timeout": _SQLITE_TIMEOUT}})
    except sqlalchemy.exc.ArgumentError as error:
        raise UserError(
            f"wanted a database URL such as sqlite:///optuna.db for --storage. Received: {url!r}"
        ) from error
    except (sqlalchemy.exc.SQLAlchemyError, RuntimeError, ImportError, OSError) as error:
        raise UserError(
            f"wanted an Optuna {optuna.__version__} database at {make_url(url)!r}. Received: {first_line(error)}. "
            "Way out: start its server, run `optuna storage upgrade --storage URL`, or name another with --storage"
        ) from error


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Turns an outage of the database in the middle of a sweep into a UserError."""
    try:
        yield
    except StorageInternalError as error:
        raise UserError(
            f"wanted the database {make_url(url)!r} to take what was found. Received: "
            f"{first_line(error.__cause__ or error)}. Way out: put that right and start again; "
            "finished trials are kept"
        ) from error


class NoFinishedTrialError(UserError):
    """Every trial of a study failed."""


def open_study(storage: RDBStorage, name: str, base: TrainConfig, pictures: str, weights: str) -> optuna.Study:
    """Finds the study, or begins it.

    Args:
        base: the configuration that all of its trials share.
        pictures: digest of the training pictures.
        weights: what the weights are, whatever their file is called (backbones.weights_identity).

    Raises:
        UserError: its trials had other settings or other pictures; says which.
    """
    study = optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)
    settings = {key: value for key, value in as_params(base).items() if key not in _FREE}
    settings |= {"pictures": pictures, "weights": weights}
    begun_with = study.user_attrs.get(_SETTINGS)
    if begun_with is None or not study.get_trials(deepcopy=False):
        study.set_user_attr(_SETTINGS, settings)
    elif begun_with != settings:
        differing = sorted(key for key in {*settings, *begun_with} if settings.get(key) != begun_with.get(key))
        raise UserError(
            f"wanted the settings that the study {name} was begun with. Received: "
            + ", ".join(f"{key} {settings.get(key)} (begun with {begun_with.get(key)})" for key in differing)
            + ". Way out: the old settings, or a new database: --storage sqlite:///another.db"
        )
    return study


def count(study: optuna.Study) -> dict[str, int]:
    """Trials by state: complete, failed (the objective was worthless) and interrupted (they can be had again)."""
    trials = study.get_trials(deepcopy=False)
    failed = [trial for trial in trials if trial.state == TrialState.FAIL]
    spoiled = sum(FAILURE in trial.user_attrs for trial in failed)
    return {
        "complete": sum(trial.state == TrialState.COMPLETE for trial in trials),
        "failed": spoiled,
        "interrupted": len(failed) - spoiled,
    }


def left(study: optuna.Study, total: int) -> int:
    """How many trials are still to be done, of `total`.

    A trial that diverged is drawn anew, but no more than `total` times: where every draw diverges the search ends.
    """
    done = count(study)
    return max(0, min(total - done["complete"], 2 * total - done["complete"] - done["failed"]))


def ask(study: optuna.Study, size: int, seed: int) -> list[Trial]:
    """Draws `size` trials.

    The sampler is made anew for every wave from (seed, trials so far): a search that was interrupted between two waves
    goes on with the draws it would have made, and no call repeats an earlier one's.
    """
    number = len(study.get_trials(deepcopy=False))
    study.sampler = optuna.samplers.TPESampler(seed=int(np.random.SeedSequence([seed, number]).generate_state(1)[0]))
    return [study.ask() for _ in range(size)]


def best(study: optuna.Study) -> FrozenTrial:
    """The finished trial with the highest validation top-1; among equals, which are common, the lowest loss.

    Raises NoFinishedTrialError where none finished.
    """
    trials = study.get_trials(deepcopy=False)
    finished = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if finished:
        return max(finished, key=lambda trial: (trial.value, -trial.user_attrs.get(VAL_LOSS, 0.0), -trial.number))
    reasons = sorted({trial.user_attrs.get(FAILURE, "interrupted") for trial in trials})
    raise NoFinishedTrialError(
        f"wanted a finished trial in {study.study_name}. Received: only failed ones ({'; '.join(reasons)}). "
        "Way out: more --epochs, another --batch_size, or other --weights"
    )
