"""What a run was computed with: the machine and the versions."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
import subprocess

from pipeline.shell.cores import processor

PACKAGES = ("alpharho", "tensorflow", "keras", "optuna", "mlflow", "numpy")
NVIDIA_SMI_SECONDS = 20  # it takes seconds on a machine with many GPUs, and for ever where a driver hangs


@functools.cache
def environment_tags() -> dict[str, str]:
    """The tags `device` (GPU name and memory, or CPU model and cores) and `versions`. Imports tensorflow."""
    return {"device": _gpu() or processor(), "versions": ", ".join(_versions())}


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
    """Like "NVIDIA T4, 15 GB" or "2 x NVIDIA T4, 15 GB each"; empty where there is none."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return ""
    name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
    memory = _gpu_memory().get(name)
    described = name if memory is None else f"{name}, {memory:.0f} GB"
    return described if len(gpus) == 1 else f"{len(gpus)} x {described}{'' if memory is None else ' each'}"


def _gpu_memory() -> dict[str, float]:
    """Name of a GPU -> its memory in units of 2^30 bytes; empty where the driver's nvidia-smi does not tell.

    TensorFlow 2.21 tells the name alone, and its list_local_devices, which knows a limit, takes every GPU into use. By
    name, since nvidia-smi numbers the GPUs otherwise than CUDA does.
    """
    query = ["nvidia-smi", "--query-gpu=memory.total,name", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(query, capture_output=True, text=True, check=False, timeout=NVIDIA_SMI_SECONDS).stdout
    except (OSError, subprocess.TimeoutExpired):
        return {}
    rows = (line.partition(", ") for line in told.splitlines())
    return {name: int(mebibytes) / 1024 for mebibytes, _, name in rows if mebibytes.isdecimal()}
