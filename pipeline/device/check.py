"""Is a file as good as the model that it was made of? Run as on a device, on the whole test split.

The file answers in a process that imports neither TensorFlow nor Keras, unless it is Keras' own, by all cores; its
latency and its memory are measured in another. Its answers and the model's are compared picture by picture, as two
cells are (scoring/compare.py).
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.device import contract, sessions
from pipeline.scoring import metrics
from pipeline.scoring.compare import Comparison, compare
from pipeline.shell import processes
from pipeline.shell.cores import cores, processor

THREADS = (1, 2, 4)  # as many of these as there are cores
_MEASURING = "pipeline.device.measuring"


@dataclass(frozen=True)
class Latency:
    """Of one picture at a time, in ms, on the machine that checks.

    Attributes:
        init_ms: from the file in memory to ready.
        p50_ms: of `runs` runs, the first and a few more left out; p90_ms, p95_ms alike.
        memory: bytes, by which the process had grown at its largest by then; the file is among them.
    """

    threads: int
    runs: int
    init_ms: float
    first_ms: float
    p50_ms: float
    p90_ms: float
    p95_ms: float
    memory: int


@dataclass(frozen=True)
class Check:
    """A file beside its model, on the same test pictures.

    Attributes:
        size: of the file, bytes.
        top1: a fraction; interval: its 95 % Wilson interval.
        versus_model: the file against the model.
        agreement: fraction of the pictures to which both give the same answer, right or wrong.
        latencies: by threads, ascending; of one thread first, but for Keras, which takes all cores.
        seconds: that all answers took, by all cores.
        processor: its name, and how many cores are ours.
    """

    path: Path
    precision: str
    size: int
    top1: float
    interval: tuple[float, float]
    versus_model: Comparison
    agreement: float
    latencies: tuple[Latency, ...]
    seconds: float
    processor: str

    @property
    def loss(self) -> tuple[float, float, float]:
        """Points of top-1 that the file loses: as measured, at least and at most (95 %). Below 0 it gains."""
        low, high = self.versus_model.interval
        return -100 * self.versus_model.difference, -100 * high, -100 * low

    @property
    def otherwise(self) -> int:
        """Test pictures that it answers otherwise than the model, right or wrong."""
        return round((1 - self.agreement) * self.versus_model.pictures)

    def as_metrics(self) -> dict[str, float]:
        """Under the names that MLflow shows: int8_top1, int8_loss_points, ..."""
        loss, least, most = self.loss
        found = {
            **{"top1": self.top1, "top1_low": self.interval[0], "top1_high": self.interval[1]},
            **{"loss_points": loss, "loss_points_low": least, "loss_points_high": most},
            **{"only_file": self.versus_model.only_first, "only_model": self.versus_model.only_second},
            **{"agreement": self.agreement, "bytes": self.size, "memory_bytes": self.latencies[0].memory},
        }
        for one in self.latencies:
            end = f"{one.threads}_threads" if one.threads > 1 else "1_thread"
            found |= {
                f"{name}_{end}": getattr(one, name) for name in ("init_ms", "first_ms", "p50_ms", "p90_ms", "p95_ms")
            }
        return {f"{self.precision}_{name}": float(value) for name, value in found.items()}


def check(
    path: Path,
    precision: str,
    pictures: Path,
    labels: np.ndarray,
    expected: np.ndarray,
    groups: np.ndarray | None = None,
    threads: Sequence[int] = THREADS,
) -> Check:
    """Runs the file.

    Args:
        pictures: NAME.npy, uint8 (n, side, side, 3), the test split as device.pictures writes it.
        labels: (n,), what they show; expected: (n,), what the model answers.
        groups: as in scoring.compare.
        threads: whose latency is measured, as far as there are cores.

    Raises UserError where the file is not ours, or not whole.
    """
    answers, seconds = answered(path, pictures)
    given = answers.argmax(axis=1)
    right = given == labels
    return Check(
        path=path,
        precision=precision,
        size=path.stat().st_size,
        top1=float(right.mean()),
        interval=metrics.wilson_interval(int(right.sum()), len(right)),
        versus_model=compare(right, expected == labels, groups),
        agreement=float(np.mean(given == expected)),
        latencies=latencies(path, _possible(precision, threads)),
        seconds=seconds,
        processor=processor(),
    )


def _possible(precision: str, threads: Sequence[int]) -> list[int]:
    """Those of `threads` that this machine has cores for; of a runtime that takes all cores, these."""
    if not threads or sessions.runtime_of(precision).has_threads:
        return [count for count in threads if count <= max(1, cores())]
    return [max(1, cores())]


def answered(path: Path, pictures: Path) -> tuple[np.ndarray, float]:
    """Probabilities, float32 (n, classes), and the seconds that they took, the start of the process left out."""
    with tempfile.TemporaryDirectory() as folder:
        out = f"{folder}/answers.npy"
        told = _told("answers", path, str(pictures), out)
        return np.load(out), float(told["seconds"])


def latencies(path: Path, threads: Sequence[int]) -> tuple[Latency, ...]:
    """With each of these numbers of threads, one after the other, in a process of their own."""
    if not threads:
        return ()
    precision = contract.read(path).contract.precision
    found = _told("latencies", path, precision, *map(str, threads))["latencies"]
    return tuple(Latency(**{name: one[name] for name in Latency.__dataclass_fields__}) for one in found)


def milliseconds(value: float) -> str:
    """Of a latency, two digits or more: 0.031, 4.5, 120; "-" where it is unknown."""
    if math.isnan(value):
        return "-"
    return f"{value:.2g}" if value < 99.5 else f"{value:,.0f}"


def verdict(check: Check, margin: float) -> str:
    """One line: is it as good as the model, and by which interval?

    Args:
        margin: points of top-1 that it may lose and still be as good.
    """
    loss, least, most = check.loss
    within = f"within {margin:g} point{'' if margin == 1 else 's'}"
    if most < margin:
        said = f"as good as the model, {within}"
    elif least > 0:
        said = "worse than the model"
    else:
        said = f"not shown to be as good as the model, {within}"
        said += "" if check.otherwise else ", for want of test pictures"
    verb = "loses"
    if loss < 0:
        verb, loss, least, most = "gains", -loss, -most, -least
    flips = check.versus_model
    return (
        f"{check.precision}: {said}. It {verb} {loss:z.1f} points of top-1 [{least:z.1f}, {most:z.1f}]: of "
        f"{flips.pictures:,} test pictures it answers {check.otherwise:,} otherwise, {flips.only_first:,} of them "
        f"right where the model is wrong, and {flips.only_second:,} wrong where it is right"
    )


def _told(task: str, path: Path, *args: str) -> dict[str, Any]:
    told = json.loads(processes.fresh(_MEASURING, task, str(path), *args))
    if told["imported"] and contract.read(path).contract.precision != "keras":
        raise RuntimeError(f"{_MEASURING} imported {', '.join(told['imported'])}, which no device has")
    return told
