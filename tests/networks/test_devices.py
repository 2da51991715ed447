"""How tensorflow is set up: a module of that name notes what is done to it."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace

import pytest

from pipeline.networks import devices


class Tensorflow:
    """What set_up touches of tensorflow, on a machine with `gpus`; speaks on file descriptor 2 as that does."""

    def __init__(self, *gpus: str) -> None:
        self.done: list[object] = []
        self._gpus = list(gpus)
        self.config = SimpleNamespace(
            list_physical_devices=self._look,
            experimental=SimpleNamespace(
                set_memory_growth=lambda gpu, grows: self.done.append((gpu, grows)),
                enable_tensor_float_32_execution=lambda enabled: self.done.append(f"TF32 {enabled}"),
            ),
            threading=SimpleNamespace(
                set_intra_op_parallelism_threads=lambda count: self.done.append(f"{count} in an operation"),
                set_inter_op_parallelism_threads=lambda count: self.done.append(f"{count} operations"),
            ),
        )

    def _look(self, kind: str) -> list[str]:
        os.write(2, b"oneDNN is on\n")
        return self._gpus

    def get_logger(self) -> SimpleNamespace:
        return SimpleNamespace(setLevel=lambda level: self.done.append(level))


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr(devices, "cores", lambda: 2)


def done_to(tensorflow: Tensorflow, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    monkeypatch.setitem(sys.modules, "tensorflow", tensorflow)
    devices.set_up.__wrapped__()  # that of this process was set up once and for all
    return tensorflow.done


@pytest.mark.parametrize(("log_level", "speaks"), [(None, False), ("2", False), ("0", True)])
def test_it_computes_on_our_cores_and_says_nothing_unless_asked(monkeypatch, capfd, log_level, speaks):
    if log_level:
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", log_level)
    else:
        monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    threads = ["2 in an operation", "2 operations"]
    assert done_to(Tensorflow(), monkeypatch) == ([] if speaks else ["ERROR"]) + threads
    assert ("oneDNN" in capfd.readouterr().err) is speaks


def test_gpus_take_memory_as_they_need_it_and_compute_in_full_precision(monkeypatch):
    growing = [("GPU:0", True), ("GPU:1", True), "TF32 False"]
    assert done_to(Tensorflow("GPU:0", "GPU:1"), monkeypatch)[1:4] == growing
