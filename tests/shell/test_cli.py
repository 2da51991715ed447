"""Flags in, exit codes and one-line errors out."""

from __future__ import annotations

import errno
import os
import signal
import tempfile
import threading

import pytest

from pipeline.config import DataConfig, PredictConfig, SweepConfig, TrainConfig, as_params
from pipeline.shell import cli, signals
from pipeline.shell.errors import UserError


@pytest.mark.parametrize(
    ("given", "skips"),
    [
        (["--skip_unreadable"], True),
        (["--skip_unreadable", "true"], True),
        (["--skip_unreadable=False"], False),
        (["--skip-unreadable", "--seed", "3"], True),
    ],
)
def test_a_boolean_may_stand_alone_or_be_spelled(given, skips):
    assert cli.parse(DataConfig, given).skip_unreadable is skips


@pytest.mark.parametrize("given", [["0.25,0.5"], ["0.25", "0.5"], ["0.25 0.5"], ["0.25, 0.5"]])
def test_a_list_may_be_separated_by_commas_or_blanks(given):
    config = cli.parse(SweepConfig, ["--weights", "tiny", "--alphas", *given, "--resolutions", "64"])
    assert config.alphas == (0.25, 0.5)
    assert config.resolutions == (64,)


def test_what_as_params_writes_parse_reads():
    config = TrainConfig(
        dataset="folder:my pictures", weights="tiny", alpha=0.25, learning_rate=1e-5, skip_unreadable=True
    )
    flags = [f"--{name}={value}" for name, value in as_params(config).items()]
    assert cli.parse(TrainConfig, flags) == config


def test_words_that_stand_alone_are_taken_as_they_are():
    given = ["a=b.jpg", "-", "--model", "x.tflite", "c d.jpg", "--top=3", "true"]
    config = cli.parse(PredictConfig, given)
    assert config.pictures == ("a=b.jpg", "-", "c d.jpg", "true")
    assert (config.model, config.top) == ("x.tflite", 3)


def test_a_negative_number_is_a_value():
    with pytest.raises(UserError, match=r"learning_rate > 0\. Received: -1\.0"):
        cli.parse(TrainConfig, ["--learning_rate", "-1"])


@pytest.fixture
def run_main(capsys):
    """Runs a main as an entry point does; returns its exit code and what it printed."""

    def run(main) -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as stopped:
            cli.run(main, "hint")
        printed = capsys.readouterr()
        return stopped.value.code, printed.out, printed.err

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


def _raiser(error: BaseException):
    def main() -> None:
        raise error

    return main


def test_a_main_that_comes_to_its_end_exits_with_0(run_main):
    assert run_main(lambda: print("done")) == (0, "done\n", "")


def test_wrong_input_is_one_line_and_exit_code_2(run_main):
    done = run_main(_raiser(UserError("wanted this. Received: that.")))
    assert done == (2, "", "error: wanted this. Received: that.\n")


def test_a_full_disk_is_one_line_and_exit_code_2(run_main):
    code, _, said = run_main(_raiser(OSError(errno.ENOSPC, "No space left on device", "work/features")))
    assert code == 2
    assert said.startswith("error: wanted to write work/features. Received: No space left on device. Try: ")
    assert "--work_dir" in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("in_project", [False, True])
def test_a_full_folder_for_temporary_files_is_told_from_the_work_dir(run_main, tmp_path, monkeypatch, in_project):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path if in_project else "/")
    code, _, said = run_main(_raiser(OSError(errno.ENOSPC, "No space left on device", f"{tmp_path}/x")))
    assert code == 2
    assert ("TMPDIR" in said, "--work_dir" in said) == (not in_project, in_project)


def test_no_folder_for_temporary_files_is_one_line(run_main, monkeypatch):
    def none() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    code, _, said = run_main(none)
    assert code == 2
    assert "wanted to write temporary files. Received: No usable temporary directory" in said
    assert "Try: set TMPDIR" in said


def test_an_error_of_ours_keeps_its_traceback():
    with pytest.raises(RuntimeError, match="a bug"):
        cli.run(_raiser(RuntimeError("a bug")))
    with pytest.raises(FileNotFoundError, match="a bug"):
        cli.run(_raiser(FileNotFoundError(errno.ENOENT, "a bug", "pipeline/x.json")))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_cleanly_and_tells_how_to_go_on(run_main, number):
    def main() -> None:
        os.kill(os.getpid(), number)
        threading.Event().wait(30)

    assert run_main(main) == (130, "", "interrupted. hint\n")


def test_a_deferred_signal_takes_effect_at_the_end_of_the_block(run_main):
    def main() -> None:
        with signals.deferred():
            os.kill(os.getpid(), signal.SIGTERM)
            print("whole")
        print("never")

    assert run_main(main) == (130, "whole\n", "interrupted. hint\n")


def test_an_unknown_flag_is_one_line():
    with pytest.raises(UserError, match=r"Unrecognized options: --datasett.*Try: --help") as refusal:
        cli.parse(DataConfig, ["--datasett", "digits"])
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--lr_schedule", "foo"], "invalid choice 'foo' for argument '--lr_schedule'.*plateau"),
        (["--alpha", "abc"], "Error parsing --alpha.*abc"),
        (["--epochs", "2.5"], "Error parsing --epochs.*2.5"),
    ],
)
def test_a_value_of_another_kind_is_one_line(flags, said):
    with pytest.raises(UserError, match=said) as refusal:
        cli.parse(TrainConfig, flags)
    assert "\n" not in str(refusal.value)
    assert "Try: --help" in str(refusal.value)


def test_help_lists_every_flag(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.parse(DataConfig, ["--help"])
    assert stopped.value.code == 0
    assert "--skip_unreadable" in capsys.readouterr().out
