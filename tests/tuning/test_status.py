from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.shell.errors import UserError
from tests.study_samples import NAME, complete, diverged, open_study, run_round
from tuning import status, studies

ROOT = Path(__file__).parents[2]


def test_every_study_has_a_row(url, capsys):
    study = open_study(url)
    study.keep(studies.TOTAL, 20)
    found = iter([complete] * 7 + [diverged])
    run_round(study, outcome=lambda trial: next(found)(trial))
    study.study.enqueue_trial({"learning_rate": 0.01})
    status.main(["--storage", url])
    heads, row = capsys.readouterr().out.splitlines()
    assert heads.split() == ["study", "done", "pruned", "failed", "enqueued", "left", "val", "%"]
    best = 100 * max(trial.value or 0 for trial in study.trials)
    assert row.split() == [NAME, "7", "0", "1", "1", "13", f"{best:.1f}"]


def test_no_database_makes_none(tmp_path):
    with pytest.raises(UserError, match=r"typo\.db"):
        status.main(["--storage", f"sqlite:///{tmp_path}/typo.db"])
    assert list(tmp_path.iterdir()) == []


def test_an_enqueued_trial_that_was_refused_counts_as_failed(url, capsys):
    study = open_study(url)
    study.study.enqueue_trial({"units": 1.0})
    with pytest.raises(UserError):
        open_study(url)
    status.main([f"--storage={url}"])
    assert capsys.readouterr().out.splitlines()[1].split()[1:5] == ["0", "0", "1", "0"]


def test_who_only_looks_at_a_database_loads_no_tensorflow():
    """A process, since this one has."""
    look = "import sys, tuning.status, tuning.prune; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("False\n", "")
