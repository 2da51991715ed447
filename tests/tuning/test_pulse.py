"""Heartbeats and reports reach the database, and nothing breaks where they cannot."""

from __future__ import annotations

import math

import sqlalchemy

from tests.studies import CONFIG, open_study
from tuning import claims, pulse
from tuning.pulse import Pulse, beating


def test_reports_become_intermediate_values(any_url):
    study = open_study(any_url)
    first, second = claims.claim(study, CONFIG, 2)
    with beating(study, [first, second]) as beats:
        for epoch in (1, 2):
            beats.report(first, epoch, epoch / 10)
        beats.report(second, 1, math.nan)
    kept = [trial.intermediate_values for trial in study.study.get_trials()]
    assert kept[0] == {1: 0.1, 2: 0.2}
    assert math.isnan(kept[1][1])


def test_every_beat_says_that_the_trials_live(url):
    study = open_study(url)
    claimed = claims.claim(study, CONFIG, 1)
    _hour_ago(study)
    Pulse(study, claimed).beat()
    claims.free_stale(study)
    assert [trial.state.name for trial in study.trials()] == ["RUNNING"]


def test_it_beats_while_the_block_runs(url, monkeypatch):
    monkeypatch.setattr(pulse, "HEARTBEAT_SECONDS", 0.05)
    study = open_study(url)
    claimed = claims.claim(study, CONFIG, 1)
    with beating(study, claimed) as beats:
        beats.report(claimed[0], 1, 0.5)
        for _ in range(200):
            if study.study.get_trials()[0].intermediate_values:
                break
        assert study.study.get_trials()[0].intermediate_values == {1: 0.5}


def test_a_beat_without_a_database_is_left_out(url, tmp_path):
    study = open_study(url)
    claimed = claims.claim(study, CONFIG, 1)
    with study.storage.engine.begin() as connection:
        connection.execute(sqlalchemy.text("ALTER TABLE trial_heartbeats RENAME TO gone"))
    beats = Pulse(study, claimed)
    beats.report(claimed[0], 1, 0.5)
    beats.beat()
    with study.storage.engine.begin() as connection:
        connection.execute(sqlalchemy.text("ALTER TABLE gone RENAME TO trial_heartbeats"))
    beats.report(claimed[0], 2, 0.6)
    beats.beat()
    assert study.study.get_trials()[0].intermediate_values == {2: 0.6}


def _hour_ago(study) -> None:
    with study.storage.engine.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE trial_heartbeats SET heartbeat = datetime('now', '-1 hour')"))
