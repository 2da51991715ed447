"""What is listed of a work folder, and removed from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from pipeline.config import Cell
from pipeline.datasets.pictures import from_arrays
from pipeline.features import kept
from pipeline.features.partial import Partial
from pipeline.features.table import FeatureTable, load_table
from pipeline.networks import backbones
from pipeline.networks.backbones import Backbone
from pipeline.shell.errors import UserError

SPLIT = from_arrays("train", np.random.default_rng(0).integers(0, 256, (6, 9, 9, 3), dtype=np.uint8), np.arange(6), "x")


@pytest.fixture(scope="module")
def tiny() -> Backbone:
    return backbones.load(Cell(0.25, 32), "tiny")


@pytest.fixture
def table(tiny: Backbone, tmp_path: Path) -> FeatureTable:
    return load_table(SPLIT, "noise:1", tiny, str(tmp_path), engine="litert")


def test_a_table_and_its_engine_say_what_they_are_of(table, tiny, tmp_path):
    (found,), (engine,) = kept.tables(str(tmp_path)), kept.engines(str(tmp_path))
    of_both = {"cell": "mobilenet_0.25_32", "weights": tiny.digest}
    assert (found.kind, found.key) == ("table", table.key)
    assert ({"data": "noise:1", "split": "train"} | of_both).items() <= found.about.items()
    assert (engine.kind, engine.bytes) == ("engine", engine.path.stat().st_size)
    assert of_both.items() <= engine.about.items()
    assert found.bytes > table.features.nbytes


def test_tables_of_which_one_was_made_of_the_others_rows_are_listed_each_by_its_own_pictures(table, tiny, tmp_path):
    fewer = SPLIT.subset(np.arange(4))
    other = load_table(fewer, "noise:1", tiny, str(tmp_path), engine="litert")
    found = {one.key: one for one in kept.tables(str(tmp_path))}
    assert {key: one.kind for key, one in found.items()} == {table.key: "table", other.key: "table"}
    assert [found[one.key].about["pictures"] for one in (table, other)] == [SPLIT.digest, fewer.digest]
    kept.remove(found[table.key])
    np.testing.assert_array_equal(load_table(fewer, "noise:1", tiny, str(tmp_path)).features, other.features)


def test_half_a_table_is_told_from_a_whole_one(tmp_path):
    (tmp_path / "features").mkdir()
    with Partial(tmp_path / "features" / "key", (20, 3), {"cell": "mobilenet_0.25_32"}, np.zeros((20, 32), np.uint8)):
        pass
    (found,) = kept.tables(str(tmp_path))
    assert (found.kind, found.key, found.about) == ("half a table", "key", {"cell": "mobilenet_0.25_32"})
    (found.path / "table.json").write_text("{")
    assert kept.tables(str(tmp_path))[0].about == {}


def test_what_is_removed_is_gone_and_made_again(table, tiny, tmp_path):
    features = np.array(table.features)
    for one in (*kept.tables(str(tmp_path)), *kept.engines(str(tmp_path))):
        kept.remove(one)
    assert kept.tables(str(tmp_path)) == kept.engines(str(tmp_path)) == []
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".lock"}
    again = load_table(SPLIT, "noise:1", tiny, str(tmp_path), engine="litert")
    np.testing.assert_array_equal(again.features, features)


def test_what_another_process_is_making_is_refused(table, tmp_path):
    (found,) = kept.tables(str(tmp_path))
    with FileLock(kept.lock_of(found.path.parent, SPLIT.digest)), pytest.raises(UserError, match="in use by another"):
        kept.remove(found)
    assert found.path.exists()


def test_an_empty_work_folder_keeps_nothing(tmp_path):
    assert kept.tables(str(tmp_path / "nowhere")) == kept.engines(str(tmp_path / "nowhere")) == []
