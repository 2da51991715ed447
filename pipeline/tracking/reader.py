"""What the runs of an experiment say."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mlflow import MlflowClient

from pipeline.shell.errors import require
from pipeline.tracking import artifacts, histories, lookup, models
from pipeline.tracking.outages import patient
from pipeline.tracking.runs import CELLS_TAG, DATABASE_TAG, KIND_TAG, RunRecord

if TYPE_CHECKING:
    import keras
    import pandas as pd


class Reader:
    """The half of a Tracker that writes nothing; waits for a store that is away, as that does."""

    def __init__(self, client: MlflowClient, experiment_id: str) -> None:
        self.client = client
        self.experiment_id = experiment_id

    @patient
    def has(self, run_id: str) -> bool:
        """Whether the experiment has this run, outside the trash."""
        return bool(run_id) and lookup.is_there(self.client, run_id, self.experiment_id)

    @patient
    def status(self, run_id: str) -> str:
        """RUNNING, FINISHED, FAILED or KILLED. Raises UserError where there is no such run."""
        return lookup.get(self.client, run_id).info.status

    @patient
    def running(self, database: str) -> list[RunRecord]:
        """The RUNNING runs, of any experiment, that the driver of this study database writes or has left so."""
        experiments = lookup.experiments(self.client)
        found = lookup.search(self.client, experiments, "attributes.status = 'RUNNING'", deleted=False)
        return [run for run in found if run.tags.get(DATABASE_TAG) == database]

    @patient
    def cells_of(self, sweep: str) -> list[RunRecord]:
        """The cells of a sweep, newest first: those right below it, and those of earlier ones that are linked to it."""
        own = lookup.children(self.client, self.experiment_id, sweep)
        linked = lookup.those(self.client, self.experiment_id, self._linked(sweep))
        cells = {run.run_id: run for run in (*own, *linked) if run.tags.get(KIND_TAG) == "cell"}
        return sorted(cells.values(), key=lambda run: run.started, reverse=True)

    @patient
    def with_key(self, key: str) -> str:
        """The id of the run with this key, or an empty one."""
        found = lookup.with_key(self.client, self.experiment_id, key) if key else []
        return found[0] if found else ""

    @patient
    def children(self, parent: str) -> list[RunRecord]:
        """The runs right below another, outside the trash, newest first, however many."""
        return list(lookup.children(self.client, self.experiment_id, parent))

    @patient
    def load_model(self, run_id: str) -> keras.Model:
        """The model that the run logged last. Raises UserError where there is no such run, or no model in it."""
        return models.load(self.client, lookup.get(self.client, run_id))

    @patient
    def run_of(self, model: str) -> str:
        """The id of the run that holds a model: models:/NAME@ALIAS, models:/NAME/VERSION, models:/ID or runs:/ID.

        Raises UserError where there is no such model.
        """
        return models.run_of(self.client, model)

    def class_names(self, run_id: str) -> tuple[str, ...]:
        """Of the outputs of the run's model. Raises UserError where it has none."""
        names = self.read_text(run_id, models.CLASSES)
        require(names is not None, "a run that holds a model", run_id, "the id of a finished train or cell run")
        return tuple(json.loads(names or "[]"))

    @patient
    def params(self, run_id: str) -> dict[str, str]:
        """Raises UserError where there is no such run; so do `metrics` and `tags`."""
        return dict(lookup.get(self.client, run_id).data.params)

    @patient
    def metrics(self, run_id: str) -> dict[str, float]:
        """Each metric's last value."""
        return dict(lookup.get(self.client, run_id).data.metrics)

    @patient
    def tags(self, run_id: str) -> dict[str, str]:
        """All of them, as text."""
        return dict(lookup.get(self.client, run_id).data.tags)

    @patient
    def search(self, filter_string: str = "", deleted: bool = False) -> list[RunRecord]:
        """The experiment's runs, newest first, however many; `filter_string` as tags."alpharho.kind" = 'cell'.

        `deleted` adds those in MLflow's trash.
        """
        return list(lookup.search(self.client, [self.experiment_id], filter_string, deleted))

    def curves(self, run_ids: Iterable[str], names: Sequence[str]) -> dict[tuple[str, str], histories.Curve]:
        """(run id, metric) -> {epoch: value}, of many runs at once."""
        return histories.curves(self.client, run_ids, names)

    @patient
    def read_text(self, run_id: str, path: str) -> str | None:
        """The artifact `path`; None where the run has none."""
        return artifacts.read_text(self.client, run_id, path)

    @patient
    def read_frame(self, run_id: str, path: str) -> pd.DataFrame | None:
        """The artifact `path`, NAME.parquet; None where the run has none."""
        return artifacts.read_frame(self.client, run_id, path)

    @patient
    def experiment(self) -> str:
        """Its name."""
        return self.client.get_experiment(self.experiment_id).name

    def _linked(self, sweep: str) -> list[str]:
        tag = lookup.get(self.client, sweep).data.tags.get(CELLS_TAG, "")
        return [run_id for run_id in tag.split(",") if run_id]
