"""Feature tables: made once, several in one pass, checked when read, made again when damaged, gone on with."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import multiprocessing
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from pipeline.config import Cell
from pipeline.datasets import Split
from pipeline.datasets.pictures import decode_bytes, from_arrays, hashes_of
from pipeline.features import partial, table
from pipeline.features.partial import Partial
from pipeline.features.table import FeatureTable, load_table, rows_left
from pipeline.networks import backbones, devices
from pipeline.networks.backbones import Backbone
from pipeline.shell.errors import UserError

CELL = Cell(0.25, 32)


def pictures(count: int = 11) -> Split:
    rng = np.random.default_rng(0)
    return from_arrays("train", rng.integers(0, 256, (count, 20, 24, 3), dtype=np.uint8), np.arange(count) % 3, "noise")


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    """Weights as varied as trained ones: freshly drawn MobileNet features vanish."""
    drawn = backbones.load(CELL, "none")
    rng = np.random.default_rng(1)
    weights = [
        rng.normal(0, 0.3, w.shape) if w.ndim > 1 else np.abs(rng.normal(1, 0.1, w.shape))
        for w in drawn.model.get_weights()
    ]
    drawn.model.set_weights(weights)
    return drawn


def load(split: Split, backbone: Backbone, folder: Path) -> FeatureTable:
    return load_table(split, "noise:1", backbone, str(folder))


def only_table(folder: Path) -> Path:
    (table,) = [path for path in (folder / "features").iterdir() if path.is_dir()]
    return table


def test_a_table_holds_what_the_backbone_makes_of_each_picture(backbone, tmp_path):
    split = pictures()
    table = load(split, backbone, tmp_path)
    shown = np.stack([backbones.preprocess(picture, CELL) for picture, _label in split.pictures()])
    np.testing.assert_allclose(table.features, backbone.model(shown, training=False), atol=1e-5)
    assert table.features.dtype == np.float32
    assert not table.features.flags.writeable
    assert table.pictures_per_second > 0


def test_a_table_is_made_once(backbone, tmp_path, monkeypatch):
    first = load(pictures(), backbone, tmp_path)
    monkeypatch.setattr(table, "extract", None)
    np.testing.assert_array_equal(load(pictures(), backbone, tmp_path).features, first.features)


@pytest.mark.parametrize("change", ["pictures", "weights", "resolution", "split", "source"])
def test_whatever_shapes_the_numbers_makes_another_table(backbone, tmp_path, change):
    load(pictures(), backbone, tmp_path)
    split, source, other = pictures(), "noise:1", backbone
    if change == "pictures":
        split = pictures(12)
    elif change == "weights":
        other = Backbone(CELL, "none", backbones.load(CELL, "none").model, None)
        other.model.set_weights([weight * 0.99 for weight in backbone.model.get_weights()])
    elif change == "resolution":
        other = backbones.load(Cell(0.25, 48), "none")
        other.model.set_weights(backbone.model.get_weights())
    elif change == "split":
        split = from_arrays("test", np.stack([p for p, _ in split.pictures()]), split.labels, "noise")
    else:
        source = "noise:2"
    load_table(split, source, other, str(tmp_path))
    assert len([path for path in (tmp_path / "features").iterdir() if path.is_dir()]) == 2


def test_mixed_precision_makes_a_table_of_its_own_and_leaves_the_others_keys(backbone, tmp_path, monkeypatch):
    split, where = pictures(), ("noise:1", backbone, str(tmp_path))
    plain = load_table(split, *where)
    assert "precision" not in json.loads((only_table(tmp_path) / "table.json").read_text())
    monkeypatch.setattr(devices, "on_a_gpu", lambda: False)
    with pytest.raises(UserError, match="a GPU for precision mixed_float16"):
        load_table(split, *where, precision="mixed_float16")
    monkeypatch.setattr(devices, "on_a_gpu", lambda: True)
    assert rows_left(split, *where, precision="mixed_float16") == len(split)
    mixed = load_table(split, *where, precision="mixed_float16")
    assert rows_left(split, *where, precision="mixed_float16") == 0
    assert 0 < np.abs(mixed.features - plain.features).max() < 0.05 * plain.features.std()
    np.testing.assert_array_equal(load_table(split, *where).features, plain.features)


@pytest.mark.parametrize("damage", ["cut", "flipped", "no key file", "no numbers", "broken key file"])
def test_a_damaged_table_is_noticed_and_made_again(backbone, tmp_path, damage, capsys):
    whole = np.array(load(pictures(), backbone, tmp_path).features)
    table = only_table(tmp_path)
    numbers = bytearray((table / "features.npy").read_bytes())
    if damage == "cut":
        (table / "features.npy").write_bytes(numbers[: len(numbers) // 2])
    elif damage == "flipped":
        numbers[-1] ^= 1
        (table / "features.npy").write_bytes(numbers)
    elif damage == "no key file":
        (table / "table.json").unlink()
    elif damage == "no numbers":
        (table / "features.npy").unlink()
    else:
        (table / "table.json").write_text("{")
    np.testing.assert_array_equal(load(pictures(), backbone, tmp_path).features, whole)
    assert "is damaged" in capsys.readouterr().err
    load(pictures(), backbone, tmp_path)
    assert "is damaged" not in capsys.readouterr().err


def test_a_full_disk_leaves_the_whole_chunks_to_go_on_from(backbone, tmp_path, monkeypatch):
    undisturbed = np.array(load(pictures(40), backbone, tmp_path / "other").features)
    monkeypatch.setattr(partial, "CHUNK", 32)
    append = Partial._append

    def fail_at_the_end(self, chunk):
        if self.rows:
            raise OSError(28, "No space left on device")
        append(self, chunk)

    with monkeypatch.context() as full:
        full.setattr(Partial, "_append", fail_at_the_end)
        with pytest.raises(OSError, match="No space"):
            load(pictures(40), backbone, tmp_path)
    assert only_table(tmp_path).suffix == ".part"
    journal = (only_table(tmp_path) / partial.JOURNAL).read_text()
    np.testing.assert_array_equal(load(pictures(40), backbone, tmp_path).features, undisturbed)
    assert json.loads(journal)["rows"] == 32
    assert sorted(path.name for path in only_table(tmp_path).iterdir()) == ["features.npy", "table.json"]


def test_features_that_are_no_numbers_are_refused(backbone, tmp_path):
    broken = backbones.load(CELL, "none")
    broken.model.set_weights([weight * np.nan for weight in backbone.model.get_weights()])
    with pytest.raises(UserError, match="finite features"):
        load(pictures(), broken, tmp_path)
    assert [path.suffix for path in (tmp_path / "features").iterdir()] == [".lock"]


def test_a_picture_that_cannot_be_decoded_is_named(backbone, tmp_path):
    import tensorflow as tf

    encoded = [tf.io.encode_png(np.zeros((4, 4, 3), np.uint8)).numpy(), b"no picture"]
    split = Split(
        "train",
        np.array([0, 1]),
        ["good.png", "bad.png"],
        hashes_of([bytes(32), bytes(32)]),
        lambda: tf.data.Dataset.from_tensor_slices(encoded),
        decode_bytes,
    )
    with pytest.raises(UserError, match=r"bad\.png.*--skip_unreadable"):
        load(split, backbone, tmp_path)


def _make(folder: str) -> float:
    weights = np.load(Path(folder, "weights.npz"))
    backbone = backbones.load(CELL, "none")
    backbone.model.set_weights([weights[name] for name in weights.files])
    return load_table(pictures(), "noise:1", backbone, folder).pictures_per_second


@pytest.mark.slow
def test_one_process_makes_the_table_while_another_waits(backbone, tmp_path):
    np.savez(tmp_path / "weights.npz", *backbone.model.get_weights())
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        rates = pool.map(_make, [str(tmp_path)] * 2)
    assert rates[0] == rates[1] == json.loads((only_table(tmp_path) / "table.json").read_text())["pictures_per_second"]


@pytest.fixture(scope="module")
def larger(backbone) -> Backbone:
    """The same weights at another resolution."""
    other = backbones.load(Cell(0.25, 48), "none")
    other.model.set_weights(backbone.model.get_weights())
    return other


def tables(folder: Path) -> int:
    return len(list(folder.glob("features/*/table.json")))


def test_one_pass_makes_the_tables_of_several_cells(backbone, larger, tmp_path):
    split, passes = pictures(), []
    counted = dataclasses.replace(split, raw=lambda: passes.append(1) or split.raw())
    made = load_table(counted, "noise:1", backbone, str(tmp_path / "both"), beside=[larger, backbone])
    assert len(passes) == 1
    assert tables(tmp_path / "both") == 2
    found = load(counted, larger, tmp_path / "both")
    assert len(passes) == 1
    for table, one in ((made, backbone), (found, larger)):
        np.testing.assert_array_equal(table.features, load(split, one, tmp_path / "apart").features)


def test_one_pass_makes_both_views_and_a_plain_table_stays_valid(backbone, larger, tmp_path):
    split, passes = pictures(), []
    counted = dataclasses.replace(split, raw=lambda: passes.append(1) or split.raw())
    made = load_table(counted, "noise:1", backbone, str(tmp_path), beside=[larger], views="flip")
    assert (len(passes), tables(tmp_path)) == (1, 4)
    mirror_images = np.stack([picture[:, ::-1] for picture, _label in split.pictures()])
    mirrored = from_arrays("train", mirror_images, split.labels, "noise")
    np.testing.assert_allclose(made.mirrored, load(mirrored, backbone, tmp_path / "images").features, atol=1e-5)
    load(split, backbone, tmp_path / "grown")
    (plain,) = (tmp_path / "grown" / "features").glob("*/features.npy")
    before = plain.stat().st_mtime_ns
    grown = load_table(split, "noise:1", backbone, str(tmp_path / "grown"), views="flip")
    assert (plain.stat().st_mtime_ns, tables(tmp_path / "grown")) == (before, 2)
    np.testing.assert_array_equal(grown.features, made.features)
    np.testing.assert_array_equal(grown.mirrored, made.mirrored)


def test_nothing_is_made_beside_a_table_that_is_there(backbone, tmp_path):
    load(pictures(), backbone, tmp_path)
    load_table(pictures(), "noise:1", backbone, str(tmp_path), beside=(pytest.fail("loaded") for _ in range(1)))
    assert tables(tmp_path) == 1


def test_a_table_that_another_process_is_at_is_left_to_it(backbone, larger, tmp_path):
    load(pictures(), larger, tmp_path)
    held = only_table(tmp_path)
    (held / "table.json").unlink()
    (held / "features.npy").unlink()
    held.rmdir()
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        with FileLock(f"{held}.lock"):
            locked.set()
            done.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait()
    try:
        load_table(pictures(), "noise:1", backbone, str(tmp_path), beside=[larger])
        assert tables(tmp_path) == 1
    finally:
        done.set()
        holder.join()


MAKER = """
import sys, time
from pathlib import Path
import numpy as np, tensorflow as tf
sys.path[0] = {root!r}
from pipeline.networks import backbones
from pipeline.features import table
from pipeline.features import partial
from pipeline.config import Cell
from pipeline.datasets.pictures import from_arrays
partial.CHUNK = 32
split = from_arrays("train", np.random.default_rng(0).integers(0, 256, (160, 20, 24, 3), dtype=np.uint8),
                    np.arange(160) % 3, "noise")
if {slow}:
    def slowly(picture):
        picture = tf.numpy_function(lambda image: (time.sleep(0.1), image)[1], [picture], tf.uint8)
        picture.set_shape((20, 24, 3))
        return picture
    object.__setattr__(split, "decode", slowly)
small, large = (backbones.load(Cell(0.25, side), "tiny") for side in (32, 48))
load_table(split, "noise:1", small, {folder!r}, beside=[large])
"""


@pytest.mark.slow
def test_who_is_killed_goes_on_after_the_last_whole_chunk(tmp_path):
    root = str(Path(__file__).parents[2])

    def maker(folder: str, slow: bool) -> subprocess.Popen[bytes]:
        program = MAKER.format(root=root, slow=slow, folder=str(tmp_path / folder))
        return subprocess.Popen([sys.executable, "-c", program])

    assert maker("undisturbed", slow=False).wait(120) == 0
    process = maker("killed", slow=True)
    deadline = time.monotonic() + 120
    journals: list[Path] = []
    while len(journals) < 2 or min(path.read_text().count("\n") for path in journals) < 2:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
        journals = list((tmp_path / "killed").glob(f"features/*.part/{partial.JOURNAL}"))
    process.send_signal(signal.SIGKILL)
    process.wait()
    chunks = [path.read_text().splitlines()[:2] for path in journals]
    stopped = maker("killed", slow=True)
    stamps = set()
    while stopped.poll() is None:
        for path in journals:
            with contextlib.suppress(FileNotFoundError):
                stamps.add(tuple(path.read_text().splitlines()[:2]))
        time.sleep(0.05)
    assert stopped.returncode == 0
    assert {tuple(lines) for lines in chunks} == stamps, "the first chunks were made again"
    for table in (tmp_path / "undisturbed" / "features").glob("*/features.npy"):
        again = tmp_path / "killed" / "features" / table.parent.name / "features.npy"
        assert again.read_bytes() == table.read_bytes()
    assert tables(tmp_path / "killed") == 2
    assert not list((tmp_path / "killed").glob("features/*.part"))
