"""How many cores are ours, by made-up files of a container."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.shell.cores import cores, quotas

OURS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def machine(root: Path, groups: str, files: dict[str, str]) -> Path:
    """A file system whose /proc says `groups`, with these files under /sys/fs/cgroup."""
    for name, text in {"proc/self/cgroup": groups, **{f"sys/fs/cgroup/{name}": files[name] for name in files}}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("groups", "files", "found"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, [2]),
        ("0::/\n", {"cpu.max": "max 100000\n"}, []),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "400000 100000", "cpu.max": "50000 100000"}, [4, 1]),
        ("0::/docker/1f\n", {"cpu.max": "300000 100000"}, [3]),
        ("0::/../other\n", {"cpu.max": "300000 100000"}, [3]),
        (
            "4:cpu,cpuacct:/docker/1f\n1:cpuset:/\n0::/\n",
            {"cpu/docker/1f/cpu.cfs_quota_us": "250000\n", "cpu/docker/1f/cpu.cfs_period_us": "100000\n"},
            [3],
        ),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, []),
        ("0::/\n", {"cpu.max": "nonsense"}, []),
    ],
    ids=["rounded up", "none set", "of every group above", "its own as the top", "above its own", "v1", "v1 none", "?"],
)
def test_the_quota_of_a_container(tmp_path, groups, files, found):
    assert list(quotas(machine(tmp_path, groups, files))) == found


def test_a_system_without_control_groups_has_no_quota(tmp_path):
    assert list(quotas(tmp_path)) == []


@pytest.mark.parametrize(("asked", "found"), [("1", 1), ("", OURS), ("4096", OURS), ("2,4", OURS), ("0", OURS)])
def test_fewer_may_be_asked_for(monkeypatch, asked, found):
    limits = [found, *quotas(Path("/"))]
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert cores() == min(limits)
