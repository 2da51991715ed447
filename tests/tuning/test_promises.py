"""What the README promises, on the data that it names: slow, and mostly on real pictures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tuning import optimize

pytestmark = pytest.mark.slow


def scores(printed: str) -> dict[str, float]:
    """Test top-1 in percent for each cell of a sweep's table."""
    return {
        cell: float(top1) for cell, top1 in re.findall(r"^(mobilenet_\S+) .*? (\S+) \[", printed, flags=re.MULTILINE)
    }


def sweep(work: Path, printed: pytest.CaptureFixture[str], *flags: str) -> dict[str, float]:
    """The scores of one."""
    optimize.main([*flags, f"--work_dir={work}"])
    return scores(printed.readouterr().out)


def test_the_demo_reaches_93_percent_and_the_wider_network_is_the_better(demo):
    top1 = scores((demo / "printed").read_text())
    assert set(top1) == {f"mobilenet_{alpha}_{side}" for alpha in (0.25, 0.5) for side in (48, 96)}
    assert max(top1.values()) >= 93
    assert max(top1["mobilenet_0.5_48"], top1["mobilenet_0.5_96"]) > max(
        top1["mobilenet_0.25_48"], top1["mobilenet_0.25_96"]
    )


@pytest.mark.realdata
def test_dogs_at_075_224_reach_85_percent_and_68_with_a_random_head(folder, real_data, dogs_work, monkeypatch, capsys):
    """1,200 test pictures, which ImageNet's training set contains."""
    monkeypatch.setenv("KERAS_HOME", str(real_data / "keras"))
    flags = ("--data_dir", str(real_data / "tfds"), "--alphas=0.75", "--resolutions=224", "--trials=8", "--export=none")
    assert sweep(dogs_work, capsys, *flags)["mobilenet_0.75_224"] >= 85
    assert sweep(dogs_work, capsys, *flags, "--head_init=random")["mobilenet_0.75_224"] >= 68
