"""What a run was computed with: the machine and the versions."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
from pathlib import Path

PACKAGES = ("alpharho", "tensorflow", "keras", "optuna", "mlflow", "numpy")


@functools.cache
def environment_tags() -> dict[str, str]:
    """The tags `device` (GPU name, or CPU model and cores) and `versions`. Imports tensorflow."""
    return {"device": _gpu() or _cpu(), "versions": ", ".join(_versions())}


def requirements(*packages: str) -> list[str]:
    """The installed versions, as pip pins them."""
    return [f"{package}=={importlib.metadata.version(package)}" for package in packages]


def _versions() -> list[str]:
    """ "python 3.11.9", "keras 3.15.1", ...; leaves out what runs from a clone without being installed."""
    versions = [f"python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _gpu() -> str:
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return ""
    name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
    return name if len(gpus) == 1 else f"{len(gpus)} x {name}"


def _cpu() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{_cpu_model()}, {cores} cores"


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")  # Linux alone; platform.processor() is empty there
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())
