"""Plans of sweeps: what is left, and the table."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from pipeline import datasets, tracking
from pipeline.config import SweepConfig
from pipeline.training.trainers import trainer_for
from tuning import optimize
from tuning.estimate import plan
from tuning.executors import InlineExecutor
from tuning.storage import driver_lock, open_storage
from tuning.sweep import sweep

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


def test_a_plan_counts_what_is_missing_and_reads_no_test_picture(config, dataset):
    found = plan.make(config, dataset, {}, [])
    assert [(item.cell, item.rows, item.test_rows, item.trials) for item in found.work] == [
        (cell, 60, 360, 2) for cell in config.cells
    ]
    assert found.seconds == found.features + found.test + found.trials + found.finals > 0
    assert found.disk > 2 * (60 + 360) * 256 * 4


def test_tables_that_are_there_are_not_counted_again(config, dataset):
    trainer_for(config.train_config(config.cells[0]), dataset, config.cells)
    assert [item.rows for item in plan.make(config, dataset, {}, []).work] == [0, 0]
    flipped = dataclasses.replace(config, views="flip")
    assert [item.rows for item in plan.make(flipped, dataset, {}, []).work] == [60, 60]


@pytest.mark.parametrize(("name", "text"), [("key/table.json", "{"), ("key.part/journal.jsonl", '{"rows": 32')])
def test_a_damaged_table_is_no_end_of_a_plan(config, dataset, name, text):
    file = Path(config.work_dir, "features", name)
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert [item.rows for item in plan.make(config, dataset, {}, []).work] == [60, 60]


def test_finished_cells_are_left_out(config, dataset):
    first, second = config.cells
    assert [item.cell for item in plan.make(config, dataset, {}, [first]).work] == [second]
    assert plan.make(config, dataset, {}, config.cells) is None


def ask(config: SweepConfig) -> None:
    names = ("dataset", "weights", "trials", "wave", "epochs", "train_limit", "work_dir", "storage")
    flags = [f"--{name}={getattr(config, name)}" for name in names]
    optimize.main([*flags, "--alphas=0.25", "--resolutions=32,48", "--plan"])


def test_plan_prints_a_table_and_stops(config, folder, capsys):
    ask(config)
    said = capsys.readouterr().out
    for row in (r"train and val, times cells +120 ", r"of test, times cells +720 ", r"trials +4 ", "disk +14 MB"):
        assert re.search(row, said), said
    assert not list(folder.glob("*.db"))
    with driver_lock(config.storage) as lock:
        sweep(config, open_storage(config.storage), lock, tracking.connect("alpharho"), InlineExecutor())
    ask(config)
    assert "nothing is left to do" in capsys.readouterr().out
    ask(dataclasses.replace(config, epochs=3))  # another study, on the same tables
    assert re.search(r"trials +4 ", capsys.readouterr().out)
    (folder / "mlflow.db").unlink()
    ask(config)
    assert re.search(r"best models, trained again and logged +2 ", capsys.readouterr().out)


@pytest.mark.slow
def test_heads_that_come_first_are_a_part_of_the_plan(config, dataset, capsys):
    tuned = dataclasses.replace(config, freeze_conv=False, resolutions=(32,))
    found = plan.make(tuned, dataset, {}, [])
    assert found.features > 0
    assert found.trials > 0
    assert [item.rows for item in found.work] == [60]
    assert list(Path(config.work_dir).glob("features/*")) == []
    assert capsys.readouterr().err == ""
