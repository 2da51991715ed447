"""Runs, by explicit ids: opened, filled, closed and read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from pipeline.cli import uninterrupted
from pipeline.config import spell
from pipeline.errors import UserError
from pipeline.tracking import inputs, models, runs
from pipeline.tracking.entries import curve_points, points, run_params, run_tags, write
from pipeline.tracking.environment import environment_tags
from pipeline.tracking.outages import explained, impatient
from pipeline.tracking.runs import RunRecord
from pipeline.tracking.store import lock

if TYPE_CHECKING:
    import keras

Kind = Literal["sweep", "cell", "trial", "train", "evaluate", "prepare", "main", "baseline"]
Status = Literal["FINISHED", "FAILED", "KILLED"]

KIND_TAG = "alpharho.kind"
ERROR_TAG = "alpharho.error"
COMPUTING_KINDS = {"sweep", "cell", "train", "main"}  # they say on what they were computed
INTERRUPTS = (KeyboardInterrupt, SystemExit, GeneratorExit)
RANDOM_NAME = re.compile(r"[a-z]+-[a-z]+-\d+")  # mlflow's own, where a person gave no --run-name


class Tracker:
    """Writes to and reads from one MLflow experiment; made by `connect`.

    Remembers the runs it opened and has not closed, so that none is left RUNNING when the program is stopped.
    """

    def __init__(self, client: MlflowClient, experiment_id: str) -> None:
        self.client = client
        self.experiment_id = experiment_id
        self._open: dict[str, str | None] = {}  # run id -> its parent's
        self._adoptable = os.environ.get("MLFLOW_RUN_ID")

    @contextmanager
    def run(
        self,
        name: str,
        kind: Kind,
        parent: str | None = None,
        tags: Mapping[str, object] | None = None,
        resume: str = "",
    ) -> Iterator[str]:
        """Opens a run and yields its id. The first one without a parent is `mlflow run`'s own, where that started us.

        `resume` is the id of an earlier run to go on with; where this experiment no longer has it, a new one is made.

        Closed as FINISHED; as KILLED by Ctrl-C, SIGTERM and exit(); as FAILED by other exceptions. These propagate, and
        the tag alpharho.error says what they were. Runs below it that are still open then are closed as KILLED.
        """
        run_id = self._start(name, kind, parent, tags or {}, resume)
        try:
            yield run_id
            self._close_below(run_id)
            self.end(run_id)
        except BaseException as error:
            self._abort(run_id, error)
            raise

    @explained()
    def start_trial(
        self, name: str, parent: str, params: Mapping[str, object], tags: Mapping[str, object] | None = None
    ) -> str:
        """Opens a run of a wave, of which many are open at once; `end` closes it. Returns its id."""
        run_id = self._create(name, "trial", parent, tags or {})
        write(self.client, run_id, params=run_params(params))
        return run_id

    @explained()
    def end(
        self,
        run_id: str,
        status: Status = "FINISHED",
        metrics: Mapping[str, float] | None = None,
        curves: Mapping[str, Iterable[float]] | None = None,
        tags: Mapping[str, object] | None = None,
    ) -> None:
        """Closes a run; what it is given is written first, in one call."""
        values = [*points(metrics or {}), *curve_points(curves or {})]
        write(self.client, run_id, metrics=values, tags=run_tags(tags or {}))
        self.client.set_terminated(run_id, status)
        self._open.pop(run_id, None)

    @property
    def adopts(self) -> bool:
        """Whether the next run without a parent will be `mlflow run`'s own."""
        return bool(self._adoptable)

    @explained()
    def has(self, run_id: str) -> bool:
        """Whether the experiment has this run, outside the waste basket."""
        return bool(run_id) and runs.is_there(self.client, run_id, self.experiment_id)

    @explained()
    def move(self, run_id: str, parent: str) -> None:
        """Puts a run below another parent."""
        self.client.set_tag(run_id, MLFLOW_PARENT_RUN_ID, parent)

    @explained()
    def log_params(self, run_id: str, params: Mapping[str, object]) -> None:
        """Writes parameters as `spell` spells them; names that the run has already keep their value.

        `mlflow run` writes its own spelling of them before the program starts, and MLflow refuses a second one.
        """
        known = self.params(run_id)
        new = {name: value for name, value in params.items() if name not in known}
        write(self.client, run_id, params=run_params(new))

    @explained()
    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """Writes single values; infinities become NaN."""
        write(self.client, run_id, metrics=points(metrics))

    @explained()
    def log_curves(self, run_id: str, curves: Mapping[str, Iterable[float]]) -> None:
        """Writes one value for each epoch, as steps 1, 2, ...; infinities become NaN."""
        write(self.client, run_id, metrics=curve_points(curves))

    @explained()
    def set_tags(self, run_id: str, tags: Mapping[str, object]) -> None:
        write(self.client, run_id, tags=run_tags(tags))

    @explained()
    def log_text(self, run_id: str, text: str, path: str) -> None:
        """Writes the artifact `path`."""
        self.client.log_text(run_id, text, path)

    def log_table(self, run_id: str, table: pd.DataFrame, path: str) -> None:
        """Writes the artifact `path`, as CSV without the index."""
        self.log_text(run_id, table.to_csv(index=False), path)

    @explained()
    def log_dataset(
        self, run_id: str, name: str, source: str, digest: str, context: str, profile: Mapping[str, object]
    ) -> None:
        """Names a data set as the run's input; the arguments are those of `inputs.dataset_input`."""
        self.client.log_inputs(run_id, [inputs.dataset_input(name, source, digest, context, profile)])

    @explained()
    def log_model(
        self,
        run_id: str,
        model: keras.Model,
        class_names: Sequence[str],
        registered_name: str = "",
        alias: str = "best",
    ) -> str:
        """Keeps a Keras model, uint8 (n, h, w, 3) -> float32 (n, C) probabilities, as the run's. Returns its URI.

        With a `registered_name` it becomes the newest version of that name, and `alias` points at it.
        """
        model_uri = models.log(self.client, runs.get(self.client, run_id), model, class_names)
        if registered_name:
            models.register(self.client, run_id, model_uri, registered_name, alias)
        return model_uri

    @explained()
    def load_model(self, run_id: str) -> keras.Model:
        """The model that the run logged last. Raises UserError where there is no such run, or no model in it."""
        return models.load(runs.get(self.client, run_id))

    @explained()
    def params(self, run_id: str) -> dict[str, str]:
        """Raises UserError where there is no such run; so do `metrics` and `tags`."""
        return dict(runs.get(self.client, run_id).data.params)

    @explained()
    def metrics(self, run_id: str) -> dict[str, float]:
        """Each metric's last value."""
        return dict(runs.get(self.client, run_id).data.metrics)

    @explained()
    def tags(self, run_id: str) -> dict[str, str]:
        return dict(runs.get(self.client, run_id).data.tags)

    @explained()
    def search(self, filter_string: str = "", deleted: bool = False) -> list[RunRecord]:
        """The experiment's runs, newest first, however many; `filter_string` as tags."alpharho.kind" = 'cell'.

        `deleted` adds those in MLflow's waste basket.
        """
        return list(runs.search(self.client, self.experiment_id, filter_string, deleted))

    @explained()
    def ensure_baselines(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Publishes rows (name, source, params, metrics, tags) as finished runs, once for each experiment.

        A row that a person deleted stays deleted. Two machines that start on an empty experiment in the same second
        may publish a row twice.
        """
        with lock(self.client.tracking_uri):
            there = self.search(f"tags.`{KIND_TAG}` = 'baseline'", deleted=True)
            published = {(run.name, run.params.get("dataset")) for run in there if run.status == "FINISHED"}
            for row in rows:
                params = {name: spell(value) for name, value in row["params"].items()}
                if (row["name"], params.get("dataset")) not in published:
                    run_id = self._create(row["name"], "baseline", None, {**row["tags"], "source": row["source"]})
                    write(self.client, run_id, params=run_params(params))
                    self.end(run_id, metrics=row["metrics"])

    @explained()
    def _start(self, name: str, kind: Kind, parent: str | None, tags: Mapping[str, object], resume: str) -> str:
        where = environment_tags() if parent is None or kind in COMPUTING_KINDS else {}
        if parent is None and self._adoptable:
            return self._adopt(name, kind, {**where, **tags})
        if self.has(resume):
            return self._reopen(resume, parent, {**where, **tags})
        if parent is not None:
            return self._create(name, kind, parent, {**where, **tags})
        return self._create(name, kind, None, {**resolve_tags(), **where, **tags})

    def _create(self, name: str, kind: Kind, parent: str | None, tags: Mapping[str, object]) -> str:
        family = {MLFLOW_PARENT_RUN_ID: parent} if parent else {}
        spelled = {tag: spell(value) for tag, value in {**tags, **family, KIND_TAG: kind}.items()}
        run = self.client.create_run(self.experiment_id, tags=spelled, run_name=name)
        self._open[run.info.run_id] = parent
        return run.info.run_id

    def _adopt(self, name: str, kind: Kind, tags: Mapping[str, object]) -> str:
        run_id, self._adoptable = self._adoptable or "", None
        self._open[run_id] = None
        unnamed = RANDOM_NAME.fullmatch(runs.get(self.client, run_id).info.run_name or "")
        self.client.update_run(run_id, status="RUNNING", name=name if unnamed else None)
        self.set_tags(run_id, {**tags, KIND_TAG: kind})
        return run_id

    def _reopen(self, run_id: str, parent: str | None, tags: Mapping[str, object]) -> str:
        family = {MLFLOW_PARENT_RUN_ID: parent} if parent else {}
        self._open[run_id] = parent
        self.client.update_run(run_id, status="RUNNING")
        self.set_tags(run_id, {**tags, **family})
        if ERROR_TAG in runs.get(self.client, run_id).data.tags:  # it was interrupted before
            self.client.delete_tag(run_id, ERROR_TAG)
        return run_id

    def _close_below(self, run_id: str) -> None:
        family = {run_id}
        for child, parent in self._open.items():  # parents stand before their children
            if parent in family:
                family.add(child)
        for child in reversed([child for child in self._open if child in family - {run_id}]):
            self.end(child, "KILLED")

    def _abort(self, run_id: str, error: BaseException) -> None:
        status: Status = "KILLED" if isinstance(error, INTERRUPTS) else "FAILED"
        what = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}".rstrip(": ")
        try:
            with uninterrupted(), impatient():
                self._close_below(run_id)
                self.end(run_id, status, tags={ERROR_TAG: what.partition("\n")[0][:500]})
        except (UserError, MlflowException) as outage:
            error.add_note(f"The run {run_id} could not be closed: {outage}")
