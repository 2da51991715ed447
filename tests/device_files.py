"""Files of a small network that tells handwritten digits apart, made once."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from pipeline.config import Cell, DataConfig

CELL = Cell(0.25, 48)
ENDINGS = {"onnx": ".onnx", "keras": ".keras"}
FORMATS = ("float32", "float16", "int8", "onnx", "keras")


class DeviceFiles:
    """A folder with model.keras, calibration.npy, test.npy, labels.npy, and a file of each of FORMATS.

    FORMAT.raw is the file before it got its contract.

    Attributes:
        class_names: ten of them.
    """

    class_names = tuple(str(digit) for digit in range(10))

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, name: str) -> Path:
        """Of a format."""
        return self.folder / f"{name}{ENDINGS.get(name, '.tflite')}"

    def raw(self, name: str) -> bytes:
        """Of a format, without a contract."""
        return (self.folder / f"{name}.raw").read_bytes()

    def answers(self) -> np.ndarray:
        """Keras' probabilities for test.npy."""
        return self.model()(self.array("test"), training=False).numpy()

    def array(self, name: str) -> np.ndarray:
        """Of NAME.npy."""
        return np.load(self.folder / f"{name}.npy")

    def model(self):
        """Keras' own."""
        import keras

        return keras.saving.load_model(self.folder / "model.keras")


def made(factory: pytest.TempPathFactory) -> DeviceFiles:
    """Makes the files, or waits for another worker of pytest that does."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "device_files"
    with FileLock(f"{folder}.lock"):
        if not (folder / "done").exists():
            folder.mkdir(exist_ok=True)
            _make(folder)
            (folder / "done").touch()
    return DeviceFiles(folder)


def _make(folder: Path) -> None:
    from pipeline import datasets
    from pipeline.device import contract, conversion, pictures
    from pipeline.networks import backbones

    digits = datasets.load(DataConfig(dataset="digits"))
    backbone = backbones.load(CELL, "tiny")
    train = pictures.written(digits.train, 48, folder / "calibration.npy", pictures.some_of(len(digits.train), 600, 0))
    labels = digits.train.labels[pictures.some_of(len(digits.train), 600, 0)]
    pictures.written(digits.test, 48, folder / "test.npy")
    np.save(folder / "labels.npy", digits.test.labels)
    features = backbone.model(train / np.float32(127.5) - 1, training=False).numpy()
    ones = np.c_[features, np.ones(len(features))]
    solved = np.linalg.solve(ones.T @ ones + np.eye(ones.shape[1]), ones.T @ (12 * np.eye(10)[labels]))
    model = backbones.with_head(backbone, solved[:-1].astype("f"), solved[-1].astype("f"))
    model.save(folder / "model.keras")
    for name, content in conversion.convert(model, FORMATS, train[:100]).items():
        about = contract.Contract(CELL.name, name, 48, DeviceFiles.class_names, 0.5, "digits:1", "ab12", "run1")
        (folder / f"{name}.raw").write_bytes(content)
        file = DeviceFiles(folder).file(name)
        file.write_bytes(contract.sealed(content, about))
        file.with_suffix(".json").write_text(json.dumps(about.as_json(contract.read(file).sha256)))
