"""Studies on real sqlite files: their names, what became of their trials, what is left, and what is refused."""

from __future__ import annotations

import dataclasses

import optuna
import pytest
import sqlalchemy.exc
from optuna.trial import FrozenTrial, TrialState, create_trial

from pipeline.config import SweepConfig
from pipeline.shell.errors import UserError
from tests.study_samples import BASE, CELL, CONFIG, NAME, SETTINGS, complete, diverged, open_study, run_round
from tuning import stopping, studies
from tuning.storage import open_storage


def name_of(**options: object) -> str:
    config = dataclasses.replace(CONFIG, **options)
    base = config.train_config(CELL)
    settings = studies.settings_of(config, base, "pictures", "weights", config.pruner_kind(0, 10, 1))
    return studies.study_name("digits", base, settings)


def test_a_study_is_named_by_data_cell_mode_and_settings():
    assert name_of() == NAME
    head, _, digest = NAME.rpartition("-")
    assert head == "digits-mobilenet_0.25_64-frozen"
    assert len(digest) == 6
    assert int(digest, 16) >= 0


@pytest.mark.parametrize(
    "options",
    [
        {"seed": 1},
        {"epochs": 7},
        {"protocol": "replication"},
        {"wave": 4},
        {"batch_size": 128},
        {"pruner": "median"},
        {"views": "flip"},
        {"head_init": "random"},
        {"val_fraction": 0.2},
    ],
)
def test_other_settings_are_another_study(options):
    assert name_of(**options) != NAME


@pytest.mark.parametrize(
    "options",
    [
        {"trials": 99},
        {"data_dir": "elsewhere"},
        {"work_dir": "there"},
        {"engine": "keras"},
        {"experiment": "other"},
        {"wave": 8},  # what auto is
        {"batch_size": 256},  # the same
        {"pruner": "none"},  # the same, of few pictures
        {"augment": "none"},  # which heads on features do not read
        {"layer_decay": 0.5},
    ],
)
def test_what_changes_nothing_is_the_same_study(options):
    assert name_of(**options) == NAME


def test_other_pictures_or_weights_are_another_study():
    names = {
        studies.study_name("digits", BASE, studies.settings_of(CONFIG, BASE, *known, "none"))
        for known in (("pictures", "weights"), ("others", "weights"), ("pictures", "others"))
    }
    assert len(names) == 3


def test_fine_tuning_reads_its_settings():
    tuned = SweepConfig(alphas=(0.75,), resolutions=(224,), freeze_conv=False)
    bases = [dataclasses.replace(tuned, layer_decay=decay) for decay in (0.8, 0.5)]
    first, second = (studies.settings_of(each, each.train_config(each.cells[0]), "p", "w", "median") for each in bases)
    assert first != second
    assert first["wave"] == "1"


def test_what_was_found_is_kept_with_the_trial(any_url):
    study = open_study(any_url)
    found = run_round(study, writes=1)[0]
    (kept,) = open_study(any_url).trials
    assert kept.state == TrialState.COMPLETE
    assert (kept.params, kept.value, kept.intermediate_values) == (found.params, found.value, {1: found.value})
    assert (kept.user_attrs["index"], kept.user_attrs["task"]) == (0, [0, 8])
    assert kept.user_attrs["fit"]["best_val_top1"] == found.value
    assert kept.duration.total_seconds() == 0.5


def test_a_trial_whose_answer_was_lost_is_written_once(url, monkeypatch):
    study = open_study(url)
    add, calls = optuna.Study.add_trial, []

    def deaf(self: optuna.Study, trial: FrozenTrial) -> None:
        calls.append(trial)
        add(self, trial)
        if len(calls) == 1:
            raise sqlalchemy.exc.OperationalError("COMMIT", {}, Exception("the connection was lost"))

    monkeypatch.setattr(optuna.Study, "add_trial", deaf)
    study.add(0, create_trial(value=0.5, user_attrs={"index": 0, "task": [0, 1], "fit": {}}))
    assert len(calls) == len(study.study.get_trials()) == 1


def test_trials_are_a_total(url):
    study = open_study(url)
    run_round(study)
    assert stopping.left(study.trials, 20) == 12
    assert stopping.left(open_study(url).trials, 8) == 0
    assert stopping.left(study.trials, 2) == 0


def test_a_search_in_which_every_trial_diverged_says_why(url):
    study = open_study(url)
    run_round(study, outcome=diverged)
    assert stopping.count(study.trials) == {"complete": 0, "pruned": 0, "failed": 8}
    assert stopping.left(study.trials, 20) == 20
    assert stopping.left(study.trials, 4) == 0
    with pytest.raises(studies.CellFailedError, match="train_loss is nan"):
        studies.best(study.trials, NAME)


def test_among_equals_the_lowest_loss_is_best_and_then_the_earliest(url):
    study = open_study(url)
    found = iter([(0.5, 0.1), (0.9, 0.8), (0.9, 0.3), (0.9, 0.3), (0.7, 0.0), *[(0.1, 0.0)] * 3])
    run_round(study, outcome=lambda trial: complete(trial, *next(found)))
    assert studies.best(study.trials, NAME).user_attrs["index"] == 2


def test_a_study_of_that_name_that_another_program_made_is_refused(url):
    storage = open_storage(url)
    optuna.create_study(storage=storage, study_name=NAME)  # as `optuna create-study` does: minimising
    with pytest.raises(UserError, match=r"did not make \(0 trials, minimize\)") as refusal:
        open_study(url)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("written", [(), ("settings",), ("settings", "database")])
def test_a_study_of_a_driver_that_died_while_it_began_it_is_gone_on_with(url, written):
    study = optuna.create_study(storage=open_storage(url), study_name=NAME, direction="maximize")
    for name in written:
        study.set_user_attr(name, "x")
    assert len(run_round(open_study(url))) == 8


def test_a_trial_that_optuna_wrote_twice_counts_once(url):
    """As it does where a database commits, and dies before it says so."""
    study = open_study(url)
    (first, *_others) = run_round(study)
    study.study.add_trial(first)
    assert len(open_study(url).trials) == 8


def test_trials_that_another_program_renumbered_are_refused(url):
    study = open_study(url)
    (first, second, *_others) = run_round(study)
    second.set_user_attr("index", first.user_attrs["index"])
    study.study.add_trial(second)
    with pytest.raises(UserError, match="both with the index 0"):
        open_study(url)


def test_a_study_that_is_deleted_meanwhile_is_told_in_one_line(url):
    study = open_study(url)
    optuna.delete_study(study_name=NAME, storage=study.storage)
    with pytest.raises(UserError, match="it was deleted while the sweep ran"):
        run_round(study)


def test_all_studies_of_a_database_know_it_by_one_name(url):
    storage = open_storage(url)
    known = studies.database_of(storage)
    first = studies.open_study(storage, "a", SETTINGS, known)
    assert studies.database_of(storage) == first.database == known
