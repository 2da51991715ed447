"""Feature tables and converted models that no study refers to, on a real work folder."""

from __future__ import annotations

import builtins
from pathlib import Path

import pytest

from pipeline import datasets
from pipeline.config import Cell, TrainConfig
from pipeline.features import kept
from pipeline.features.table import load_table
from pipeline.networks import backbones
from pipeline.shell.errors import UserError
from tests.study_samples import open_study
from tuning import prune, studies
from tuning.storage import driver_lock

CONFIG = TrainConfig(dataset="digits", weights="tiny", alpha=0.25, resolution=32, train_limit=40)


@pytest.fixture
def work(url: str, tmp_path: Path) -> str:
    """Tables of two cells, to one of which a study refers."""
    dataset, folder = datasets.load(CONFIG), str(tmp_path / "work")
    for side in (32, 48):
        backbone = backbones.load(Cell(0.25, side), "tiny")
        load_table(dataset.train, dataset.source, backbone, folder)
        if side == 32:
            known = {"pictures": [dataset.train.digest], "cell": backbone.cell.name, "weights": backbone.digest}
            open_study(url).keep(studies.FEATURES, known)
    return folder


def cells(work: str) -> list[str]:
    return sorted(one.about["cell"] for one in [*kept.tables(work), *kept.engines(work)])


def answer(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(builtins, "input", lambda _question: text)


def test_what_no_study_refers_to_is_listed_and_removed_after_asking(url, work, monkeypatch, capsys):
    flags = ["--storage", url, "--work_dir", work]
    everything = ["mobilenet_0.25_32"] * 2 + ["mobilenet_0.25_48"] * 2
    answer(monkeypatch, "n")
    prune.main(flags)
    assert cells(work) == everything
    assert capsys.readouterr().out.count("none") == 2
    answer(monkeypatch, "y")
    prune.main(flags)
    assert cells(work) == ["mobilenet_0.25_32"] * 2
    assert "removed" in capsys.readouterr().out
    prune.main(flags)
    assert "nothing to remove" in capsys.readouterr().out


def test_it_does_not_run_beside_a_sweep(url, tmp_path):
    open_study(url)
    with driver_lock(url), pytest.raises(UserError, match="another is at work"):
        prune.main(["--storage", url, "--work_dir", str(tmp_path)])
