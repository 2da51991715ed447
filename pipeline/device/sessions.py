"""What runs a file: LiteRT or ONNX Runtime, which import no TensorFlow, or Keras for a file of its own."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pipeline.shell.errors import UserError, first_line
from pipeline.shell.progress import quiet_stderr

if TYPE_CHECKING:
    from pipeline.device.contract import DeviceFile


class Session(Protocol):
    """uint8 (1, side, side, 3) -> probabilities, float32 (classes,); one call at a time.

    Attributes:
        shapes: what it says of itself: the shape of a picture, its type, and the shape of an answer.
    """

    shapes: tuple[Any, ...]

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """The answer."""


@dataclass(frozen=True)
class Runtime:
    """A library that runs files.

    Attributes:
        name: for people; package: as it is installed.
        load: imports it.
        make: of a file, with so many threads.
        has_threads: whether a session has as many threads as are asked for; one that has not takes all cores.
    """

    name: str
    package: str
    load: Callable[[], object]
    make: Callable[[DeviceFile, int], Session]
    has_threads: bool = True

    def require(self, path: str | Path) -> None:
        """Imports it, to run this file. Raises UserError where it is not installed."""
        try:
            with quiet_stderr():
                self.load()
        except ImportError as error:
            raise UserError(
                f"wanted the package {self.package}, to run {path}. Received: {first_line(error)}. "
                f"Try: uv pip install {self.package}, where there is one for this system"
            ) from error

    def opened(self, file: DeviceFile, threads: int) -> Session:
        """Raises UserError where it is not installed, or does not take the file."""
        self.require(file.path)
        try:
            with quiet_stderr():  # it tells which kernels it takes
                return self.make(file, threads)
        except Exception as error:  # ONNX Runtime's kinds have no name of their own, and Keras raises a dozen
            raise UserError(
                f"wanted a file that {self.name} runs. Received: {file.path} ({first_line(error)}). "
                f"Try: python -m pipeline.export, or a newer {self.package}"
            ) from error


def runtime_of(precision: str) -> Runtime:
    """Of a file of this format."""
    return {"onnx": _ONNX, "keras": _KERAS}.get(precision, _LITERT)


class _LiteRT:
    def __init__(self, file: DeviceFile, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._run = Interpreter(model_content=file.content, num_threads=threads)
        self._run.allocate_tensors()
        picture, answer = self._run.get_input_details()[0], self._run.get_output_details()[0]
        self.shapes = (*picture["shape"], np.dtype(picture["dtype"]).name, *answer["shape"])
        self._picture, self._answer = picture["index"], answer["index"]
        self._scale, self._zero = answer["quantization"]

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        self._run.set_tensor(self._picture, picture)
        self._run.invoke()
        answer: np.ndarray = self._run.get_tensor(self._answer)[0]
        if answer.dtype == np.float32:
            return answer
        return ((answer.astype(np.float32) - self._zero) * self._scale).astype(np.float32)


class _Onnx:
    def __init__(self, file: DeviceFile, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._run = onnxruntime.InferenceSession(file.content, options, providers=["CPUExecutionProvider"])
        (picture,), (answer,) = self._run.get_inputs(), self._run.get_outputs()
        kind = picture.type.removeprefix("tensor(").removesuffix(")")
        self.shapes = (*picture.shape, kind, *answer.shape)
        self._names = picture.name, answer.name

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        given, wanted = self._names
        answer: np.ndarray = self._run.run([wanted], {given: picture})[0][0]
        return answer


class _Keras:
    def __init__(self, file: DeviceFile, _threads: int) -> None:
        import keras

        with tempfile.TemporaryDirectory() as folder:  # what was checked, under the ending that Keras goes by
            path = Path(folder, "model.keras")
            path.write_bytes(file.content)
            self._model = keras.saving.load_model(path)
        picture, side = self._model.input, file.contract.side  # it takes pictures of any size
        free = (side if wanted is None else wanted for wanted in picture.shape[1:])
        self.shapes = (1, *free, picture.dtype, 1, self._model.output_shape[-1])

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        answer: np.ndarray = self._model.predict_on_batch(picture)[0]
        return answer


def _load_keras() -> None:
    from pipeline.networks import devices

    devices.set_up()
    importlib.import_module("keras")


_LITERT = Runtime("LiteRT", "ai-edge-litert", partial(importlib.import_module, "ai_edge_litert.interpreter"), _LiteRT)
_ONNX = Runtime("ONNX Runtime", "onnxruntime", partial(importlib.import_module, "onnxruntime"), _Onnx)
_KERAS = Runtime("Keras", "tensorflow", _load_keras, _Keras, has_threads=False)
