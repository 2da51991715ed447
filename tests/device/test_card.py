"""A card says what a file is, and its pictures and examples prove what it wants."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from pipeline import datasets
from pipeline.config import DataConfig, TrainConfig
from pipeline.datasets import decoding, resizing
from pipeline.device import card, check, contract, snippets
from pipeline.scoring.compare import compare

STEM = "digits-mobilenet_0.25_48-int8"


@pytest.fixture(scope="module")
def folder(device_files, tmp_path_factory):
    """Of a file with its card."""
    folder = tmp_path_factory.mktemp("exported")
    path = folder / f"{STEM}.tflite"
    shutil.copy(device_files.file("int8"), path)
    labels, expected = device_files.array("labels"), device_files.answers().argmax(axis=1)
    checked = check.check(path, "int8", device_files.folder / "test.npy", labels, expected, threads=(1,))
    trained = TrainConfig(dataset="digits", weights="tiny", alpha=0.25, resolution=48)
    metrics = {"test_top1": 0.91, "params_total": 2.2e5, "mult_adds": 1.7e6, "val_top1": 0.9}
    known = card.Known(trained, metrics, "tiny")
    card.write(checked, known, datasets.load(DataConfig(dataset="digits")).test, margin=1.0)
    return folder


@pytest.fixture(scope="module")
def told(folder):
    return json.loads((folder / f"{STEM}.json").read_text())


def test_it_says_what_the_file_is_and_how_good(told):
    assert told["verdict"].startswith("int8: ")
    assert told["test"]["pictures"] == 360
    assert told["test"]["loses_interval"][0] <= told["test"]["loses_points"] <= told["test"]["loses_interval"][1]
    assert told["test"]["model"] == {"test_top1": 0.91}
    assert told["cost"]["mult_adds"] == 1.7e6
    assert told["protocol"]["epochs"] == "30"
    assert [line.split()[0] for line in told["licences"]] == ["digits:", "tiny", "alpharho,"]
    assert told["caveats"] == []


def test_its_pictures_have_the_pixels_and_the_answers_that_it_says(told, folder, device_files):
    assert len(told["examples"]) == card.SHOWN
    for one in told["examples"]:
        small = resizing.to_bytes(decoding.read((folder / one["file"]).read_bytes()), 48)
        assert hashlib.sha256(small.tobytes()).hexdigest() == one["pixels_sha256"]
        assert sum(one["probabilities"]) == pytest.approx(1, abs=0.03)
        assert max(one["probabilities"]) == pytest.approx(one["top"][0]["probability"])


def test_it_can_be_read_by_people(folder):
    text = (folder / f"{STEM}.md").read_text()
    for words in ("# digits-mobilenet_0.25_48-int8.tflite", "bilinear", "RGB", "none of these", "-pictures/8.png"):
        assert words in text
    assert "{" not in text.partition("## Python")[0]


def test_the_python_example_gives_the_answers_of_the_card(told, folder):
    """As somebody would who has the file and its card alone, on pictures of another size, too."""
    program = snippets.python(f"{STEM}.tflite", "int8")
    assert len(program.splitlines()) <= 30
    (folder / "answer.py").write_text(program)
    for one in told["examples"][:2]:
        command = [sys.executable, "answer.py", one["file"]]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        best = one["top"][0]
        expected = best["class"] if best["probability"] >= told["reject_below"] else "none of these"
        assert done.stdout.split("\n")[0] == f"{expected} {best['probability']:.3f}"


def test_the_python_example_lays_what_is_transparent_over_white(folder):
    (folder / "answer.py").write_text(snippets.python(f"{STEM}.tflite", "int8"))
    ink = np.random.default_rng(0).integers(0, 256, (90, 120), np.uint8)
    seen = 255 - ink  # black, of which so much is seen
    Image.fromarray(np.stack([np.zeros_like(ink)] * 3 + [seen], axis=-1)).save(folder / "clear.png")
    Image.fromarray(ink).convert("RGB").save(folder / "opaque.png")
    said = [
        subprocess.run(
            [sys.executable, "answer.py", name], cwd=folder, capture_output=True, text=True, check=True
        ).stdout
        for name in ("clear.png", "opaque.png")
    ]
    assert said[0] == said[1]


def test_the_kotlin_example_says_where_none_is_the_answer(told):
    assert f"below {told['reject_below']:.4f}f, the answer is none" in snippets.kotlin(told)


def test_the_caveat_of_imagenet_stands_on_cards_of_dogs(folder):
    known = card.Known(TrainConfig(), {}, "imagenet")
    (path,) = folder.glob("*.tflite")
    file = contract.read(path)
    latency = check.Latency(1, 100, 1.0, 1.0, 1.0, 1.0, 1.0, 1)
    flips = compare(np.array([True, False]), np.array([True, True]))
    checked = check.Check(path, "int8", 1, 0.5, (0.1, 0.9), flips, 0.5, (latency,), 1.0, "a processor")
    whole = card.as_json(file, checked, known, [], 1.0)
    assert "ImageNet's training set contains the Stanford Dogs pictures" in whole["caveats"][0]
    assert "not commercial" in whole["licences"][0]
    text = card.as_markdown({**whole, "examples": []}, "dogs.tflite")
    assert whole["caveats"][0] in text
    assert "ByteArray(10)" in text
