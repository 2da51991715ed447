"""What a file answers, how long it takes and what memory: measured in a process that does nothing else.

    python -m pipeline.device.measuring answers FILE PICTURES.npy ANSWERS.npy
    python -m pipeline.device.measuring latencies FILE FORMAT THREADS...

Both print JSON, and which of FORBIDDEN were imported, for neither is on a device.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.shell import processes

if TYPE_CHECKING:
    from pipeline.device.contract import DeviceFile

RUNS = 100  # timed, of one picture at a time
MOST_SECONDS = 5.0  # of all of them; there are fewer where the network is slow
WARM_UP = 5  # runs before them, the first apart
FORBIDDEN = ("tensorflow", "keras")


def answers(path: str, pictures: str, out: str) -> dict[str, object]:
    """Writes the probabilities, float32 (n, classes), of uint8 (n, side, side, 3) in `pictures`, to `out`."""
    from pipeline.device import contract, running

    begun = time.perf_counter()
    runner = running.Runner(contract.read(path))
    np.save(out, runner.all(np.load(pictures, mmap_mode="r")))
    return {"seconds": time.perf_counter() - begun, "lanes": runner.lanes}


def latencies(path: str, precision: str, *threads: str) -> dict[str, object]:
    """Of one picture: ms to make the file ready, of the first run and of later ones, and bytes of memory."""
    from pipeline.device import contract, sessions

    sessions.runtime_of(precision).require(path)  # so that its own memory and time do not count
    before = peak_memory()
    file = contract.read(path)
    return {"latencies": [{**_latency(file, int(count)), "memory": peak_memory() - before} for count in threads]}


def _latency(file: DeviceFile, threads: int) -> dict[str, float]:
    from pipeline.device import running

    begun = time.perf_counter()
    runner = running.Runner(file, lanes=1, threads=threads)
    init = time.perf_counter() - begun
    side = file.contract.side
    picture = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    first, *_warm = (_timed(runner, picture) for _ in range(1 + WARM_UP))
    taken: list[float] = []
    while len(taken) < RUNS and (sum(taken) < MOST_SECONDS or not taken):
        taken.append(_timed(runner, picture))
    median, slow, slowest = np.quantile(taken, [0.5, 0.9, 0.95])
    return {
        **{"threads": threads, "runs": len(taken), "init_ms": 1e3 * init, "first_ms": 1e3 * first},
        **{"p50_ms": 1e3 * median, "p90_ms": 1e3 * slow, "p95_ms": 1e3 * slowest},
    }


def peak_memory() -> int:
    """The most bytes that this process has had in memory so far."""
    try:
        # Of this program alone: what getrusage tells begins with the memory of the process that started it.
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    except (OSError, StopIteration):  # no Linux
        unit = 1 if sys.platform == "darwin" else 1024
        return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _timed(runner: Callable[[np.ndarray], np.ndarray], picture: np.ndarray) -> float:
    begun = time.perf_counter()
    runner(picture)
    return time.perf_counter() - begun


def main(args: Sequence[str]) -> None:
    """See above."""
    task, *rest = args
    found = answers(*rest) if task == "answers" else latencies(*rest)
    found["imported"] = [name for name in FORBIDDEN if name in sys.modules]
    print(json.dumps(found))


if __name__ == "__main__":
    processes.serve(main)
