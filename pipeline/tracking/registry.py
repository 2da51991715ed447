"""Registered models: a name has versions, and aliases that say which is which: models:/NAME@best."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from pipeline.config import spell
from pipeline.shell.progress import note
from pipeline.tracking.outages import waiting

NEWEST, BEST = "newest", "best"  # of a cell's name
CHAMPION, ENOUGH = "champion", "enough"  # of a data set's name
JUDGED_TAG = "alpharho.judged_by"  # of a version: by which score of which pictures, such as "top1 of 4ee7cc36..."
SCORE_TAG = "alpharho.val_score"


@dataclass(frozen=True)
class Scored:
    """A logged model, and what it reached in validation by the score and the pictures that `judged_by` names."""

    uri: str
    val_score: float
    judged_by: str


def register(client: MlflowClient, run_id: str, model: Scored, name: str, tags: Mapping[str, object]) -> None:
    """Makes a logged model a version of `name`, and moves the aliases `newest` and `best`: models:/name@best."""
    name = _spelled(name)
    version = _version(client, run_id, model, name, tags)
    _move(client, name, NEWEST, version)
    _move_if_better(client, name, BEST, version, model)


def promote(client: MlflowClient, name: str, best: str, enough: str) -> None:
    """Makes the models of two runs versions of `name`, the data set's, and moves the aliases `champion` and `enough`.

    The champion changes as `best` does. `enough` goes with it: where the champion is not the model of the run `best`,
    it stays, too. It may be a worse model than before, since what is cheap is not shown to be the best, but to be
    enough beside the champion.

    Args:
        best, enough: runs whose models are registered under their cells' names; they may be one.
    """
    name, versions = _spelled(name), {}
    for run_id in (best, enough):
        known = waiting(partial(_newest_of, client, run_id))
        if known is None or not known.source:  # a person has removed it
            return
        model = Scored(known.source, float(known.tags.get(SCORE_TAG, math.nan)), known.tags.get(JUDGED_TAG, ""))
        tags = {tag: value for tag, value in known.tags.items() if tag not in (JUDGED_TAG, SCORE_TAG)}
        versions[run_id] = _version(client, run_id, model, name, tags)
        if run_id == best:
            champion = _move_if_better(client, name, CHAMPION, versions[best], model)
            if champion.version != versions[best].version:
                return
    _move(client, name, ENOUGH, versions[enough])


def _spelled(name: str) -> str:
    """Without what mlflow forbids, and folder:PATH contains."""
    return re.sub(r"[/:]+", "-", name).strip("-")


def _version(client: MlflowClient, run_id: str, model: Scored, name: str, tags: Mapping[str, object]) -> ModelVersion:
    """That of `name` which is this model: made, where there is none."""
    known = {**tags, JUDGED_TAG: model.judged_by, SCORE_TAG: model.val_score}

    def create_name() -> None:
        """Where there is none yet."""
        try:
            client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def create_version() -> ModelVersion:
        """Of this run's model."""
        model_id, spelled = model.uri.rpartition("/")[2], {tag: spell(value) for tag, value in known.items()}
        return client.create_model_version(name, source=model.uri, run_id=run_id, tags=spelled, model_id=model_id)

    def find_version() -> ModelVersion:
        """One that an earlier call, or an attempt whose answer was lost, has made."""
        there = (one for one in _versions(client, run_id) if (one.name, one.source) == (name, model.uri))
        return next(there, None) or create_version()

    waiting(create_name)
    return waiting(find_version)


def _versions(client: MlflowClient, run_id: str) -> list[ModelVersion]:
    """Of every name, made of the models of a run."""
    return list(client.search_model_versions(f"run_id = '{run_id}'"))


def _newest_of(client: MlflowClient, run_id: str) -> ModelVersion | None:
    return max(_versions(client, run_id), key=lambda one: one.creation_timestamp, default=None)


def _move(client: MlflowClient, name: str, alias: str, version: ModelVersion) -> None:
    waiting(lambda: client.set_registered_model_alias(name, alias, version.version))


def _move_if_better(client: MlflowClient, name: str, alias: str, version: ModelVersion, model: Scored) -> ModelVersion:
    """Returns the version that has the alias now; a note says so where the two cannot be compared."""
    there = waiting(lambda: _aliased(client, name, alias))
    if there is None or _is_better(model, there):
        _move(client, name, alias, version)
        return version
    if there.tags.get(JUDGED_TAG) != model.judged_by:
        note(
            f"{name}@{alias} stays version {there.version}: version {version.version} was validated on other pictures "
            "or by another score, so that the two cannot be compared; delete the alias where these are to count now"
        )
    return there


def _aliased(client: MlflowClient, name: str, alias: str) -> ModelVersion | None:
    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None


def _is_better(model: Scored, best: ModelVersion) -> bool:
    """Whether it is proven, by the same score of the same pictures; ties go to the older."""
    same, known = best.tags.get(JUDGED_TAG) == model.judged_by, float(best.tags.get(SCORE_TAG, math.nan))
    return same and (model.val_score > known or (math.isnan(known) and not math.isnan(model.val_score)))
