from __future__ import annotations

import threading

import numpy as np
import pytest
from PIL import Image

from pipeline.device import contract, running
from pipeline.shell.errors import UserError
from tests.device_files import FORMATS


@pytest.mark.parametrize("name", FORMATS)
def test_files_answer_as_keras_does(device_files, name):
    pictures, expected = device_files.array("test"), device_files.answers()
    answers = running.Runner(contract.read(device_files.file(name))).all(pictures)
    assert answers.shape == expected.shape
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=0.03)
    same = np.mean(answers.argmax(axis=1) == expected.argmax(axis=1))
    assert same >= (0.95 if name == "int8" else 0.995)
    if name in ("float32", "onnx", "keras"):
        np.testing.assert_allclose(answers, expected, atol=1e-4)


def test_answers_do_not_depend_on_lanes(device_files):
    file, pictures = contract.read(device_files.file("float32")), device_files.array("test")[:20]
    one, several = running.Runner(file, lanes=1), running.Runner(file, lanes=3)
    np.testing.assert_array_equal(one.all(pictures), several.all(pictures))


def test_a_picture_is_read_as_the_network_wants_it(device_files, tmp_path):
    Image.new("RGBA", (300, 200), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    picture = running.Runner(contract.read(device_files.file("int8")), lanes=1).shown(
        (tmp_path / "clear.png").read_bytes()
    )
    assert (picture.shape, picture.dtype, picture.min()) == ((48, 48, 3), np.uint8, 255)


def test_a_file_of_other_outputs_than_its_contract_is_refused(device_files, tmp_path):
    about = contract.Contract("mobilenet_0.25_48", "int8", 48, ("a", "b"))
    (tmp_path / "odd.tflite").write_bytes(contract.sealed(device_files.raw("int8"), about))
    with pytest.raises(UserError, match=r"48 px and 2 probabilities.*takes and gives 1, 48, 48, 3, uint8, 1, 10"):
        running.Runner(contract.read(tmp_path / "odd.tflite"))


def test_work_is_done_ahead_and_given_back_in_order():
    begun, may_end = [], threading.Event()

    def slow(number: int) -> int:
        begun.append(number)
        may_end.wait(10)
        return number

    futures = running.ahead(slow, range(100), 2)
    first = next(futures)
    may_end.set()
    assert len(begun) <= 4
    assert [first.result(), *(future.result() for future in futures)] == list(range(100))


def test_of_equal_probabilities_the_lower_number_stands_first():
    assert running.top(np.array([0.1, 0.4, 0.4, 0.1]), 3).tolist() == [1, 2, 0]
