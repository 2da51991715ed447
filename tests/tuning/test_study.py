"""Studies on real sqlite files: what became of their trials, what is left, what is refused, and the table of it."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.config import SweepConfig
from pipeline.shell.errors import UserError
from tests.studies import BASE, CONFIG, NAME, complete, diverged, open_study, run
from tuning import claims
from tuning import study as studies

ROOT = Path(__file__).parents[2]


def test_a_study_is_named_by_data_cell_and_mode():
    config = SweepConfig()
    names = {
        studies.study_name(dataclasses.replace(config, **options), "mobilenet_0.75_192")
        for options in (
            {},
            {"freeze_conv": False},
            {"head_init": "random"},
            {"protocol": "replication"},
            {"head_init": "random", "views": "flip"},
        )
    }
    assert names == {
        "stanford_dogs-mobilenet_0.75_192-frozen",
        "stanford_dogs-mobilenet_0.75_192-finetuned",
        "stanford_dogs-mobilenet_0.75_192-frozen-random",
        "stanford_dogs-mobilenet_0.75_192-frozen-report",
        "stanford_dogs-mobilenet_0.75_192-frozen-random-flip",
    }


def test_trials_are_a_total(url):
    study = open_study(url)
    run(study, 3)
    assert studies.left(study.trials(), 8) == 5
    assert studies.left(open_study(url).trials(), 3) == 0
    assert studies.left(study.trials(), 2) == 0


def test_a_running_trial_is_left_but_its_place_is_taken(url):
    study = open_study(url)
    claims.claim(study, CONFIG, 3)
    assert studies.left(study.trials(), 8) == 8
    assert studies.places(study.trials(), 8) == 5


def test_a_diverged_trial_is_drawn_anew_but_not_for_ever(url):
    study = open_study(url)
    claims.finish(study, [diverged(trial) for trial in claims.claim(study, CONFIG, 3)])
    trials = study.trials()
    assert studies.left(trials, 4) == 4
    assert studies.left(trials, 1) == 0
    assert studies.count(trials)["failed"] == 3
    with pytest.raises(studies.NoFinishedTrialError, match="train_loss is nan"):
        studies.best(trials, NAME)


def test_an_interrupted_trial_costs_nothing(url):
    study = open_study(url)
    claims.give_up(study, claims.claim(study, CONFIG, 2))
    assert studies.left(study.trials(), 4) == 4
    assert studies.count(study.trials())["interrupted"] == 2


def test_other_settings_are_refused_with_the_difference(url):
    run(open_study(url), 1)
    with pytest.raises(UserError, match=r"epochs 5 \(begun with 6\)"):
        open_study(url, dataclasses.replace(BASE, epochs=5))
    with pytest.raises(UserError, match="pictures"):
        open_study(url, pictures="other")
    with pytest.raises(UserError, match=r"weights other \(begun with w\)"):
        open_study(url, weights="other")


def test_a_study_from_before_there_was_a_setting_has_its_default(url):
    study = open_study(url)
    run(study, 1)
    before = {name: value for name, value in study.settings.items() if name not in ("precision", "protocol", "views")}
    study.keep("settings", {**before, "report_params": "head"})
    assert open_study(url).name == NAME
    with pytest.raises(UserError, match=r"precision mixed_float16 \(begun with float32\)"):
        open_study(url, dataclasses.replace(BASE, precision="mixed_float16"))


def test_a_study_without_trials_takes_new_settings(url):
    open_study(url)
    run(open_study(url, dataclasses.replace(BASE, epochs=5)), 1)
    with pytest.raises(UserError, match=r"epochs 6 \(begun with 5\)"):
        open_study(url)


def test_where_the_data_lie_is_free(url):
    run(open_study(url), 1)
    assert (
        open_study(url, dataclasses.replace(BASE, data_dir="elsewhere", work_dir="there", engine="keras")).name == NAME
    )


@pytest.mark.parametrize(("freeze_conv", "refused"), [(True, False), (False, True)])
def test_what_only_finetuning_reads_is_free_elsewhere(url, freeze_conv, refused):
    base = dataclasses.replace(BASE, freeze_conv=freeze_conv)
    run(open_study(url, base), 1)
    with pytest.raises(UserError, match=r"layer_decay 0\.5") if refused else contextlib.nullcontext():
        open_study(url, dataclasses.replace(base, layer_decay=0.5))


def test_among_equals_the_lowest_loss_is_best_and_then_the_earliest(url):
    study = open_study(url)
    found = [(0.5, 0.1), (0.9, 0.8), (0.9, 0.3), (0.9, 0.3), (0.7, 0.0)]
    claimed = claims.claim(study, CONFIG, 5)
    claims.finish(study, [complete(trial, *values) for trial, values in zip(claimed, found, strict=True)])
    assert studies.best(study.trials(), NAME).number == 2


def test_the_status_of_every_study_is_printed(url):
    study = open_study(url)
    study.keep(studies.TOTAL, 20)
    run(study, 3)
    claims.finish(study, [diverged(trial) for trial in claims.claim(study, CONFIG, 1)])
    claims.claim(study, CONFIG, 2)
    command = [sys.executable, "-m", "tuning.study", "--status", "--storage", url]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    heads, row = printed.splitlines()
    assert heads.split() == ["study", "done", "pruned", "failed", "running", "age", "s", "left", "val", "%"]
    best = 100 * max(trial.value or 0 for trial in study.trials())
    name, *numbers, age, left, value = row.split()
    assert (name, numbers, left, value) == (NAME, ["3", "0", "1", "2"], "17", f"{best:.1f}")
    assert 0 <= int(age) < 60


def test_the_status_of_no_database_makes_none(tmp_path):
    command = [sys.executable, "-m", "tuning.study", "--status", "--storage", f"sqlite:///{tmp_path}/typo.db"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "typo.db" in done.stderr
    assert list(tmp_path.iterdir()) == []
