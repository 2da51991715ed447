"""What runs a frozen backbone over pictures: LiteRT on a CPU, Keras with XLA on a GPU.

Both give the same features to 1e-3 of their standard deviation, so a table that one of them made serves the other; but
for mixed precision, which Keras alone computes in.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from pipeline.config import EngineName, Precision
from pipeline.features.engines import litert
from pipeline.features.engines.keras import Keras
from pipeline.networks import devices
from pipeline.networks.backbones import Backbone
from pipeline.shell import progress
from pipeline.shell.errors import STORAGE_ERRORS, UserError, first_line, is_temporary

TOLERANCE = 1e-3  # of the features' standard deviation; rounding alone makes about 5e-5
CHECKED = 2  # pictures that both engines are given before one of them makes a table; Keras takes 0.1 s for them


class Engine(Protocol):
    """Preprocessed pictures float32 (n, resolution, resolution, 3) -> features float32 (n, d).

    Attributes:
        name: "litert" or "keras".
        lanes: how many threads may call it at once, and should.
    """

    name: str
    lanes: int

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """The features."""


def make(
    asked: EngineName, backbone: Backbone, work_dir: str, sample: np.ndarray, precision: Precision = "float32"
) -> Engine:
    """The engine for `backbone` on this machine; Keras, with a note, where LiteRT's answers are not Keras'.

    Args:
        work_dir: where LiteRT's models are kept.
        sample: float32 (n, resolution, resolution, 3), of which the first few are used for the comparison.

    Raises:
        UserError: litert was asked for, and its package is not installed; or mixed precision, and there is no GPU.
    """
    devices.require_for(precision)
    on_a_gpu = devices.on_a_gpu()
    keras = Keras(backbone, on_a_gpu, precision)
    if asked == "keras" or (asked == "auto" and (on_a_gpu or not litert.installed())):
        return keras
    if not litert.installed():
        raise UserError(
            "wanted the package ai-edge-litert for --engine litert. Received: none installed. "
            "Try: uv pip install ai-edge-litert, where there is one for this system; or --engine auto"
        )
    expected = backbone.model(sample[:CHECKED], training=False).numpy()
    if not np.isfinite(expected).all():
        return keras  # for the feature table to refuse
    try:
        engine = litert.load(backbone, work_dir)
        difference = np.abs(engine(sample[:CHECKED]) - expected).max()
    except OSError as error:
        if error.errno in STORAGE_ERRORS or is_temporary(error):
            raise  # or who mends it and goes on would have a table of two engines
        return _instead(keras, backbone, first_line(error))
    except Exception as error:  # the converter and the interpreter raise a dozen kinds, plain Exception among them
        return _instead(keras, backbone, first_line(error))
    if not difference <= TOLERANCE * expected.std():
        progress.note(
            f"LiteRT's features of {backbone.cell.name} differ from Keras' by {difference:.2g}, "
            f"with a standard deviation of {expected.std():.2g}; Keras makes them"
        )
        return keras
    return engine


def _instead(keras: Keras, backbone: Backbone, reason: str) -> Keras:
    progress.note(f"LiteRT cannot run {backbone.cell.name} ({reason}); Keras does it")
    return keras
