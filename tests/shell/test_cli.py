"""Flags in, exit codes and one-line errors out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.config import DataConfig, SweepConfig, TrainConfig, as_params
from pipeline.shell import cli
from pipeline.shell.errors import UserError

ROOT = Path(__file__).parents[2]


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


def test_a_negative_number_is_a_value():
    with pytest.raises(UserError, match=r"learning_rate > 0\. Received: -1\.0"):
        cli.parse(TrainConfig, ["--learning_rate", "-1"])


def run_main(body: str) -> subprocess.CompletedProcess[str]:
    imports = "from pipeline import cli\nfrom pipeline.shell.errors import UserError"
    program = f"{imports}\ndef main():\n    {body}\ncli.run(main, 'hint')"
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "0"},  # then tensorflow is not imported, which takes seconds
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )


def test_wrong_input_is_one_line_and_exit_code_2():
    done = run_main("raise UserError('wanted this. Received: that.')")
    assert (done.returncode, done.stderr.strip()) == (2, "error: wanted this. Received: that.")


def test_a_full_disk_is_one_line_and_exit_code_2():
    done = run_main("import errno; raise OSError(errno.ENOSPC, 'No space left on device', 'work/features')")
    assert done.returncode == 2
    assert done.stderr.startswith("error: wanted to write work/features")
    assert len(done.stderr.strip().splitlines()) == 1


def test_an_error_of_ours_keeps_its_traceback():
    done = run_main("raise RuntimeError('a bug')")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_cleanly_and_tells_how_to_go_on(number):
    done = run_main(f"import os; os.kill(os.getpid(), {int(number)}); import time; time.sleep(30)")
    assert (done.returncode, done.stderr.strip()) == (130, "interrupted. hint")


def test_a_deferred_signal_takes_effect_at_the_end_of_the_block():
    body = """import os, signal, time
    with signals.deferred():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)
        print("whole", flush=True)
    print("never")"""
    done = run_main(body)
    assert (done.returncode, done.stdout.strip(), done.stderr.strip()) == (130, "whole", "interrupted. hint")


def test_an_unknown_flag_is_refused_before_anything_is_done():
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.prepare", "--datasett", "digits"], capture_output=True, text=True, cwd=ROOT
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: Unrecognized options: --datasett, digits")
    assert len(done.stderr.splitlines()) == 1


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
