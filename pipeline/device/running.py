"""Runs a file by LiteRT, as a device does; imports neither TensorFlow nor Keras."""

from __future__ import annotations

import queue
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

import numpy as np

from pipeline.datasets import decoding, resizing
from pipeline.device.contract import DeviceFile
from pipeline.shell.cores import cores
from pipeline.shell.errors import UserError, first_line
from pipeline.shell.progress import quiet_stderr

Given = TypeVar("Given")

MOST_LANES = 8  # interpreters; each has a memory of its own


class Runner:
    """Answers pictures, several at once: each lane is an interpreter with one thread.

    Args:
        file: what to run.
        lanes: interpreters; 0: one for each core that is ours.
        threads: of each of them.

    Raises UserError where LiteRT does not take the file, or it is of other inputs and outputs than its contract.
    """

    def __init__(self, file: DeviceFile, lanes: int = 0, threads: int = 1) -> None:
        self.file, self.lanes = file, lanes or min(cores(), MOST_LANES)
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(self.lanes):
            interpreter = _interpreter(file, threads)
            self._free.put(interpreter)
        picture, answer = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
        side, classes = file.contract.side, len(file.contract.class_names)
        given = (*picture["shape"], np.dtype(picture["dtype"]).name, *answer["shape"])
        wanted = (1, side, side, 3, "uint8", 1, classes)
        if given != wanted:
            raise UserError(
                f"wanted a file of one uint8 picture of {side} px and {classes} probabilities. Received: {file.path}, "
                f"which takes and gives {', '.join(map(str, given))}. Try: python -m pipeline.export"
            )
        self._picture, self._answer = picture["index"], answer["index"]
        self._scale, self._zero = answer["quantization"]

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """uint8 (side, side, 3) -> probabilities, float32 (classes,); waits for a free lane."""
        interpreter = self._free.get()
        try:
            interpreter.set_tensor(self._picture, picture[None])
            interpreter.invoke()
            answer = interpreter.get_tensor(self._answer)[0]
        finally:
            self._free.put(interpreter)
        if answer.dtype == np.float32:
            return answer
        return ((answer.astype(np.float32) - self._zero) * self._scale).astype(np.float32)

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


def _interpreter(file: DeviceFile, threads: int) -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise UserError(
            f"wanted the package ai-edge-litert, to run {file.path}. Received: {first_line(error)}. "
            "Try: uv pip install ai-edge-litert, where there is one for this system"
        ) from error
    try:
        with quiet_stderr():  # it tells which kernels it takes
            interpreter = Interpreter(model_content=file.content, num_threads=threads)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"wanted a file that LiteRT runs. Received: {file.path} ({first_line(error)}). "
            "Try: python -m pipeline.export, or a newer ai-edge-litert"
        ) from error
    return interpreter
