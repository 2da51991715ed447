"""A file beside its model. Each file is run in processes of their own, which this one's TensorFlow would spoil."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pipeline.device import check
from pipeline.scoring.compare import Comparison
from pipeline.shell.errors import UserError


@pytest.fixture(scope="module")
def checked(device_files):
    labels, expected = device_files.array("labels"), device_files.answers().argmax(axis=1)
    pictures = device_files.folder / "test.npy"
    return {
        name: check.check(device_files.file(name), name, pictures, labels, expected, threads=(1,))
        for name in ("float32", "int8", "onnx")
    }


@pytest.mark.parametrize("name", ["float32", "onnx"])
def test_a_file_in_single_precision_answers_as_its_model(checked, device_files, name):
    """In a process that has imported neither TensorFlow nor Keras, or there is no check."""
    found = checked[name]
    assert found.agreement >= 0.995
    assert abs(found.loss[0]) <= 0.5
    assert found.size == device_files.file(name).stat().st_size
    assert found.interval[0] < found.top1 < found.interval[1]


def test_eight_bits_are_a_quarter_of_the_size_and_lose_little(checked):
    small, large = checked["int8"], checked["float32"]
    assert small.size < 0.4 * large.size
    assert small.agreement > 0.95
    loss, least, most = small.loss
    assert least <= loss <= most
    assert small.versus_model.pictures == 360


def test_latency_and_memory_are_told(checked):
    (one,) = checked["float32"].latencies
    assert one.threads == 1
    assert 0 < one.p50_ms <= one.p90_ms <= one.p95_ms
    assert one.first_ms > 0
    assert one.runs == 100
    assert checked["float32"].size < one.memory < 500e6  # and not that of this process


def test_metrics_have_the_formats_name(checked):
    told = checked["int8"].as_metrics()
    assert told["int8_top1"] == checked["int8"].top1
    assert told["int8_loss_points"] == checked["int8"].loss[0]
    assert {"int8_p50_ms_1_thread", "int8_bytes", "int8_agreement", "int8_only_model"} <= set(told)


def test_pictures_of_one_group_count_once(device_files):
    labels, expected = device_files.array("labels"), device_files.answers().argmax(axis=1)
    pictures = device_files.folder / "test.npy"
    groups = np.arange(len(labels)) // 10
    found = check.check(device_files.file("int8"), "int8", pictures, labels, expected, groups, threads=())
    assert found.versus_model.pictures == 360
    assert found.latencies == ()


def test_a_file_that_is_cut_off_is_refused_in_one_line(device_files, tmp_path):
    path = tmp_path / "cut.tflite"
    path.write_bytes(device_files.file("int8").read_bytes()[:-1])
    with pytest.raises(UserError, match=r"^wanted a file that alpharho exported\..*cut\.tflite.*$"):
        check.latencies(path, [1])


def test_a_file_that_never_answers_otherwise_may_want_more_test_pictures(checked):
    none = Comparison(0.0, (-0.011, 0.011), 0, 0, 360, 360, 1.0)
    told = check.verdict(dataclasses.replace(checked["int8"], versus_model=none, agreement=1.0), 1.0)
    assert "not shown to be as good as the model, within 1 point, for want of test pictures. It loses 0.0" in told


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        ((-0.004, 0.004), "as good as the model, within 1 point. It loses 0.0 points of top-1 [-0.4, 0.4]"),
        (
            (-0.02, 0.04),
            "not shown to be as good as the model, within 1 point. It gains 1.0 points of top-1 [-2.0, 4.0]",
        ),
        ((-0.02, -0.01), "worse than the model. It loses"),
    ],
)
def test_the_verdict_goes_by_the_interval(checked, interval, said):
    flips = Comparison(sum(interval) / 2, interval, 3, 4, 1200, 1200, 1.0)
    told = check.verdict(dataclasses.replace(checked["int8"], versus_model=flips, agreement=0.99), 1.0)
    assert told.startswith("int8: ")
    assert said in told
    assert (
        "of 1,200 test pictures it answers 12 otherwise, 3 of them right where the model is wrong, and 4 wrong" in told
    )
