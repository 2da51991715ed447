"""Files of a model, made in this process: TensorFlow is loaded here anyway, and another would load it once more."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np

from pipeline.device import litert, onnx, quantize
from pipeline.shell import progress
from pipeline.shell.errors import UserError


def convert(model: keras.Model, formats: Sequence[str], calibration: np.ndarray) -> dict[str, bytes]:
    """Format -> file, without a contract. A network that cannot be had in ONNX is told, and its other files are made.

    Args:
        model: as backbones.with_head makes it.
        formats: see config.Format.
        calibration: uint8 (n, r, r, 3), training pictures; see quantize.int8.

    Raises UserError where it has operations that LiteRT does not know, or ONNX was asked for alone and cannot be had.
    """
    makers: dict[str, Callable[[], bytes]] = {
        "float32": lambda: litert.float32(model),
        "float16": lambda: quantize.float16(model, calibration),
        "int8": lambda: quantize.int8(model, calibration),
        "onnx": lambda: onnx.float32(model),
        "keras": lambda: _saved(model),
    }
    made: dict[str, bytes] = {}
    for name in formats:
        try:
            made[name] = makers[name]()
        except UserError as error:
            if name != "onnx" or len(formats) == 1:
                raise
            progress.note(f"no ONNX file: {error}")
    return made


def _saved(model: keras.Model) -> bytes:
    """Keras' own file, of a model that takes pictures of any size."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        model.save(path)
        return path.read_bytes()
