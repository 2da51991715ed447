"""The command that asks a model about pictures, with its exit codes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from pipeline import predict
from pipeline.shell.errors import UserError

ROOT = Path(__file__).parents[1]


@pytest.fixture
def shots(device_files, tmp_path) -> Path:
    """Ten test pictures of digits, named by what they show."""
    folder = tmp_path / "shots"
    folder.mkdir()
    for number, (label, picture) in enumerate(
        zip(device_files.array("labels")[:10], device_files.array("test"), strict=False)
    ):
        Image.fromarray(picture).save(folder / f"{number}={label}.png")
    return folder


def test_digits_are_told_by_a_file(device_files, shots, capsys):
    predict.main(["--model", str(device_files.file("int8")), "--format", "jsonl", "--top", "3", str(shots)])
    printed = capsys.readouterr()
    told = [json.loads(line) for line in printed.out.splitlines()]
    right = [Path(one["picture"]).stem.rpartition("=")[2] == one["top"][0]["class"] for one in told]
    assert sum(right) >= 8
    assert {len(one["top"]) for one in told} == {3}
    assert "10/10" in printed.err


@pytest.mark.parametrize(("below", "answered"), [("0", 10), ("1", 0)])
def test_below_the_probability_that_is_asked_for_the_answer_is_none(device_files, shots, capsys, below, answered):
    file = str(device_files.file("float32"))
    predict.main(["--model", file, "--format", "jsonl", "--reject", below, str(shots)])
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sum(one["answer"] is not None for one in told) == answered


def test_what_cannot_be_read_is_named_and_the_exit_code_is_3(device_files, shots, capsys, monkeypatch):
    monkeypatch.chdir(shots)
    (shots / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(SystemExit) as left:
        predict.main(["--model", str(device_files.file("int8")), "."])
    assert left.value.code == 3
    printed = capsys.readouterr()
    assert "cut.jpg: " in printed.err
    assert "0=" in printed.out


def test_names_come_from_standard_input(device_files, shots, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(map(str, sorted(shots.iterdir())[:2]))))
    predict.main(["--model", str(device_files.file("int8")), "--format", "csv", "-"])
    assert len(capsys.readouterr().out.splitlines()) == 3


@pytest.mark.parametrize(
    "args",
    [
        ["--model", "gone.tflite", "SHOTS"],
        ["--model", "pyproject.toml", "SHOTS"],
        ["--model", "FILE", "EMPTY"],
        ["--model", "FILE"],
        ["SHOTS"],
        ["--model", "FILE", "SHOTS", "--top", "0"],
        ["--model", "FILE", "SHOTS", "--reject", "1.5"],
        ["--model", "FILE", "SHOTS", "--format", "xml"],
    ],
)
def test_bad_input_is_refused_in_one_line(device_files, shots, tmp_path, args):
    (tmp_path / "empty").mkdir()
    places = {"SHOTS": str(shots), "FILE": str(device_files.file("int8")), "EMPTY": str(tmp_path / "empty")}
    with pytest.raises(UserError, match=r"^.+$"):
        predict.main([places.get(arg, arg) for arg in args])


def test_a_file_answers_without_tensorflow(device_files, shots):
    """In a process of its own, since this one has imported it; with a pipe, as programs read it."""
    program = (
        "import sys\nfrom pipeline import predict\npredict.main(sys.argv[1:])\n"
        "print([name for name in ('tensorflow', 'keras', 'mlflow', 'pandas') if name in sys.modules])"
    )
    command = [sys.executable, "-c", program, "--model", str(device_files.file("int8")), "--format", "csv", str(shots)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=os.environ)
    *rows, imported = done.stdout.splitlines()
    assert len(rows) == 11
    assert imported == "[]"


def test_a_reader_who_has_enough_is_no_error(device_files, shots):
    """In a process of its own, since its standard output is closed."""
    command = [sys.executable, "-m", "pipeline.predict", "--model", str(device_files.file("int8")), "--format", "csv"]
    process = subprocess.Popen(
        [*command, str(shots)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()
    assert process.wait(60) == 0
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()


def test_a_model_in_mlflow_answers_too(tracker, device_files, shots, capsys):
    with tracker.run("train", "train") as run_id:
        tracker.log_model(run_id, device_files.model(), device_files.class_names, calibration={"reject_below": 0.2})
        tracker.log_metrics(run_id, {"reject_below": 0.2})
    predict.main(["--model", f"runs:/{run_id}", "--format", "jsonl", str(shots)])
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    right = [Path(one["picture"]).stem.rpartition("=")[2] == one["answer"] for one in told]
    assert sum(right) >= 8
    with pytest.raises(UserError, match="models:/nothing@best"):
        predict.main(["--model", "models:/nothing@best", str(shots)])
