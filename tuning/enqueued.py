"""What a person puts into a study: `enqueue_trial` asks for a trial with these values, `add_trial` brings a result.

An enqueued trial is the one that the search finishes. It stands in the database from the beginning, so it is written in
several steps, each of which may be done again: one that a kill left half-written waits as before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from pipeline.shell.errors import UserError
from tuning.search_space import Space, understood
from tuning.studies import OURS, CellStudy, is_own

_FIXED = "fixed_params"  # Optuna's key, in a trial's system attributes, for what `enqueue_trial` was given


@dataclass(frozen=True)
class Enqueued:
    """A trial that waits.

    Attributes:
        number: Optuna's.
        values: what it must have, under the names that are drawn; the others are drawn.
    """

    number: int
    values: dict[str, float]


def admit(study: CellStudy, space: Space) -> None:
    """At the start of a driver: a person's results are to teach the sampler, and what cannot be run is refused.

    Raises UserError where a waiting trial asks for what is not of `space`; it is marked as failed, so that the next
    start goes on.
    """
    theirs = [trial for trial in _trials(study, *TrialState) if not is_own(trial)]
    study.columns = _columns(theirs, space)
    study.added = [lesson for trial in theirs if (lesson := _lesson(trial, space))]
    _found, refused = look(study, space)
    if refused:
        raise UserError(
            f"wanted enqueued values of the search space in the study {study.name}. Received: {'; '.join(refused)}, "
            "now marked as failed. Try: enqueue other values, or the same command again, which goes on without them"
        )


def look(study: CellStudy, space: Space) -> tuple[list[Enqueued], list[str]]:
    """The trials that wait, in order; and why others, which are marked as failed, were refused."""
    found, refused = [], []
    for trial in _trials(study, TrialState.WAITING, TrialState.RUNNING):
        if trial.state == TrialState.RUNNING and _FIXED not in trial.system_attrs:
            continue  # a person's own, who may tell its result by and by
        try:
            found.append(Enqueued(trial.number, understood(trial.system_attrs.get(_FIXED, {}), space)))
        except ValueError as error:
            refused.append(f"trial {trial.number} with {error}")
            _fail(study, trial.number)
    return found, refused


def finish(study: CellStudy, index: int, number: int, trial: FrozenTrial) -> None:
    """Writes all that `trial` says into the trial `number`."""
    storage, written = study.storage, study.as_written(trial)

    def write() -> None:
        """Step by step, over what an earlier attempt has written."""
        trial_id = _id(study, number)
        there = storage.get_trial(trial_id)
        if there.state.is_finished():  # by an attempt whose answer was lost
            return
        if there.state == TrialState.WAITING:
            storage.set_trial_state_values(trial_id, TrialState.RUNNING)
        for name in written.params.keys() - there.params.keys():
            distribution = written.distributions[name]
            storage.set_trial_param(trial_id, name, distribution.to_internal_repr(written.params[name]), distribution)
        for step, value in trial.intermediate_values.items():
            storage.set_trial_intermediate_value(trial_id, step, value)
        for name, kept in trial.system_attrs.items():
            storage.set_trial_system_attr(trial_id, name, kept)
        for name, kept in trial.user_attrs.items():
            storage.set_trial_user_attr(trial_id, name, kept)
        storage.set_trial_state_values(trial_id, trial.state, None if trial.value is None else [trial.value])

    study.call(write)
    study.file(index, trial)


def _trials(study: CellStudy, *states: TrialState) -> Sequence[FrozenTrial]:
    return study.call(lambda: study.study.get_trials(deepcopy=False, states=states))


def _fail(study: CellStudy, number: int) -> None:
    study.call(lambda: study.storage.set_trial_state_values(_id(study, number), TrialState.FAIL))


def _id(study: CellStudy, number: int) -> int:
    storage = study.storage
    return storage.get_trial_id_from_study_id_trial_number(storage.get_study_id_from_name(study.name), number)


def _lesson(trial: FrozenTrial, space: Space) -> FrozenTrial | None:
    """A person's result as the sampler may read it; None where it is not of the search space.

    It must tell all three values: the sampler draws together what all of its trials have.
    """
    if trial.state != TrialState.COMPLETE or trial.value is None:
        return None
    try:
        params = understood(trial.params, space)
    except ValueError:
        return None
    if len(params) < len(space):
        return None
    return create_trial(value=trial.value, params=params, distributions=dict(space))


def _columns(trials: Sequence[FrozenTrial], space: Space) -> dict[str, tuple[str, FloatDistribution]]:
    """See CellStudy.columns."""
    found: dict[str, tuple[str, FloatDistribution]] = {}
    for trial in trials:
        for name, own in space.items():
            theirs = trial.distributions.get(name, own)
            if not isinstance(theirs, FloatDistribution):
                found[name] = f"{name}{OURS}", own
            elif theirs.log != own.log:
                found[name] = name, FloatDistribution(own.low, own.high)
    return found
