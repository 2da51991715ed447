"""The files of a model in a folder, each with its contract inside and beside it, and each checked."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.config import Format
from pipeline.datasets import Dataset
from pipeline.device import contract, conversion, pictures
from pipeline.device.check import Check, check
from pipeline.device.contract import Contract
from pipeline.shell import progress

if TYPE_CHECKING:
    import keras

LITERT = ".tflite"
ENDINGS: dict[Format, str] = {"onnx": ".onnx", "keras": ".keras"}  # those that are not LITERT


def write(
    model: keras.Model,
    about: Contract,
    formats: Sequence[Format],
    calibration: np.ndarray,
    folder: Path,
) -> dict[Format, Path]:
    """Writes a file and NAME.json, the contract, for each format; files of these names are replaced.

    Args:
        about: what the files have in common; their precision is filled in.
        calibration: see conversion.convert.

    Raises UserError as conversion.convert does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: dict[Format, Path] = {}
    converted = conversion.convert(model, formats, calibration)
    for precision in (name for name in formats if name in converted):
        own = replace(about, precision=precision)
        path = folder / f"{name_of(own)}{ENDINGS.get(precision, LITERT)}"
        _replace(path, contract.sealed(converted[precision], own))
        told = own.as_json(contract.read(path).sha256)
        _replace(path.with_suffix(".json"), json.dumps(told, indent=1).encode())
        written[precision] = path
    return written


def name_of(about: Contract) -> str:
    """Such as stanford_dogs-mobilenet_0.75_224-int8, of characters that every file system takes."""
    data = re.sub(r"[^\w.-]+", "-", about.dataset.rpartition(":")[0] or about.dataset).strip("-.") or "model"
    return f"{data}-{about.cell}-{about.precision}"


def checks(files: dict[Format, Path], dataset: Dataset, side: int, answers: pd.DataFrame, work_dir: str) -> list[Check]:
    """Runs each file on the whole test split.

    Args:
        side: of the files' input, px.
        answers: of the model, as scoring.scores has them, in the order of the test split.
        work_dir: has room for the test pictures meanwhile: 3 side^2 bytes each.

    Raises UserError where a picture cannot be decoded; it is named.
    """
    test = dataset.test
    with kept(work_dir) as folder:
        shown = folder / "test.npy"
        with progress.bar("pictures test", len(test), "img") as advance:
            pictures.written(test, side, shown, progress=advance)
        expected, groups = answers["answer"].to_numpy(), answers["group"].to_numpy()
        return [check(path, name, shown, test.labels, expected, groups) for name, path in files.items()]


def calibration(dataset: Dataset, side: int, count: int, seed: int, work_dir: str) -> np.ndarray:
    """So many training pictures at the files' resolution, drawn by seed: uint8 (n, side, side, 3)."""
    some = pictures.some_of(len(dataset.train), count, seed)
    with kept(work_dir) as folder:
        return np.array(pictures.written(dataset.train, side, folder / "train.npy", some))


@contextmanager
def kept(work_dir: str) -> Iterator[Path]:
    """A folder below work_dir, which is removed when the block ends."""
    parent = Path(work_dir, "device")
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        yield Path(folder)


def _replace(path: Path, content: bytes) -> None:
    """Whole, or as it was."""
    beside = path.with_name(f"{path.name}.part")
    beside.write_bytes(content)
    beside.replace(path)
