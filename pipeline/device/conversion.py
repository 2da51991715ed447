"""Files of a model, made in this process: TensorFlow is loaded here anyway, and another would load it once more."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np

from pipeline.device import litert, onnx, quantize


def convert(model: keras.Model, formats: Sequence[str], calibration: np.ndarray) -> dict[str, bytes]:
    """Format -> file, without a contract.

    Args:
        model: as backbones.with_head makes it.
        formats: see config.Format.
        calibration: uint8 (n, r, r, 3), training pictures; see quantize.int8.

    Raises UserError where it has operations that LiteRT does not know, or the extra onnx is not installed.
    """
    makers: dict[str, Callable[[], bytes]] = {
        "float32": lambda: litert.float32(model),
        "float16": lambda: quantize.float16(model, calibration),
        "int8": lambda: quantize.int8(model, calibration),
        "onnx": lambda: onnx.float32(model),
        "keras": lambda: _saved(model),
    }
    return {name: makers[name]() for name in formats}


def _saved(model: keras.Model) -> bytes:
    """Keras' own file, of a model that takes pictures of any size."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        model.save(path)
        return path.read_bytes()
