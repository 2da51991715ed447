"""A Keras model becomes an ONNX file in single precision: a uint8 picture in, probabilities out.

Keras has tf2onnx do it, whose project seeks a maintainer: so it is an extra, and what it makes is run by ONNX Runtime
on the whole test split, as every file is.
"""

from __future__ import annotations

import importlib.util
import tempfile
import warnings
from pathlib import Path

import keras
import numpy as np

from pipeline.device import litert
from pipeline.shell.errors import UserError
from pipeline.shell.progress import quiet_stderr

OPSET = 18  # ONNX Runtime has it since 1.14, of 2023
PACKAGES = ("onnx", "onnxruntime", "tf2onnx")
PICTURE, PROBABILITIES = "picture", "probabilities"


def require() -> None:
    """Raises UserError where the extra is not installed."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"wanted the extra onnx. Received: no package {missing[0]}. "
            "Try: uv pip install --require-hashes -r requirements-onnx.txt"
        )


def float32(model: keras.Model) -> bytes:
    """Converts a model as backbones.with_head makes it. Raises UserError where the extra is not installed."""
    require()
    import onnx

    whole = _whole(model)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), quiet_stderr():
        warnings.simplefilter("ignore", FutureWarning)  # Keras' own, of numpy's names
        path = Path(folder, "model.onnx")
        whole.export(path, format="onnx", verbose=False, opset_version=OPSET)
        made = onnx.load(path)
    graph = made.graph
    graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    for node in graph.node:
        node.output[:] = [PROBABILITIES if name == graph.output[0].name else name for name in node.output]
    graph.output[0].name = PROBABILITIES
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


def _whole(model: keras.Model) -> keras.Model:
    """uint8 (1, side, side, 3) -> probabilities (1, C)."""
    network, scale = litert.network_of(model), model.get_layer("scale")
    side = litert.side_of(network)
    picture = keras.Input((side, side, 3), batch_size=1, dtype="uint8", name=PICTURE)
    head = keras.layers.Dense(len(network.bias), activation="softmax", name=PROBABILITIES)
    features = network.backbone(keras.layers.Rescaling(scale.scale, offset=scale.offset)(picture))
    whole = keras.Model(picture, head(features))
    head.set_weights([network.kernel, network.bias])
    whole(np.zeros((1, side, side, 3), np.uint8))  # or Keras holds that it was never called
    return whole
