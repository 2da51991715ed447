"""Runs a file as a device does; imports neither TensorFlow nor Keras, but for Keras' own files."""

from __future__ import annotations

import queue
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

import numpy as np

from pipeline.datasets import decoding, resizing
from pipeline.device import sessions
from pipeline.device.contract import DeviceFile
from pipeline.device.sessions import Session
from pipeline.shell.cores import cores
from pipeline.shell.errors import UserError

Given = TypeVar("Given")

MOST_LANES = 8  # sessions; each has a memory of its own


class Runner:
    """Answers pictures, several at once: each lane is a session with one thread.

    Args:
        file: what to run.
        lanes: sessions; 0: one for each core that is ours, or a single one where its runtime takes all of them.
        threads: of each of them.

    Raises UserError where its runtime does not take the file, or it is of other inputs and outputs than its contract.
    """

    def __init__(self, file: DeviceFile, lanes: int = 0, threads: int = 1) -> None:
        runtime = sessions.runtime_of(file.contract.precision)
        self.file, self.lanes = file, lanes or (min(cores(), MOST_LANES) if runtime.has_threads else 1)
        self._free: queue.SimpleQueue[Session] = queue.SimpleQueue()
        for _ in range(self.lanes):
            session = runtime.opened(file, threads)
            self._free.put(session)
        side, classes = file.contract.side, len(file.contract.class_names)
        if session.shapes != (1, side, side, 3, "uint8", 1, classes):
            raise UserError(
                f"wanted a file of one uint8 picture of {side} px and {classes} probabilities. Received: {file.path}, "
                f"which takes and gives {', '.join(map(str, session.shapes))}. Try: python -m pipeline.export"
            )

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """uint8 (side, side, 3) -> probabilities, float32 (classes,); waits for a free lane."""
        session = self._free.get()
        try:
            return session(picture[None])
        finally:
            self._free.put(session)

    def shown(self, encoded: bytes) -> np.ndarray:
        """An encoded picture as the network wants it: uint8 (side, side, 3).

        Raises ValueError, in one line, where it is no whole picture.
        """
        return resizing.to_bytes(decoding.read(encoded), self.file.contract.side)

    def all(self, pictures: np.ndarray) -> np.ndarray:
        """uint8 (n, side, side, 3) -> float32 (n, classes), by all lanes."""
        answers = np.empty((len(pictures), len(self.file.contract.class_names)), np.float32)
        for index, future in enumerate(ahead(self, pictures, self.lanes)):
            answers[index] = future.result()
        return answers


def ahead(task: Any, given: Iterable[Given], threads: int) -> Iterator[Future[Any]]:
    """task(each) of everything that is given, in order; a few are computed ahead in so many threads."""
    rest = iter(given)
    with ThreadPoolExecutor(threads) as pool:
        waiting = [pool.submit(task, one) for one in islice(rest, 2 * threads)]
        while waiting:
            yield waiting.pop(0)
            waiting += [pool.submit(task, one) for one in islice(rest, 1)]


def top(probabilities: np.ndarray, count: int) -> np.ndarray:
    """The numbers of the most probable classes, the likeliest first; of equal ones that of lower number."""
    return np.argsort(-probabilities, kind="stable")[:count]
