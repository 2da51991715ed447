"""Files of a model, in this process: TensorFlow is loaded here anyway, and one of its own would want it once more."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from pipeline.device import litert, quantize


def convert(model: keras.Model, formats: Sequence[str], calibration: np.ndarray) -> dict[str, bytes]:
    """Format -> LiteRT file, without a contract.

    Args:
        model: as backbones.with_head makes it.
        formats: of float32, float16 and int8.
        calibration: uint8 (n, r, r, 3), training pictures; see quantize.int8.

    Raises UserError where it has operations that LiteRT does not know.
    """
    smaller = {"float16": quantize.float16, "int8": quantize.int8}
    return {name: litert.float32(model) if name == "float32" else smaller[name](model, calibration) for name in formats}
