"""How many processor cores are ours: of the machine's, those that nobody has taken from us."""

from __future__ import annotations

import contextlib
import math
import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path


def cores() -> int:
    """The smallest of what the scheduler, the container's quota and OMP_NUM_THREADS allow."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "")
    limits = [affinity, *quotas(Path("/"))]
    if asked.isdecimal() and int(asked):
        limits.append(int(asked))
    return min(limits)


def processor() -> str:
    """Its name and how many cores of it are ours: "AMD EPYC 7B13, 2 cores"."""
    cpuinfo = Path("/proc/cpuinfo")  # Linux alone; platform.processor() is empty there
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return f"{next(models, platform.processor() or platform.machine())}, {cores()} cores"


def quotas(root: Path) -> Iterator[int]:
    """The limits of processor time of our control groups and of those above them, in cores, rounded up.

    Args:
        root: the file system with /proc and /sys.
    """
    with contextlib.suppress(OSError):  # no Linux
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, group = line.split(":", 2)  # "0::/user.slice", or of version 1 "4:cpu,cpuacct:/docker/1f"
            if not controllers:
                yield from _of_every(root / "sys/fs/cgroup", group, _version_2)
            elif "cpu" in controllers.split(","):
                yield from _of_every(root / "sys/fs/cgroup/cpu", group, _version_1)


def _of_every(top: Path, group: str, quota_of: Callable[[Path], tuple[str, str]]) -> Iterator[int]:
    """Of the group and of all above it; a container may see its own group as the top."""
    folder = top / group.lstrip("/")
    for one in (folder, *folder.parents):
        with contextlib.suppress(OSError, ValueError):  # none there, or none set
            quota, period = map(int, quota_of(one))
            if quota > 0 and period > 0:
                yield math.ceil(quota / period)
        if one == top:
            return


def _version_2(folder: Path) -> tuple[str, str]:
    """ "150000 100000" or "max 100000", in microseconds."""
    quota, period = (folder / "cpu.max").read_text().split()
    return quota, period


def _version_1(folder: Path) -> tuple[str, str]:
    """In microseconds; a quota of -1 is none."""
    return (folder / "cpu.cfs_quota_us").read_text(), (folder / "cpu.cfs_period_us").read_text()
