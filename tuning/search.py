"""The search of one cell: rounds of trials until the total is reached, then its best model is trained and tested."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, get_args

import numpy as np
import pandas as pd
from optuna.trial import FrozenTrial, Trial

from pipeline import datasets
from pipeline.config import Cell, Format, SweepConfig, TrainConfig, as_params
from pipeline.datasets import Dataset, Split
from pipeline.evaluate import evaluate, evaluate_repeats
from pipeline.features import table
from pipeline.networks import backbones
from pipeline.networks.backbones import Backbone
from pipeline.shell import progress
from pipeline.shell.errors import UserError
from pipeline.tracking import records
from pipeline.tracking.runs import DATABASE_TAG, ERROR_TAG, REPEATS, VALIDATION, exported
from pipeline.training import repeats
from pipeline.training.calibration import Calibration
from pipeline.training.trainers import Trainer, trainer_for
from tuning import enqueued, rounds, search_space, stopping, studies, tasks
from tuning.driver import Driver, Steps
from tuning.executors import InlineExecutor, TaskError
from tuning.extraction import require_seen, run_on
from tuning.importance import importances
from tuning.publish import Publisher, cell_key, run_of
from tuning.rounds import Round, Task
from tuning.studies import FIT, INDEX, CellStudy
from tuning.tasks import Epoch, Outcome

Running = dict[Future[list[Outcome]], tuple[Task, list[Trial]]]
"""What was handed out, and of which trials it is."""


class CellSearch:
    """The search of `cell`, whose study is `study`."""

    def __init__(self, driver: Driver, cell: Cell, study: CellStudy) -> None:
        self.study = study
        self._driver, self._tracker = driver, driver.tracker
        self._base = driver.config.train_config(cell)
        self._space = search_space.distributions(self._base.finetunes)
        self._costs = records.cell_costs(self._base, driver.dataset.num_classes)
        self.publisher = Publisher(study, driver.tracker, self._base, self._costs, self._open_run)
        self._trainer: Trainer | None = None
        self._shared: Any = None  # what tasks are handed in its place
        self._seconds = 0.0  # to make the trainer, and to train and test the winner

    def steps(self) -> Steps[None]:
        """All that is to be done. Raises CellFailedError where the cell comes to nothing."""
        yield from self._rounds()
        yield from self._finish()

    def _rounds(self) -> Steps[None]:
        """Until the total is reached."""
        config, study = self._driver.config, self.study
        left = study.left(config)
        if not left:
            return
        trainer, epochs = self.trainer, self._base.epochs
        with progress.bar(f"trials {self._base.cell.name}", left * epochs, "epochs") as advance:
            if not study.ended and (start := tasks.untrained(trainer, self._base.aim)):
                study.add(0, start.as_trial(None, 0, (0, 1)))
                advance(epochs)
            while current := self._next_round():
                before = study.left(config)
                advanced = yield from self._run_round(current, advance)
                self.publisher.deliver()
                # Trials that diverged are drawn anew, and heads that were trained again for company count for nothing.
                advance((before - study.left(config)) * epochs - advanced)

    def _finish(self) -> Steps[None]:
        """Trains and tests the best model, and closes the cell's run.

        Raises CellFailedError where every trial diverged, or the best one does on all pictures.
        """
        self.publisher.settle()
        run_id, trials = self.publisher.run_id, self.study.trials
        try:
            if self._tracker.metrics(run_id).get(studies.TESTED) != stopping.done(trials):
                yield from self._test_winner(run_id, trials)
            if self._tracker.metrics(run_id).get(REPEATS, 0) < self._driver.config.repeats:
                self._repeat_winner(run_id, trials)
        except studies.CellFailedError as error:
            self._tracker.close(run_id, "FAILED", {ERROR_TAG: str(error)})
            raise
        self._tracker.log_table(run_id, importances(trials), "importance.csv")
        trained = sum(trial.user_attrs[FIT]["seconds"] for trial in trials)
        self._tracker.log_metrics(run_id, {"seconds": self._seconds + trained})
        self.study.keep(studies.TOTAL, self.study.total(self._driver.config))
        self.study.keep(studies.TESTED, stopping.done(trials))
        self._tracker.close(run_id)

    def mend(self) -> None:
        """Writes what MLflow lacks of a finished cell: a driver died near its end, or a person deleted runs."""
        run_id = run_of(self.study, self._tracker)
        if self._tracker.status(run_id) != "FINISHED" or self.publisher.lacks(run_id):
            self.publisher.settle()
            self._tracker.close(run_id)

    @property
    def trainer(self) -> Trainer:
        """Made when it is first needed; that makes the feature tables of all cells that lack one."""
        if self._trainer is None:
            begun, driver = time.perf_counter(), self._driver
            folds = studies.fold_count(driver.config, driver.dataset)
            self._trainer = trainer_for(self._base, driver.dataset, driver.config.cells, self._run, folds)
            if not self._base.freeze_conv:
                require_seen(driver.executor, driver.dataset.train, self._base.work_dir)
            self._shared = driver.executor.share(self._trainer)
            self._seconds += time.perf_counter() - begun
            self._keep_features(self._trainer.backbone, [driver.dataset.train.digest])
        return self._trainer

    def _keep_features(self, backbone: Backbone, pictures: Sequence[str]) -> None:
        """Remembers in the study what its feature tables are of, so that they are not taken for useless."""
        known = self.study.attributes.get(studies.FEATURES, {}).get("pictures", [])
        of = {"cell": backbone.cell.name, "weights": backbone.digest, "pictures": sorted({*known, *pictures})}
        self.study.keep(studies.FEATURES, of)

    @property
    def _run(self) -> table.Run:
        """Where features are made: in this process, or by all workers."""
        return run_on(self._driver.executor)

    def _next_round(self) -> Round | None:
        config, study = self._driver.config, self.study
        waiting, refused = enqueued.look(study, self._space)
        for reason in refused:
            progress.note(f"{study.name}: refused {reason}")
        left = study.left(config)
        return rounds.next_round(study.ended, left, config.round_size, config.freeze_conv, waiting)

    def _run_round(self, current: Round, advance: Callable[[int], None]) -> Steps[int]:
        """Runs its tasks, and writes what came of them; returns how far the bar advanced."""
        config, total = self._driver.config, 0

        def told(epoch: Epoch) -> None:
            """Moves the bar; a trial that was stopped has all of its epochs behind it."""
            nonlocal total
            step = len(epoch.indices) + epoch.stopped * (self._base.epochs - epoch.number)
            advance(step)
            total += step

        running: Running = {}
        for task in current.tasks:
            trials = rounds.draw(self.study, current, task, config, self._space)
            configs = [search_space.train_config(self._base, trial.params) for trial in trials]
            tell = told if config.freeze_conv else _both(told, self.publisher.live(task.first, configs[0]))
            future = self._driver.executor.submit(tasks.fit_trials, self._shared, configs, trials, tell=tell)
            running[future] = task, trials
            self._write_ended(current, running)
        while running:
            yield running
            self._write_ended(current, running)
        return total

    def _write_ended(self, current: Round, running: Running) -> None:
        """Writes what came of those tasks that have ended, and takes them out of `running`."""
        for future in [future for future in running if future.done()]:
            task, trials = running.pop(future)
            self._driver.lock.check()
            for index, trial, outcome in zip(task.indices, trials, _outcomes(future, len(trials)), strict=True):
                if index in task.missing:
                    asked = current.asked_of(index)
                    self._write(index, current, outcome.as_trial(trial, index, (task.first, task.size), asked))

    def _write(self, index: int, current: Round, trial: FrozenTrial) -> None:
        if index in current.numbers:
            enqueued.finish(self.study, index, current.numbers[index], trial)
        else:
            self.study.add(index, trial)

    def _open_run(self) -> str:
        """The cell's run in MLflow. One that an earlier sweep made stays where it is, and is linked."""
        driver, there = self._driver, run_of(self.study, self._tracker)
        parent = None if there else driver.sweep_run
        tags = {DATABASE_TAG: self.study.database}
        run_id = self._tracker.open(self.study.name, "cell", parent, tags, resume=there, key=cell_key(self.study))
        folds = studies.fold_count(driver.config, driver.dataset)
        records.log_dataset(self._tracker, run_id, driver.config, driver.dataset, folds)
        return run_id

    def _test_winner(self, run_id: str, trials: Sequence[FrozenTrial]) -> Steps[None]:
        """Trains the best trial's setting on train + val, by its rates up to the epoch that counts, and tests it."""
        winner, dataset, begun = studies.best(trials, self.study.name), self._driver.dataset, time.perf_counter()
        trainer = self.trainer
        config, rates = search_space.train_config(self._base, winner.params), _rates(winner)
        # Heads here, in seconds, of the table that is here.
        executor, its = (InlineExecutor(), trainer) if config.freeze_conv else (self._driver.executor, self._shared)
        refit = executor.submit(tasks.refit, its, config, rates)
        yield [refit]
        try:
            final = refit.result()
        except (UserError, TaskError) as error:  # of this cell alone, so that the others go on
            raise studies.CellFailedError(f"{self.study.name}, trained on all pictures: {error}") from error
        fit, judged = winner.user_attrs[FIT], self._judged(config, winner)
        calibration = {field.name: judged[field.name] for field in dataclasses.fields(Calibration)}
        calibration["temperature"] *= (trainer.spread(final.best) or 1.0) / (judged["spread"] or 1.0)
        model = trainer.model(final.best, calibration["temperature"])
        validation = self._validation(judged["val_right"])
        self._driver.lock.check()
        # What a longer search may change is a metric, for MLflow's params are for ever.
        drawn = search_space.HYPERPARAMETERS
        fixed = {name: value for name, value in as_params(self._base).items() if name not in drawn}
        self._tracker.log_params(run_id, {**fixed, "cell": self._base.cell.name})
        found = {
            **({name: getattr(config, name) for name in drawn} if winner.params else {}),
            **{f"trials_{state}": number for state, number in stopping.count(trials).items()},
            **{name: fit[name] for name in ("best_val_top1", "best_val_balanced_top1")},
            **calibration,
            "best_trial": winner.user_attrs[INDEX],
            "best_epoch": len(rates),
        }
        self._tracker.log_metrics(run_id, {**self._costs, **found})
        # Not the curve of the learning rate, under whose name the cell's run holds what the winner drew.
        curves = {name: curve for name, curve in final.curves.items() if name in ("train_loss", "train_top1")}
        self._tracker.log_curves(run_id, curves)
        self._tracker.set_tags(run_id, records.trained_tags(config, dataset))
        self._tracker.log_frame(run_id, validation, VALIDATION)
        self._register(run_id, model, winner, calibration)
        # Those of an earlier winner do not count.
        earlier = {REPEATS: 0.0, **{exported(name): 0.0 for name in get_args(Format)}}
        tested = {studies.TESTED: stopping.done(trials), **earlier}
        self._make_test_features(model)
        evaluate(model, config, dataset, self._tracker, run_id, calibration["reject_below"], trainer.start, tested)
        self._keep_features(trainer.backbone, [dataset.test.digest])
        self._seconds += time.perf_counter() - begun

    def _repeat_winner(self, run_id: str, trials: Sequence[FrozenTrial]) -> None:
        """Fits its setting again with other seeds, on all pictures and on other cuts of them, and tests these heads."""
        winner, dataset, begun = studies.best(trials, self.study.name), self._driver.dataset, time.perf_counter()
        config, trainer = search_space.train_config(self._base, winner.params), self.trainer
        try:
            heads = repeats.fitted(config, dataset, _rates(winner), self._driver.config.repeats)
        except UserError as error:
            raise studies.CellFailedError(f"{self.study.name}, repeated with another seed: {error}") from error
        evaluate_repeats(heads, trainer.backbone, config, dataset, self._tracker, run_id)
        self._seconds += time.perf_counter() - begun

    def _make_test_features(self, model: Any) -> None:
        """By all workers, for `evaluate` to find; in this process it makes them itself."""
        base, dataset = self._base, self._driver.dataset
        if self._run is not table.here:
            convolutions, _kernel, _bias = backbones.parts(model)
            trained = Backbone(base.cell, base.weights, convolutions, None)
            table.load_table(dataset.test, dataset.source, trained, base.work_dir, base.engine, run=self._run)

    def _judged(self, config: TrainConfig, winner: FrozenTrial) -> dict[str, Any]:
        """As its task told it; or by training it anew, where its task was run again and another was the best."""
        if "spread" in winner.user_attrs[FIT]:
            return winner.user_attrs[FIT]
        (again,) = self.trainer.fit([config])
        again.require_finite()
        return tasks.judged(self.trainer, again)

    def _validation(self, right: str) -> pd.DataFrame:
        """A row for each picture that was validated on: picture (its id), right (whether the winner's answer is)."""
        pictures = validated(self._driver.config, self._driver.dataset)
        return pd.DataFrame({"picture": list(pictures.ids), "right": tasks.unpacked(right, len(pictures))})

    def _register(self, run_id: str, model: Any, winner: FrozenTrial, calibration: dict[str, float]) -> None:
        config, dataset = self._driver.config, self._driver.dataset
        self._tracker.log_model(
            run_id,
            model,
            records.output_names(self._base, dataset.class_names),
            registered_name=studies.model_name(dataset.name, self._base),
            tags={"alpharho.study": self.study.name, "alpharho.data": dataset.train.digest},
            calibration=calibration,
            val_score=winner.value or 0.0,
            judged_by=f"{config.aim} of {validated(config, dataset).digest}",
        )


def validated(config: SweepConfig, dataset: Dataset) -> Split:
    """The pictures that each trial is validated on, by one of its heads."""
    if studies.fold_count(config, dataset) > 1:
        return dataset.train
    _train, val = datasets.cut(dataset.train, config.val_fraction, config.seed)
    return dataset.train.subset(val)


def _outcomes(future: Future[list[Outcome]], count: int) -> list[Outcome]:
    """Of a task that ended; where it did so by an error of its own, of `count` trials that failed of it."""
    try:
        return future.result()
    except TaskError as error:
        return [tasks.failed(str(error))] * count


def _both(first: Callable[[Epoch], None], second: Callable[[Epoch], None]) -> Callable[[Epoch], None]:
    def tell(epoch: Epoch) -> None:
        """One after the other."""
        first(epoch)
        second(epoch)

    return tell


def _rates(trial: FrozenTrial) -> np.ndarray:
    """The learning rates of a finished trial up to the epoch that counts, (epochs,)."""
    fit = trial.user_attrs[FIT]
    return np.array(fit["curves"].get("learning_rate", [])[: fit["best_epoch"]])
