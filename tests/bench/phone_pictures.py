"""What features of a folder of phone pictures cost: 12-megapixel JPEGs that their EXIF tags turn.

    make bench
    python -m tests.bench.phone_pictures --pictures 200     # a look, in two minutes

The pictures are drawn here: a few, written again and again with a comment of their own, so that no two files are alike.
The folder is read as any that a person brings, and features come at 0.75-224 where Keras' weights lie under
REAL_DATA_DIR (default ../shared/data), elsewhere at 0.5-224. Decoding alone is measured on DECODED of the pictures, as
it is and from full size, in rounds in turn. What the cores could have done, on a machine that others use, too, is told
by hashing in a thread for each core, just before and after. Exit code 1 where features kept them much less busy.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from unittest import mock

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from pipeline import datasets
from pipeline.config import Cell, DataConfig
from pipeline.datasets import Split, reading
from pipeline.datasets.pictures import check_readable
from pipeline.features.table import load_table
from pipeline.networks import backbones
from pipeline.shell import cli
from pipeline.shell.cores import cores
from pipeline.shell.errors import UserError
from tests.bench import real_pictures
from tests.bench.limits import kept

WIDTH, HEIGHT = 4032, 3024
ORIENTATIONS = (6, 1, 8, 3)  # a phone held in its four ways, upright above all
DISTINCT = 8
DECODED = 200
ROUNDS = 2
HASHES = "hashes"
HASHED = 1000  # pieces of PIECE bytes for each core
PIECE = 4 * 2**20
LEAST_BUSY = 0.85  # of what hashing keeps busy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=2000)
    count = parser.parse_args().pictures
    with tempfile.TemporaryDirectory() as folder:
        size = write(Path(folder, "phone"), count)
        split = datasets.load(DataConfig(dataset=f"folder:{folder}/phone")).train
        measured = measure(split, folder)
    title = f"{count} JPEGs of {WIDTH * HEIGHT / 1e6:.0f} MP, {size / count / 1e6:.1f} MB each, {cores()} cores"
    sys.exit(0 if show(measured, title) else 1)


def write(folder: Path, count: int) -> int:
    """`count` training pictures and two for the test, of two classes; how many bytes they are.

    Raises UserError where the disk has no room for them.
    """
    pictures = [drawn(seed) for seed in range(DISTINCT)]
    size = sum(len(pictures[number % DISTINCT]) for number in range(count))
    room = shutil.disk_usage(folder.parent).free
    if 1.1 * size > room:
        raise UserError(
            f"wanted {size / 1e9:.1f} GB for {count} pictures. Received: {room / 1e9:.1f} GB free in {folder.parent}. "
            "Try: fewer --pictures, or another TMPDIR"
        )
    for number in range(count + 2):
        kind = folder / ("train" if number < count else "test") / "ab"[number % 2]
        kind.mkdir(parents=True, exist_ok=True)
        picture, comment = pictures[number % DISTINCT], f"{number:08}".encode()
        segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
        (kind / f"{number:05}.jpg").write_bytes(picture[:2] + segment + picture[2:])
    return size


def drawn(seed: int) -> bytes:
    """A JPEG with detail of every size, as photographs have it, and a sensor's noise."""
    rng = np.random.default_rng(seed)
    pixels = np.full((HEIGHT, WIDTH, 3), 128, np.float32)
    for cells in (4, 16, 64, 256):
        grid = rng.integers(0, 256, (3 * cells, 4 * cells, 3), dtype=np.uint8)
        layer = Image.fromarray(grid).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        pixels += (np.asarray(layer, np.float32) - 128) / np.sqrt(cells)
    pixels += rng.normal(0, 3, (HEIGHT, WIDTH, 1)).astype(np.float32)
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[0x0112] = ORIENTATIONS[seed % len(ORIENTATIONS)]
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90, exif=exif)
    return buffer.getvalue()


def measure(split: Split, folder: str) -> dict[str, tuple[float, float]]:
    """what -> pictures per second, and processor time by elapsed time."""
    decoded = split.subset(np.arange(min(DECODED, len(split))))
    ways: dict[str, Callable[[], None]] = {
        "decoded from full size": lambda: _from_full_size(decoded),
        "decoded": lambda: _decode(decoded),
    }
    best: dict[str, tuple[float, float]] = {}
    for _ in range(ROUNDS):
        for way, work in ways.items():
            best[way] = max(best.get(way, (0.0, 0.0)), _timed(work, len(decoded)))
    there = real_pictures.FOLDER.exists()
    cell, file = (Cell(0.75, 224), real_pictures.WEIGHTS) if there else (Cell(0.5, 224), "tiny")
    backbone = backbones.load(cell, file)
    load_table(split.subset(np.arange(8)), "bench:1", backbone, folder)  # converts and compiles
    before = _timed(_hash, 0)
    best[f"features, {cell.name}"] = _timed(lambda: load_table(split, "bench:1", backbone, folder), len(split))
    best[HASHES] = 0, (before[1] + _timed(_hash, 0)[1]) / 2
    return best


def _decode(split: Split) -> None:
    if bad := check_readable(split):
        raise RuntimeError(f"wanted pictures that can be decoded. Received: {bad[0]}")


def _from_full_size(split: Split) -> None:
    with mock.patch.object(reading, "DRAFT_SIDE", max(WIDTH, HEIGHT)):
        _decode(split)


def _hash() -> None:
    """In a thread for each core; hashing needs no lock of Python's."""
    piece = bytes(PIECE)
    with ThreadPoolExecutor(cores()) as threads:
        list(threads.map(lambda _: sha256(piece).digest(), range(HASHED * cores())))


def _timed(work: Callable[[], object], count: int) -> tuple[float, float]:
    begun, busy = time.perf_counter(), time.process_time()
    work()
    elapsed = time.perf_counter() - begun
    return count / elapsed, (time.process_time() - busy) / elapsed


def show(measured: dict[str, tuple[float, float]], title: str) -> bool:
    """Whether the cores were busy while features were made."""
    table = Table(title=title)
    for column in ("what", "pictures/s", "cores busy"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for what, (speed, busy) in measured.items():
        table.add_row(what, f"{speed:.1f}" if speed else "", f"{busy:.2f}")
    Console().print(table)
    (features,) = (busy for what, (_, busy) in measured.items() if what.startswith("features"))
    idle = 1 - features / measured[HASHES][1]
    return kept("idle while features are made, beside hashing", idle, 1 - LEAST_BUSY)


if __name__ == "__main__":
    cli.run(main)
