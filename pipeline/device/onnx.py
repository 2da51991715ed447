"""A Keras model becomes an ONNX file in single precision: a uint8 picture in, probabilities out.

tf2onnx does it, whose project seeks a maintainer: so it is an extra, and what it makes is run by ONNX Runtime on the
whole test split, as every file is.
"""

from __future__ import annotations

import importlib.util
import logging
import tempfile
from typing import Any

import keras
import tensorflow as tf

from pipeline.device import litert
from pipeline.shell.errors import UserError, first_line
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
    """Converts a model as backbones.with_head makes it.

    Raises UserError where the extra is not installed, or tf2onnx does not take the network.
    """
    require()
    try:
        with quiet_stderr():
            made = _converted(_Answering(model))
    except Exception as error:  # tf2onnx and onnx have a dozen kinds
        raise UserError(
            f"wanted a network that tf2onnx converts. Received: {first_line(error)}. "
            "Try: --formats float32,float16,int8"
        ) from error
    return bytes(made.SerializeToString())


class _Answering(tf.Module):
    """The network as a SavedModel, from which tf2onnx takes the weights; from a function it takes them wrongly."""

    def __init__(self, model: keras.Model) -> None:
        super().__init__()
        network = litert.network_of(model)
        forward, side = litert.answering(network), litert.side_of(network)
        self.weights = [weight.value for weight in network.backbone.variables]  # or they are not saved
        self.answer = tf.function(
            lambda picture: {PROBABILITIES: forward(litert.preprocessed(model, picture))},
            input_signature=[tf.TensorSpec((1, side, side, 3), tf.uint8, PICTURE)],
        )


def _converted(answering: _Answering) -> Any:
    """Its onnx.ModelProto, with names of ours."""
    import onnx
    from tf2onnx import convert, tf_loader

    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)  # it warns of what it then does in another way
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(answering, folder, signatures=answering.answer.get_concrete_function())
        graph, inputs, outputs = tf_loader.from_saved_model(folder, None, None)[:3]
        made, _files = convert.from_graph_def(graph, input_names=list(inputs), output_names=list(outputs), opset=OPSET)
    (picture,), (answer,) = made.graph.input, made.graph.output
    ours = {picture.name: PICTURE, answer.name: PROBABILITIES}
    for node in made.graph.node:
        node.input[:] = [ours.get(name, name) for name in node.input]
        node.output[:] = [ours.get(name, name) for name in node.output]
    picture.name, answer.name = PICTURE, PROBABILITIES
    onnx.checker.check_model(made)
    return made
