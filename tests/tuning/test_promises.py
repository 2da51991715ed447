"""What the README promises, on the data that it names: slow, and mostly on real pictures."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def scores(printed: str) -> dict[str, float]:
    """Test top-1 in percent for each cell of a sweep's table."""
    return {
        cell: float(top1) for cell, top1 in re.findall(r"^(mobilenet_\S+) .*? (\S+) \[", printed, flags=re.MULTILINE)
    }


def optimize(folder: Path, *flags: str, **environment: str) -> dict[str, float]:
    """The scores of a sweep."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "tuning" / "optimize.py"), *flags],
        env={**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    return scores(done.stdout)


def test_the_demo_reaches_93_percent_and_the_wider_network_is_the_better(demo):
    top1 = scores((demo / "printed").read_text())
    assert set(top1) == {f"mobilenet_{alpha}_{side}" for alpha in (0.25, 0.5) for side in (48, 96)}
    assert max(top1.values()) >= 93
    assert max(top1["mobilenet_0.5_48"], top1["mobilenet_0.5_96"]) > max(
        top1["mobilenet_0.25_48"], top1["mobilenet_0.25_96"]
    )


@pytest.mark.realdata
def test_dogs_at_075_224_reach_85_percent_and_68_with_a_random_head(tmp_path, real_data):
    """1,200 test pictures, which ImageNet's training set contains."""
    flags = ("--data_dir", str(real_data / "tfds"), "--alphas=0.75", "--resolutions=224", "--trials=16")
    keras_home = {"KERAS_HOME": str(real_data / "keras")}
    top1 = optimize(tmp_path, *flags, **keras_home)
    assert top1["mobilenet_0.75_224"] >= 85
    random = optimize(tmp_path, *flags, "--head_init=random", **keras_home)
    assert random["mobilenet_0.75_224"] >= 68
