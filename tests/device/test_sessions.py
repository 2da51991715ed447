"""What runs a file, and what is said where it does not."""

from __future__ import annotations

import sys

import pytest

from pipeline.device import contract, packing, sessions
from pipeline.shell.errors import UserError


@pytest.mark.parametrize("name", ["float32", "int8", "onnx", "keras"])
def test_a_session_says_what_it_takes_and_gives(device_files, name):
    session = sessions.runtime_of(name).opened(contract.read(device_files.file(name)), 2)
    assert session.shapes == (1, 48, 48, 3, "uint8", 1, 10)


@pytest.mark.parametrize(
    ("precision", "content", "name"),
    [
        ("int8", b"\0\0\0\0" + packing.IDENTIFIER, "LiteRT"),
        ("onnx", b"\x08\x08", "ONNX Runtime"),
        ("keras", b"PK\x03\x04", "Keras"),
    ],
)
def test_what_its_runtime_does_not_take_is_refused_in_one_line(tmp_path, precision, content, name):
    about = contract.Contract("mobilenet_0.25_48", precision, 48, ("a", "b"))
    nothing = contract.DeviceFile(tmp_path / "x.keras", content, about, "")
    with pytest.raises(UserError, match=rf"^wanted a file that {name} runs\. Received: .*x\.keras.*$"):
        sessions.runtime_of(precision).opened(nothing, 1)


@pytest.mark.parametrize(
    ("precision", "module"), [("int8", "ai_edge_litert.interpreter"), ("onnx", "onnxruntime"), ("keras", "keras")]
)
def test_a_runtime_that_is_not_installed_is_named(device_files, monkeypatch, precision, module):
    monkeypatch.setitem(sys.modules, module, None)
    package = {"keras": "tensorflow"}.get(module, module.partition(".")[0].replace("_", "-"))
    with pytest.raises(UserError, match=f"^wanted the package {package}, .*Try: uv pip install {package}"):
        sessions.runtime_of(precision).opened(contract.read(device_files.file(precision)), 1)
