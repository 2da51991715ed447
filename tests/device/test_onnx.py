"""Networks that are not MobileNet v1 come through ONNX as well, and what does not is told in one line."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import tf2onnx.convert

from pipeline.config import Cell
from pipeline.device import conversion, onnx
from pipeline.networks import backbones
from pipeline.shell.errors import UserError


def classifier(name: str):
    backbone = backbones.load(Cell(1.0, 64, name), "none")
    kernel = np.random.default_rng(0).normal(size=(backbone.model.output_shape[-1], 3)).astype(np.float32)
    return backbones.with_head(backbone, kernel, np.zeros(3, np.float32))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["efficientnetv2_b0", "mobilenet_v3_small"])
def test_other_networks_answer_as_keras_does(name):
    model = classifier(name)
    session = onnxruntime.InferenceSession(onnx.float32(model), providers=["CPUExecutionProvider"])
    picture = np.random.default_rng(1).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    (answer,) = session.run([onnx.PROBABILITIES], {onnx.PICTURE: picture})
    np.testing.assert_allclose(answer, model(picture, training=False).numpy(), atol=1e-5)


def test_what_tf2onnx_does_not_take_costs_only_the_onnx_file(device_files, monkeypatch, capsys):
    def refuse(*args, **kwargs):
        raise ValueError("no such operation\nand so on")

    monkeypatch.setattr(tf2onnx.convert, "from_graph_def", refuse)
    model, some = device_files.model(), device_files.array("calibration")[:2]
    with pytest.raises(UserError, match=r"^wanted a network that tf2onnx converts\. Received: .*no such operation.*$"):
        conversion.convert(model, ["onnx"], some)
    assert list(conversion.convert(model, ["onnx", "keras"], some)) == ["keras"]
    assert "no ONNX file: wanted a network" in capsys.readouterr().err


def test_a_missing_extra_is_named(device_files, monkeypatch):
    monkeypatch.setattr(onnx, "PACKAGES", ("nosuchpackage",))
    with pytest.raises(UserError, match=r"^wanted the extra onnx\. Received: no package nosuchpackage"):
        onnx.float32(device_files.model())
