"""LiteRT with XNNPACK: a backbone's convolutions on a CPU, at about three times the speed of Keras' graph.

Each core has an interpreter with one thread, which is faster than one interpreter with all of them: 390 pictures/s
against 380 at 0.75-224 on two cores, 410 against 340 at 192 px, 32,000 against 16,000 at 0.25-48.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import queue
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from filelock import FileLock

from pipeline.features.engines import fixed
from pipeline.networks.backbones import Backbone
from pipeline.shell import progress
from pipeline.shell.cores import cores

MOST_INTERPRETERS = 8  # more cores share these, so that memory stays small: each has about 20 MB at 1.0-224
# px; up to here pictures are run 8 together, and one by one above, where that is as fast and takes less memory.
SMALL = 112


class LiteRT:
    """See pipeline.features.engines.Engine.

    Args:
        model: a LiteRT flatbuffer, float32 (b, r, r, 3) -> float32 (b, d) of any fixed b.
    """

    name = "litert"

    def __init__(self, model: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.lanes = min(cores(), MOST_INTERPRETERS)
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(self.lanes):
            interpreter = Interpreter(model_content=model, num_threads=max(1, cores() // self.lanes))
            interpreter.allocate_tensors()
            self._free.put(interpreter)
        picture, features = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
        self._picture, self._features, self._batch = picture["index"], features["index"], int(picture["shape"][0])

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """float32 (n, r, r, 3) -> float32 (n, d); waits for a free interpreter."""
        interpreter = self._free.get()

        def graph(some: np.ndarray) -> np.ndarray:
            """What is converted."""
            interpreter.set_tensor(self._picture, some)
            interpreter.invoke()
            return interpreter.get_tensor(self._features)

        try:
            return fixed.run(graph, pictures, self._batch)
        finally:
            self._free.put(interpreter)


def installed() -> bool:
    """Whether this machine has the package; there is none for some systems."""
    return importlib.util.find_spec("ai_edge_litert") is not None


def load(backbone: Backbone, work_dir: str) -> LiteRT:
    """Reads the converted model of `backbone` from work_dir/engines, or converts it and keeps it there.

    Beside `<key>.tflite` there is `<key>.json`, which says what it was converted from, and its hash.

    Raises whatever the converter or the interpreter does.
    """
    about = {
        "weights": backbone.digest,
        "cell": backbone.cell.name,
        "batch": str(8 if backbone.cell.resolution <= SMALL else 1),
        "converter": tf.__version__,
    }
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:20]
    path = Path(work_dir, "engines", f"{key}.tflite")
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"), progress.quiet_stderr():
        model = _read(path)
        if model is None:
            model = convert(backbone, int(about["batch"]))
            _write(path, model, about)
        return LiteRT(model)


def convert(backbone: Backbone, batch: int) -> bytes:
    """A LiteRT flatbuffer in single precision; BatchNorm is folded into the convolutions."""

    @tf.function(input_signature=[tf.TensorSpec((batch, *backbone.model.input_shape[1:]))])
    def forward(pictures: tf.Tensor) -> tf.Tensor:
        """Pictures to features."""
        return backbone.model(pictures, training=False)

    # Without the model as second argument, which would leave the weights out of the flatbuffer.
    return tf.lite.TFLiteConverter.from_concrete_functions([forward.get_concrete_function()]).convert()


def _read(path: Path) -> bytes | None:
    """None where it is missing or damaged."""
    try:
        model = path.read_bytes()
        whole = json.loads(path.with_suffix(".json").read_text())["sha256"] == hashlib.sha256(model).hexdigest()
    except (FileNotFoundError, ValueError, KeyError):
        return None
    return model if whole else None


def _write(path: Path, model: bytes, about: dict[str, str]) -> None:
    beside = path.with_suffix(".part")  # under the lock, so there is one writer
    beside.write_bytes(model)
    path.with_suffix(".json").write_text(json.dumps({**about, "sha256": hashlib.sha256(model).hexdigest()}, indent=1))
    beside.replace(path)
