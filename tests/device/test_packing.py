from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from pipeline.config import LITERT_FORMATS
from pipeline.device import packing


def file_of(forward, **settings) -> bytes:
    graph = tf.function(forward, input_signature=[tf.TensorSpec((1, 4), tf.float32)])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([graph.get_concrete_function()])
    for name, value in settings.items():
        setattr(converter, name, value)
    return converter.convert()


@pytest.fixture(scope="module")
def product() -> bytes:
    """x @ w, with 4 x 40 weights."""
    weights = tf.constant(np.arange(160, dtype=np.float32).reshape(4, 40))
    return file_of(lambda x: x @ weights)


@pytest.mark.parametrize("name", LITERT_FORMATS)
def test_our_files_have_builtin_operations_alone(device_files, name):
    content = device_files.file(name).read_bytes()
    assert {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "SOFTMAX"} <= set(packing.operations(content))
    assert packing.foreign(content) == ()


def test_an_operation_of_tensorflows_is_foreign():
    settings = {"allow_custom_ops": True}
    content = file_of(lambda x: tf.raw_ops.Betainc(a=x, b=x, x=x), **settings)
    assert packing.foreign(content) == ("Betainc",)


def test_a_text_and_a_signature_are_put_in_and_the_answers_stay(product):
    content = packing.with_text(product, "note", "some text")
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    (entry,) = [one for one in model.metadata if one.name == b"note"]
    assert bytes(model.buffers[entry.buffer].data) == b"some text"
    given = np.ones((1, 4), np.float32)
    interpreter = Interpreter(model_content=content)
    answer = interpreter.get_signature_runner(packing.SIGNATURE)(picture=given)["probabilities"]
    assert answer[0, 0] == 0 + 40 + 80 + 120


def test_weights_are_aligned_as_the_schema_asks(product):
    """Which TensorFlow's own writer does not do."""
    content = packing.with_text(product, "note", "some text")
    weights = np.arange(160, dtype=np.float32).reshape(4, 40)
    at = max(content.find(weights.tobytes()), content.find(weights.T.tobytes()))
    assert at > 0
    assert at % packing.ALIGNMENT == 0


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\x89PNG\r\n\x1a\n" + b"\0" * 20])
def test_what_begins_as_no_file_of_ours_does(content):
    assert not packing.is_known(content)
