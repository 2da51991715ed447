"""Examples of files that are not LiteRT's; test_card.py has theirs."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest
from PIL import Image

from pipeline.device import contract, snippets


@pytest.mark.parametrize("name", ["onnx", "keras"])
def test_the_python_example_answers_as_the_model(device_files, tmp_path, name):
    file = device_files.file(name)
    for path in (file, file.with_suffix(".json")):
        shutil.copy(path, tmp_path)
    (tmp_path / "answer.py").write_text(snippets.python(file.name, name))
    picture = device_files.array("test")[0]
    Image.fromarray(picture).save(tmp_path / "picture.png")
    done = subprocess.run(
        [sys.executable, "answer.py", "picture.png"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    answer, probability = done.stdout.split()[-2:]
    expected = device_files.answers()[0]
    assert answer == device_files.class_names[expected.argmax()]
    assert float(probability) == pytest.approx(expected.max(), abs=6e-4)


def told(name: str) -> dict:
    return contract.Contract("mobilenet_0.25_48", name, 48, tuple("abcdefghij"), 0.5).as_json()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("float32", ("litert:1.4.0", "FloatArray(10)", "below 0.5000f")),
        ("int8", ("litert:1.4.0", "ByteArray(10)")),
        ("onnx", ("onnxruntime-android", "longArrayOf(1, side.toLong(), side.toLong(), 3)", '"picture" to picture')),
    ],
)
def test_the_kotlin_example_is_of_the_format(name, words):
    text = snippets.kotlin(told(name))
    for word in words:
        assert word in text
    assert not {"{{", "}}", "{output}", "{gradle}", "{side}"} & set(text.split())


def test_keras_own_file_has_none_for_a_phone():
    assert snippets.kotlin(told("keras")) == ""
