"""The machine as its runs name it."""

from __future__ import annotations

import pytest
import tensorflow as tf

from pipeline.tracking import environment


def device() -> str:
    """Asked anew, though it is kept for the life of a process."""
    environment.environment_tags.cache_clear()
    return environment.environment_tags()["device"]


@pytest.fixture(autouse=True)
def forgotten():
    yield
    environment.environment_tags.cache_clear()


@pytest.fixture
def gpus(monkeypatch):
    """Lets tensorflow list so many GPUs of one kind."""

    def show(count: int, details: dict[str, str]) -> None:
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [f"{kind}:{n}" for n in range(count)])
        monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: details)

    return show


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """Puts a program of that name, which does as told, first on the path."""

    def write(*lines: str) -> None:
        program = tmp_path / "nvidia-smi"
        program.write_text("\n".join(["#!/bin/sh", *lines]))
        program.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return write


T4 = {"device_name": "Tesla T4", "compute_capability": (7, 5)}


def test_without_a_gpu_it_is_the_processor(gpus):
    gpus(0, {})
    assert device().endswith(" cores")


@pytest.mark.parametrize(
    ("count", "details", "told", "named"),
    [
        (1, T4, "15360, Tesla T4", "Tesla T4, 15 GB"),
        (2, T4, "15360, Tesla T4\n15360, Tesla T4", "2 x Tesla T4, 15 GB each"),
        (1, T4, "81559, NVIDIA H100 80GB HBM3\n15360, Tesla T4", "Tesla T4, 15 GB"),  # CUDA shows the second alone
        (1, T4, "[N/A], Tesla T4", "Tesla T4"),
        (2, T4, "NVIDIA-SMI has failed", "2 x Tesla T4"),
        (1, {}, "15360, Tesla T4", "GPU"),
    ],
)
def test_a_gpu_is_named_with_its_memory_where_that_is_told(gpus, nvidia_smi, count, details, told, named):
    gpus(count, details)
    nvidia_smi(*(f"echo '{line}'" for line in told.splitlines()))
    assert device() == named


def test_a_driver_that_is_missing_or_hangs_costs_the_memory_alone(gpus, nvidia_smi, monkeypatch):
    gpus(1, T4)
    assert device() == "Tesla T4"
    monkeypatch.setattr(environment, "NVIDIA_SMI_SECONDS", 0.2)
    nvidia_smi("exec sleep 5")
    assert device() == "Tesla T4"
