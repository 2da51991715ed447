"""A file says what it wants, and one that is not whole is refused before anything runs it."""

from __future__ import annotations

import dataclasses
import json

import pytest

from pipeline.device import contract
from pipeline.shell.errors import UserError


@pytest.fixture(scope="module")
def content(device_files) -> bytes:
    return device_files.file("int8").read_bytes()


def refusal(path) -> str:
    with pytest.raises(UserError) as refused:
        contract.read(path)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_file_says_what_it_wants(device_files):
    read = contract.read(device_files.file("int8"))
    assert (read.contract.cell, read.contract.precision, read.contract.side) == ("mobilenet_0.25_48", "int8", 48)
    assert read.contract.class_names == device_files.class_names
    assert (read.contract.reject_below, read.contract.run_id) == (0.5, "run1")
    told = read.contract.as_json(read.sha256)
    assert told["input"]["shape"] == [1, 48, 48, 3]
    assert told["input"]["channels"] == "RGB"
    assert told["output"]["type"] == "uint8, probability = value / 256"


def test_names_of_classes_may_hold_anything(device_files, tmp_path):
    names = ("é\udcff", '"sha256": "', "{}", "\\", "\n", *"56789")
    about = contract.Contract("mobilenet_0.25_48", "int8", 48, names)
    path = tmp_path / "odd.tflite"
    path.write_bytes(contract.sealed(device_files.raw("int8"), about))
    assert contract.read(path).contract == about


@pytest.mark.parametrize("kept", [0, 3, 8, 200, 5_000, 100_000, -1])
def test_a_file_that_is_cut_off_is_refused(content, tmp_path, kept):
    path = tmp_path / "cut.tflite"
    path.write_bytes(content[:kept])
    said = refusal(path)
    assert "no LiteRT, ONNX or Keras file" in said or "cut off" in said


@pytest.mark.parametrize("at", [0.01, 0.3, 0.6, 0.99])
def test_one_wrong_bit_is_noticed(content, tmp_path, at):
    index = int(at * len(content))
    path = tmp_path / "wrong.tflite"
    path.write_bytes(content[:index] + bytes([content[index] ^ 1]) + content[index + 1 :])
    assert "is not what its own hash says" in refusal(path)


def test_an_onnx_file_says_what_it_wants_to_others_too(device_files):
    import onnx

    path = device_files.file("onnx")
    assert contract.read(path).contract.class_names == device_files.class_names
    model = onnx.load(path)
    (entry,) = model.metadata_props
    assert (entry.key, json.loads(entry.value)["cell"]) == (contract.NAME, "mobilenet_0.25_48")
    (picture,), (answer,) = model.graph.input, model.graph.output
    assert [one.dim_value for one in picture.type.tensor_type.shape.dim] == [1, 48, 48, 3]
    assert [one.dim_value for one in answer.type.tensor_type.shape.dim] == [1, 10]
    assert (picture.name, picture.type.tensor_type.elem_type) == ("picture", onnx.TensorProto.UINT8)
    assert answer.name == "probabilities"


@pytest.mark.parametrize("name", ["onnx", "keras"])
def test_every_kind_of_file_is_refused_with_a_wrong_bit_and_cut_off(device_files, tmp_path, name):
    source = device_files.file(name)
    content = source.read_bytes()
    path = tmp_path / source.name
    for index in (len(content) // 3, len(content) // 2):
        path.write_bytes(content[:index] + bytes([content[index] ^ 1]) + content[index + 1 :])
        assert "is not what its own hash says" in refusal(path)
    path.write_bytes(content[:-1])
    assert "cut off" in refusal(path)


def test_a_file_of_keras_has_room_for_many_names_and_says_where_they_are_too_many(device_files):
    about = contract.read(device_files.file("keras")).contract
    many = dataclasses.replace(about, class_names=tuple(f"class {number}" for number in range(3_000)))
    assert len(contract.sealed(device_files.raw("keras"), many)) > 3_000
    more = dataclasses.replace(about, class_names=tuple(f"class {number}" for number in range(10_000)))
    with pytest.raises(UserError, match=r"^wanted names of classes that a file of Keras has room for\..*$"):
        contract.sealed(device_files.raw("keras"), more)


def test_files_of_others_are_refused(tmp_path):
    path = tmp_path / "other.tflite"
    assert "No such file" in refusal(path)
    path.write_bytes(b"\x1c\0\0\0TFL3" + b"\0" * 1000)
    assert "of another program" in refusal(path)
    path.write_bytes(b"\x89PNG")
    assert "no LiteRT, ONNX or Keras file" in refusal(path)
    assert "directory" in refusal(tmp_path)
