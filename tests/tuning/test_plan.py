"""Plans of sweeps: what is left, the table, the line at the head, and how well they foretell."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest

from pipeline import datasets, tracking
from pipeline.config import SweepConfig
from pipeline.shell.errors import UserError
from pipeline.training.trainers import trainer_for
from tuning import optimize, plan
from tuning.storage import open_storage
from tuning.sweep import sweep

ROOT = Path(__file__).parents[2]
CONFIG = SweepConfig(
    dataset="digits", weights="tiny", alphas=(0.25,), resolutions=(32, 48), trials=2, wave=2, epochs=2, train_limit=60
)


@pytest.fixture
def config(folder) -> SweepConfig:
    return dataclasses.replace(CONFIG, work_dir=str(folder / "work"), storage=f"sqlite:///{folder}/optuna.db")


@pytest.fixture
def dataset():
    def refuse():
        raise AssertionError("the test split was read")

    return dataclasses.replace(datasets.load(CONFIG), read_test=refuse)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "1 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (3600, "1 h 0 min"), (7500, "2 h 5 min")],
)
def test_durations_are_said_as_a_person_does(seconds, said):
    assert plan.duration(seconds) == said


@pytest.mark.parametrize("thorough", [True, False])
def test_a_plan_counts_what_is_missing_and_reads_no_test_picture(config, dataset, thorough):
    found = plan.make(config, dataset, {}, [], thorough)
    assert [(item.cell, item.rows, item.test_rows, item.trials) for item in found.work] == [
        (cell, 60, 360, 2) for cell in config.cells
    ]
    assert found.seconds == found.features + found.test + found.trials + found.finals > 0
    assert found.disk > 2 * (60 + 360) * 256 * 4
    assert "to go: features" in found.line()


def test_tables_that_are_there_are_not_counted_again(config, dataset):
    trainer_for(config.train_config(config.cells[0]), dataset, config.cells)
    assert [item.rows for item in plan.make(config, dataset, {}, [], thorough=False).work] == [0, 0]
    flipped = dataclasses.replace(config, views="flip")
    assert [item.rows for item in plan.make(flipped, dataset, {}, [], thorough=False).work] == [60, 60]


def test_of_mirror_images_all_are_counted_where_nothing_is_there(config, dataset):
    flipped = dataclasses.replace(config, views="flip")
    assert [item.rows for item in plan.make(flipped, dataset, {}, [], thorough=False).work] == [120, 120]


@pytest.mark.parametrize(("name", "text"), [("key/table.json", "{"), ("key.part/journal.jsonl", '{"rows": 32')])
def test_a_damaged_table_is_no_end_of_a_plan(config, dataset, name, text):
    file = Path(config.work_dir, "features", name)
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert [item.rows for item in plan.make(config, dataset, {}, [], thorough=False).work] == [60, 60]


def test_finished_cells_are_left_out(config, dataset):
    first, second = config.cells
    assert [item.cell for item in plan.make(config, dataset, {}, [first], thorough=False).work] == [second]
    assert plan.make(config, dataset, {}, config.cells, thorough=False) is None


def test_the_line_stands_at_the_head_of_a_sweep_with_something_to_do(config, capsys):
    tracker = tracking.connect("alpharho")
    one = dataclasses.replace(config, resolutions=(32,))
    sweep(one, open_storage(config.storage), tracker)
    assert len(re.findall(r"^about .* to go: ", capsys.readouterr().err, flags=re.MULTILINE)) == 1
    sweep(one, open_storage(config.storage), tracker)
    assert " to go" not in capsys.readouterr().err
    sweep(config, open_storage(config.storage), tracker)
    assert " to go" in capsys.readouterr().err


def ask(monkeypatch, config: SweepConfig) -> None:
    names = ("dataset", "weights", "trials", "wave", "epochs", "train_limit", "work_dir", "storage")
    flags = [f"--{name}={getattr(config, name)}" for name in names]
    monkeypatch.setattr(sys, "argv", ["optimize.py", *flags, "--alphas=0.25", "--resolutions=32,48", "--plan"])
    optimize.main()


def _begun_without_trials(folder: Path) -> str:
    """A database whose studies have other settings, which the first trial will replace."""
    storage = open_storage(f"sqlite:///{folder}/other.db")
    for name in ("digits-mobilenet_0.25_32-frozen", "digits-mobilenet_0.25_48-frozen"):
        optuna.create_study(storage=storage, study_name=name).set_user_attr("settings", {"epochs": "7"})
    return f"sqlite:///{folder}/other.db"


def test_plan_prints_a_table_and_stops(config, folder, monkeypatch, capsys):
    ask(monkeypatch, config)
    said = capsys.readouterr().out
    for row in (r"train and val, times cells +120 ", r"of test, times cells +720 ", r"trials +4 ", "disk +14 MB"):
        assert re.search(row, said), said
    assert not list(folder.glob("*.db"))
    sweep(config, open_storage(config.storage), tracking.connect("alpharho"))
    ask(monkeypatch, config)
    assert "nothing is left to do" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"epochs 3 \(begun with 2\)"):
        ask(monkeypatch, dataclasses.replace(config, epochs=3))
    ask(monkeypatch, dataclasses.replace(config, storage=_begun_without_trials(folder)))
    assert "train and val" in capsys.readouterr().out
    (folder / "mlflow.db").unlink()
    ask(monkeypatch, config)
    assert re.search(r"best models, trained again and logged +2 ", capsys.readouterr().out)


@pytest.mark.slow
def test_heads_that_come_first_are_a_part_of_the_plan(config, dataset, capsys):
    tuned = dataclasses.replace(config, freeze_conv=False, resolutions=(32,))
    found = plan.make(tuned, dataset, {}, [], thorough=False)
    assert found.features > 0
    assert found.trials > 0
    assert [item.rows for item in found.work] == [60]
    assert list(Path(config.work_dir).glob("features/*")) == []
    assert capsys.readouterr().err == ""


def said_and_took(folder: Path, *flags: str, **environment: str) -> tuple[float, float]:
    """Seconds by the line at a sweep's head, and from there to its table."""
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "tuning" / "optimize.py"), *flags],
        cwd=folder,
        env={**os.environ, "MLFLOW_TRACKING_URI": "", "PYTHONUNBUFFERED": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    begun = said = took = 0.0
    for line in process.stdout:
        if found := re.match(r"about (?:(\d+) min )?(\d+) s to go", line):
            begun, said = time.monotonic(), 60 * int(found[1] or 0) + int(found[2])
        elif line.startswith("cell "):
            took = time.monotonic() - begun
    assert process.wait() == 0
    return said, took


def foretells(folder: Path, *flags: str, **environment: str) -> None:
    """Within 30 %; three tries, since other programs may come and go on this machine meanwhile."""
    ratios = []
    for number in range(3):
        said, took = said_and_took(folder / str(number), *flags, **environment)
        ratios.append(said / took)
        if 0.7 <= ratios[-1] <= 1.3:
            return
    pytest.fail(f"said / took: {ratios}")


@pytest.mark.quiet
def test_the_line_foretells_a_sweep_of_digits(tmp_path):
    cells = ("--alphas=0.25,0.5", "--resolutions=48,96")
    foretells(tmp_path, "--dataset=digits", "--weights=tiny", *cells, "--trials=16")


@pytest.mark.quiet
@pytest.mark.realdata
def test_the_line_foretells_a_sweep_of_dogs(tmp_path, real_data):
    cell = ("--alphas=0.75", "--resolutions=224", "--train_limit=1200", "--trials=16", "--head_init=random")
    foretells(tmp_path, f"--data_dir={real_data / 'tfds'}", *cell, KERAS_HOME=str(real_data / "keras"))
