"""Runs, by explicit ids: opened, filled, closed and read."""

from __future__ import annotations

import contextlib
import math
import os
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from pipeline.shell.errors import UserError
from pipeline.shell.signals import uninterrupted
from pipeline.tracking import artifacts, inputs, lookup, models, published_runs, registry, trials
from pipeline.tracking.entries import curve_points, epoch_points, now_ms, points, run_params, run_tags, write
from pipeline.tracking.environment import environment_tags
from pipeline.tracking.outages import impatient, patient
from pipeline.tracking.reader import Reader
from pipeline.tracking.runs import (
    CELLS_TAG,
    ERROR_TAG,
    KEY_TAG,
    KIND_TAG,
    Kind,
    Status,
    TrialRun,
)

if TYPE_CHECKING:
    import keras
    import pandas as pd
    from mlflow.entities import Metric

COMPUTING_KINDS = {"sweep", "cell", "train", "main"}  # they say on what they were computed
INTERRUPTS = (KeyboardInterrupt, SystemExit, GeneratorExit)
RANDOM_NAME = re.compile(r"[a-z]+-[a-z]+-\d+")  # mlflow's own, where a person gave no --run-name


class Tracker(Reader):
    """Writes to and reads from one MLflow experiment; made by `connect`.

    Every method waits for a store that is away for a while, and then goes on as if nothing had been: nothing is missing
    and nothing is there twice. It raises Outage (a UserError) after ten minutes, and UserError at once where a person
    must mend the store.
    """

    def __init__(self, client: MlflowClient, experiment_id: str) -> None:
        super().__init__(client, experiment_id)
        self._adoptable = os.environ.get("MLFLOW_RUN_ID", "")

    @contextlib.contextmanager
    def run(
        self,
        name: str,
        kind: Kind,
        parent: str | None = None,
        tags: Mapping[str, object] | None = None,
        resume: str = "",
    ) -> Iterator[str]:
        """Opens a run as `open` does, and yields its id.

        Closed as FINISHED; as KILLED by Ctrl-C, SIGTERM and exit(); as FAILED by other exceptions. These propagate, and
        the tag alpharho.error says what they were.
        """
        run_id = self.open(name, kind, parent, tags, resume)
        try:
            yield run_id
            self.close(run_id)
        except BaseException as error:
            self.abort(lambda: [run_id], error)
            raise

    def open(
        self,
        name: str,
        kind: Kind,
        parent: str | None = None,
        tags: Mapping[str, object] | None = None,
        resume: str = "",
        key: str = "",
    ) -> str:
        """Makes a run that is RUNNING. Returns its id. An interrupt meanwhile leaves none open.

        The first one without a parent is `mlflow run`'s own, where that started us. `resume` is the id of an earlier
        run to go on with; where this experiment no longer has it, a new one is made.

        Args:
            key: unique, and the same whoever opens the run: one with this key is gone on with too, so that it is found
                again by whoever comes after a process that died before it could tell the id.
        """
        tags = {**(environment_tags() if parent is None or kind in COMPUTING_KINDS else {}), **(tags or {})}
        family = {MLFLOW_PARENT_RUN_ID: parent} if parent else {}
        if parent is None and self._adoptable:
            run_id, self._adoptable = self._adoptable, ""
            with self._killed_by_interrupts(lambda: [run_id]):
                self._adopt(run_id, name, {**tags, KIND_TAG: kind})
        elif run_id := resume if self.has(resume) else self.with_key(key):
            with self._killed_by_interrupts(lambda: [run_id]):
                self._reopen(run_id, {**tags, **family})
        else:
            tags = {**({} if parent else resolve_tags()), **tags, **family, KIND_TAG: kind}
            run_id = self._create(name, tags, key or uuid.uuid4().hex)
        return run_id

    def close(self, run_id: str, status: Status = "FINISHED", tags: Mapping[str, object] | None = None) -> None:
        """Ends a run, after it was given `tags`; one that has ended is ended anew."""
        self._close(run_id, status, tags or {}, now_ms())

    def abort(self, find: Callable[[], list[str]], error: BaseException) -> None:
        """Closes the runs that `find` names because of `error`: as KILLED where it is an interrupt, else as FAILED.

        Tries once, for who stops a program does not wait for ten minutes; what fails becomes a note of `error`.
        """
        status: Status = "KILLED" if isinstance(error, INTERRUPTS) else "FAILED"
        what = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}".rstrip(": ")
        try:
            with uninterrupted(), impatient():
                for run_id in find():
                    self.close(run_id, status, {ERROR_TAG: what.partition("\n")[0][:500]})
        except (UserError, MlflowException) as outage:
            error.add_note(f"A run could not be closed: {outage}")

    def publish(self, trial: TrialRun, parent: str, run_id: str = "") -> str:
        """Writes a finished trial below `parent` in one go. Returns its run's id.

        Writing the same trial again into the same run, `run_id`, changes nothing and completes what is half-written.
        Without a `run_id` a run is made; the caller sees from `children` whether there is one with this key.
        """
        family = {MLFLOW_PARENT_RUN_ID: parent, KIND_TAG: "trial"}
        return trials.publish(self.client, self.experiment_id, trial, family, run_id)

    @patient
    def delete(self, run_id: str) -> None:
        """Puts a run into MLflow's trash, where it may be already."""
        lookup.delete(self.client, run_id)

    def impatient(self) -> contextlib.AbstractContextManager[None]:
        """Inside, the first failure of the store raises Outage, within 5 s."""
        return impatient()

    @property
    def adopts(self) -> bool:
        """Whether the next run without a parent will be `mlflow run`'s own."""
        return bool(self._adoptable)

    @patient
    def link(self, sweep: str, cells: Iterable[str]) -> None:
        """Shows finished cells of earlier sweeps, by their run ids, under this one too; their runs stay as they are."""
        linked = dict.fromkeys([*self._linked(sweep), *cells])
        write(self.client, sweep, tags=run_tags({CELLS_TAG: ",".join(linked)}))

    @patient
    def log_params(self, run_id: str, params: Mapping[str, object]) -> None:
        """Writes parameters as `spell` spells them; names that the run has already keep their value.

        `mlflow run` writes its own spelling of them before the program starts, and MLflow refuses a second one.
        """
        known = self.params(run_id)
        new = {name: value for name, value in params.items() if name not in known}
        write(self.client, run_id, params=run_params(new))

    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """Writes single values; infinities become NaN."""
        self._write_metrics(run_id, points(metrics, now_ms()))

    def log_curves(self, run_id: str, curves: Mapping[str, Iterable[float]]) -> None:
        """Writes one value for each epoch, as steps 1, 2, ...; infinities become NaN."""
        now = now_ms()
        self._write_metrics(run_id, curve_points(curves, now, now))

    def log_epoch(self, run_id: str, epoch: int, scores: Mapping[str, float], ended: float) -> None:
        """Writes one epoch of curves while the run goes on.

        `publish` writes the same points once more, without a double, where its curves have the same values.

        Args:
            epoch: from 1.
            ended: seconds since 1970, as in TrialRun.epoch_ends.
        """
        self._write_metrics(run_id, epoch_points(epoch, scores, ended))

    @patient
    def set_tags(self, run_id: str, tags: Mapping[str, object]) -> None:
        """Writes tags, over those that are there."""
        write(self.client, run_id, tags=run_tags(tags))

    @patient
    def log_text(self, run_id: str, text: str, path: str) -> None:
        """Writes the artifact `path`."""
        self.client.log_text(run_id, text, path)

    def log_table(self, run_id: str, table: pd.DataFrame, path: str) -> None:
        """Writes the artifact `path`, as CSV without the index."""
        self.log_text(run_id, table.to_csv(index=False), path)

    @patient
    def log_frame(self, run_id: str, frame: pd.DataFrame, path: str) -> None:
        """Writes the artifact `path`, NAME.parquet, without the index."""
        artifacts.write_frame(self.client, run_id, frame, path)

    @patient
    def log_file(self, run_id: str, path: Path, folder: str) -> None:
        """Writes the artifact `folder`/NAME, a copy of a file."""
        self.client.log_artifact(run_id, str(path), folder)

    @patient
    def log_dataset(
        self, run_id: str, name: str, source: str, digest: str, context: str, profile: Mapping[str, object]
    ) -> None:
        """Names a data set as the run's input; the arguments are those of `inputs.dataset_input`."""
        self.client.log_inputs(run_id, [inputs.dataset_input(name, source, digest, context, profile)])

    def log_model(
        self,
        run_id: str,
        model: keras.Model,
        class_names: Sequence[str],
        registered_name: str = "",
        tags: Mapping[str, object] = MappingProxyType({}),
        calibration: Mapping[str, float] = MappingProxyType({}),
        val_score: float = math.nan,
        judged_by: str = "",
    ) -> str:
        """Keeps a Keras model, uint8 (n, h, w, 3) -> float32 (n, C) probabilities, as the run's. Returns its URI.

        With a `registered_name` it becomes a version of that name, to which the alias `newest` moves. The alias `best`
        moves too where there is none yet, or where this version is better by the same score of the same pictures.

        Args:
            tags: of the version.
            calibration: temperature, which is in the model already, and reject_below, the probability below which none
                of the classes is to be answered; they become a part of its metadata.
            val_score: what the version reached in validation.
            judged_by: by which score of which pictures that is.
        """
        model_uri = models.log(self.client, lookup.get(self.client, run_id), model, class_names, calibration)
        if registered_name:
            scored = registry.Scored(model_uri, val_score, judged_by)
            registry.register(self.client, run_id, scored, registered_name, tags)
        return model_uri

    def promote(self, name: str, best: str, enough: str) -> None:
        """Gives registered models of the runs `best` and `enough` a data set's name, too; see registry.promote."""
        registry.promote(self.client, name, best, enough)

    def check_artifacts(self) -> None:
        """Raises UserError, at once, where the artifact folder does not take a small file and give it back."""
        artifacts.check(self.client, self.experiment_id)

    def ensure_published(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Publishes rows (name, source, params, metrics, tags) as finished runs, once for each experiment.

        A row that a person deleted stays deleted.
        """
        every = f"tags.`{KIND_TAG}` = 'published'"
        for run, begun in published_runs.missing(rows, self.search(every, deleted=True), self.search(every)):
            trials.publish(self.client, self.experiment_id, run, {KIND_TAG: "published"}, begun)

    @patient
    def _write_metrics(self, run_id: str, metrics: Sequence[Metric]) -> None:
        write(self.client, run_id, metrics=metrics)

    @patient
    def _close(self, run_id: str, status: Status, tags: Mapping[str, object], ended_ms: int) -> None:
        write(self.client, run_id, tags=run_tags(tags))
        if status == "FINISHED" and ERROR_TAG in lookup.get(self.client, run_id).data.tags:  # of one who left early
            lookup.delete_tag(self.client, run_id, ERROR_TAG)
        self.client.set_terminated(run_id, status, ended_ms)

    @patient
    def _adopt(self, run_id: str, name: str, tags: Mapping[str, object]) -> None:
        unnamed = RANDOM_NAME.fullmatch(lookup.get(self.client, run_id).info.run_name or "")
        self.client.update_run(run_id, status="RUNNING", name=name if unnamed else None)
        write(self.client, run_id, tags=run_tags(tags))

    @patient
    def _reopen(self, run_id: str, tags: Mapping[str, object]) -> None:
        self.client.update_run(run_id, status="RUNNING")
        write(self.client, run_id, tags=run_tags(tags))
        if ERROR_TAG in lookup.get(self.client, run_id).data.tags:  # it was interrupted before
            lookup.delete_tag(self.client, run_id, ERROR_TAG)

    def _create(self, name: str, tags: Mapping[str, object], key: str) -> str:
        began = now_ms()

        def find_or_make(found: str) -> str:
            """The run that was found, or a new one."""
            return found or trials.create(self.client, self.experiment_id, name, {**tags, KEY_TAG: key}, began)

        with self._killed_by_interrupts(lambda: lookup.with_key(self.client, self.experiment_id, key)):
            return trials.once(self.client, self.experiment_id, key, find_or_make)

    @contextlib.contextmanager
    def _killed_by_interrupts(self, find: Callable[[], list[str]]) -> Iterator[None]:
        """For the time in which a run is open and nobody holds its id."""
        try:
            yield
        except INTERRUPTS as error:
            self.abort(find, error)
            raise
