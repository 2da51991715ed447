"""Files of a model, made in a process of its own, since TensorFlow's converter keeps the memory that it took."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.shell import processes

if TYPE_CHECKING:
    import keras
    import numpy as np


def convert(model: keras.Model, formats: Sequence[str], calibration: np.ndarray) -> dict[str, bytes]:
    """Format -> LiteRT file, without a contract.

    Args:
        model: as backbones.with_head makes it.
        formats: of float32, float16 and int8.
        calibration: uint8 (n, r, r, 3), training pictures; see quantize.int8.

    Raises:
        UserError: it has operations that LiteRT does not know, or there is no memory for it.
    """
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/model.keras")
        np.save(f"{folder}/calibration.npy", calibration)
        processes.fresh(__name__, folder, *formats)
        return {name: Path(folder, f"{name}.tflite").read_bytes() for name in formats}


def main(args: Sequence[str]) -> None:
    """FOLDER FORMATS...: writes a file for each format beside FOLDER/model.keras."""
    folder, *formats = args
    from pipeline.networks import devices

    devices.set_up()
    import keras
    import numpy as np

    from pipeline.device import litert, quantize

    model = keras.saving.load_model(f"{folder}/model.keras")
    calibration = np.load(f"{folder}/calibration.npy")
    for name in formats:
        smaller = {"float16": quantize.float16, "int8": quantize.int8}
        content = litert.float32(model) if name == "float32" else smaller[name](model, calibration)
        Path(folder, f"{name}.tflite").write_bytes(content)


if __name__ == "__main__":
    processes.serve(main)
