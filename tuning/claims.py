"""Who trains what: places of a study are claimed in waves, so that all processes together do what was asked for.

A place is held by a trial that is complete, pruned or running. Claiming happens under the study's lock, and no more
trials are begun than there are places. A trial of a process that died or fell silent is marked as failed, which gives
its place back, and the next claim begins it again with the same parameters.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import RDBStorage, fail_stale_trials
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from pipeline.config import SweepConfig
from pipeline.shell import signals
from tuning import mirror, search_space
from tuning import study as studies
from tuning.storage import OUTAGES, TransactionLostError, patiently, transaction
from tuning.study import CellStudy

# System attributes of a trial, in the words of optuna's RetryHeartbeatStaleTrialCallback.
_FIRST = "failed_trial"
_HISTORY = "retry_history"


@dataclass(frozen=True)
class Claimed:
    """A running trial of this process.

    Attributes:
        trial_id: in Optuna's database.
        params: what was drawn: learning_rate, one_minus_beta_1, one_minus_beta_2.
        mirrored: its double in memory, which says whether to go on.
    """

    number: int
    trial_id: int
    params: dict[str, float]
    mirrored: Trial


@dataclass(frozen=True)
class Outcome:
    """What came of a claimed trial.

    Attributes:
        value: the objective; None for a trial that failed.
        fit: kept with the trial, anything that JSON can hold.
    """

    trial: Claimed
    state: TrialState
    value: float | None
    fit: dict[str, Any]


def claim(study: CellStudy, config: SweepConfig, size: int) -> list[Claimed]:
    """Begins up to `size` trials, as many as there are places of config.trials.

    Raises UserError where another process has begun the study with other settings meanwhile.
    """
    free_stale(study)

    def begin() -> list[Claimed]:
        with transaction(study.storage, study.name) as storage:
            trials = study.trials()
            count = min(size, studies.places(trials, config.trials))
            if not count:
                return []
            study.require_settings()
            double = mirror.of(study.name, trials, config.seed, mirror.pruner(config.pruner, config.epochs))
            study_id = storage.get_study_id_from_name(study.name)
            again = [*_again(trials), *[None] * count][:count]
            space = search_space.distributions(config.finetunes)
            return [_begin(storage, study_id, double, space, earlier) for earlier in again]

    return patiently(begin)


def finish(study: CellStudy, outcomes: Sequence[Outcome]) -> list[int]:
    """Writes what came of a wave; the numbers of the trials that count.

    A trial that was taken for dead meanwhile does not: another process does it again.
    """

    def write() -> list[int]:
        with transaction(study.storage, study.name) as storage:
            return [outcome.trial.number for outcome in outcomes if _write(storage, outcome)]

    return patiently(write)


def free_stale(study: CellStudy) -> None:
    """Gives back the places of trials whose process died, or has been silent for GRACE_SECONDS."""

    def free() -> None:
        with transaction(study.storage, study.name) as storage:
            fail_stale_trials(optuna.load_study(study_name=study.name, storage=storage))

    patiently(free)


def give_up(study: CellStudy, claimed: Sequence[Claimed]) -> None:
    """Frees the places of trials that this process will not finish.

    Where the database does not answer now they are free when their silence is noticed.
    """
    lost = (*OUTAGES, TransactionLostError)
    with signals.uninterrupted(), contextlib.suppress(*lost), transaction(study.storage, study.name) as storage:
        for trial in claimed:
            if not storage.get_trial(trial.trial_id).state.is_finished():
                storage.set_trial_state_values(trial.trial_id, TrialState.FAIL)


def _again(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """What goes before new draws: trials that wait, and interrupted ones that nobody has begun again."""
    begun_again = {number for trial in trials for number in trial.system_attrs.get(_HISTORY, ())}
    waiting = [trial for trial in trials if trial.state == TrialState.WAITING]
    interrupted = [trial for trial in trials if studies.is_interrupted(trial) and trial.number not in begun_again]
    return [*waiting, *(trial for trial in interrupted if trial.params)]


def _params(trial: FrozenTrial) -> dict[str, float]:
    """Its parameters, or those that a person fixed with optuna's `enqueue_trial`."""
    return trial.params or trial.system_attrs.get("fixed_params", {})


def _begin(
    storage: RDBStorage,
    study_id: int,
    double: optuna.Study,
    space: Mapping[str, BaseDistribution],
    earlier: FrozenTrial | None,
) -> Claimed:
    """A running trial with its first heartbeat: `earlier` again, or a new draw."""
    drawn = mirror.draw(double, space, None if earlier is None else _params(earlier))
    if earlier is not None and earlier.state == TrialState.WAITING:
        trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, earlier.number)
        for name in drawn.params.keys() - earlier.params.keys():
            distribution = drawn.distributions[name]
            storage.set_trial_param(trial_id, name, distribution.to_internal_repr(drawn.params[name]), distribution)
    else:
        template = create_trial(
            state=TrialState.WAITING,
            params=drawn.params,
            distributions=drawn.distributions,
            system_attrs={} if earlier is None else _ancestry(earlier),
        )
        trial_id = storage.create_new_trial(study_id, template)
    storage.set_trial_state_values(trial_id, TrialState.RUNNING)
    storage.record_heartbeat(trial_id)
    return Claimed(storage.get_trial_number_from_id(trial_id), trial_id, drawn.params, drawn)


def _ancestry(earlier: FrozenTrial) -> dict[str, Any]:
    known = earlier.system_attrs
    return {_FIRST: known.get(_FIRST, earlier.number), _HISTORY: [*known.get(_HISTORY, ()), earlier.number]}


def _write(storage: RDBStorage, outcome: Outcome) -> bool:
    trial_id = outcome.trial.trial_id
    found = storage.get_trial(trial_id)
    if found.state.is_finished():  # by another process, or by an attempt of ours whose answer was lost
        return found.state == outcome.state and studies.FIT in found.user_attrs
    storage.set_trial_user_attr(trial_id, studies.FIT, outcome.fit)
    for name, value in mirror.rungs(outcome.trial.mirrored).items():
        storage.set_trial_system_attr(trial_id, name, value)
    return storage.set_trial_state_values(trial_id, outcome.state, None if outcome.value is None else [outcome.value])
