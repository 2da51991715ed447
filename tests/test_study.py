"""Studies on real sqlite files: what is left, what is drawn, what is refused."""

from __future__ import annotations

import dataclasses
import multiprocessing
import sqlite3
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from pipeline.config import SweepConfig, TrainConfig
from pipeline.errors import UserError
from tuning import search_space
from tuning import study as studies

BASE = TrainConfig(dataset="digits", weights="tiny", alpha=0.25, resolution=64, epochs=2)


@pytest.fixture
def url(tmp_path) -> str:
    return f"sqlite:///{tmp_path}/optuna.db"


def open_study(url: str, base: TrainConfig = BASE, pictures: str = "p", weights: str = "w") -> optuna.Study:
    storage = studies.open_storage(url)
    return studies.open_study(storage, "digits-mobilenet_0.25_64-frozen", base, pictures, weights)


def draw(study: optuna.Study, size: int, seed: int = 0) -> list[TrainConfig]:
    """Asks for a wave, and finishes it with values that depend on what was drawn."""
    trials = studies.ask(study, size, seed)
    configs = [search_space.suggest(trial, BASE) for trial in trials]
    for trial, config in zip(trials, configs, strict=True):
        study.tell(trial, config.beta_1)
    return configs


def test_a_study_is_named_by_data_cell_and_mode():
    config = SweepConfig()
    names = {
        studies.study_name(dataclasses.replace(config, **options), "mobilenet_0.75_192")
        for options in ({}, {"freeze_conv": False}, {"head_init": "random"})
    }
    assert names == {
        "stanford_dogs-mobilenet_0.75_192-frozen",
        "stanford_dogs-mobilenet_0.75_192-finetuned",
        "stanford_dogs-mobilenet_0.75_192-frozen-random",
    }


def test_trials_are_a_total(url):
    study = open_study(url)
    draw(study, 3)
    assert studies.left(study, 8) == 5
    assert studies.left(open_study(url), 3) == 0
    assert studies.left(study, 2) == 0


def test_a_diverged_trial_is_drawn_anew_but_not_for_ever(url):
    study = open_study(url)
    for trial in studies.ask(study, 3, 0):
        trial.set_user_attr(studies.FAILURE, "train_loss is nan in epoch 1")
        study.tell(trial, state=TrialState.FAIL)
    assert studies.left(study, 4) == 4
    assert studies.left(study, 1) == 0
    assert studies.count(study) == {"complete": 0, "failed": 3, "interrupted": 0}
    with pytest.raises(studies.NoFinishedTrialError, match="train_loss is nan"):
        studies.best(study)


def test_an_interrupted_trial_costs_nothing(url):
    study = open_study(url)
    for trial in studies.ask(study, 2, 0):
        study.tell(trial, state=TrialState.FAIL)
    assert studies.left(study, 4) == 4
    assert studies.count(study)["interrupted"] == 2


def test_a_resumed_search_draws_what_an_undisturbed_one_would(url, tmp_path):
    undisturbed = open_study(f"sqlite:///{tmp_path}/other.db")
    expected = [*draw(undisturbed, 8), *draw(undisturbed, 8)]
    first = draw(open_study(url), 8)
    second = draw(open_study(url), 8)
    assert [*first, *second] == expected
    assert len({config.learning_rate for config in expected}) == 16


def test_other_settings_are_refused_with_the_difference(url):
    draw(open_study(url), 1)
    with pytest.raises(UserError, match=r"epochs 5 \(begun with 2\)"):
        open_study(url, dataclasses.replace(BASE, epochs=5))
    with pytest.raises(UserError, match="pictures"):
        open_study(url, pictures="other")
    with pytest.raises(UserError, match=r"weights other \(begun with w\)"):
        open_study(url, weights="other")


def test_a_study_without_trials_takes_new_settings(url):
    open_study(url)
    draw(open_study(url, dataclasses.replace(BASE, epochs=5)), 1)
    with pytest.raises(UserError, match=r"epochs 2 \(begun with 5\)"):
        open_study(url)


def test_where_the_data_lie_is_free(url):
    draw(open_study(url), 1)
    assert open_study(url, dataclasses.replace(BASE, data_dir="elsewhere", work_dir="there")).study_name


def test_among_equals_the_lowest_loss_is_best_and_then_the_earliest(url):
    study = open_study(url)
    for trial, (value, loss) in zip(
        studies.ask(study, 5, 0), [(0.5, 0.1), (0.9, 0.8), (0.9, 0.3), (0.9, 0.3), (0.7, 0.0)], strict=True
    ):
        trial.set_user_attr(studies.VAL_LOSS, loss)
        study.tell(trial, value)
    assert studies.best(study).number == 2


def _open(url: str) -> int:
    return len(studies.open_storage(url).get_all_studies())


def test_six_processes_may_start_on_nothing(url, monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")  # then tensorflow is not imported, which takes seconds
    with multiprocessing.get_context("spawn").Pool(6) as pool:
        assert pool.map(_open, [url] * 6) == [0] * 6


def test_a_file_that_is_no_database_is_refused(tmp_path):
    Path(tmp_path, "optuna.db").write_text("not a database, but long enough to look like a header of one" * 20)
    with pytest.raises(UserError, match="not a database"):
        studies.open_storage(f"sqlite:///{tmp_path}/optuna.db")


def test_a_database_of_another_version_is_refused(url, tmp_path):
    studies.open_storage(url)
    with sqlite3.connect(tmp_path / "optuna.db") as database:
        database.execute("UPDATE version_info SET schema_version = 1")
        database.execute("UPDATE alembic_version SET version_num = 'v0.9.0.a'")
    with pytest.raises(UserError, match="upgrade") as refusal:
        studies.open_storage(url)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("wrong", ["optuna.db", "nosuchdb://here", "sqlite:///{tmp_path}/a_file/optuna.db"])
def test_a_url_that_leads_nowhere_is_refused(wrong, tmp_path):
    (tmp_path / "a_file").touch()
    with pytest.raises(UserError, match="Received"):
        studies.open_storage(wrong.format(tmp_path=tmp_path))
