"""What runs a file: LiteRT or ONNX Runtime, which import no TensorFlow, or Keras for a file of its own."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pipeline.shell.errors import UserError, first_line
from pipeline.shell.progress import quiet_stderr

if TYPE_CHECKING:
    from pipeline.device.contract import DeviceFile


class Session(Protocol):
    """uint8 (1, side, side, 3) -> probabilities, float32 (classes,); one call at a time.

    Attributes:
        told: what it says of its input and output: the shape of a picture, its type, and the shape of an answer.
    """

    told: tuple[Any, ...]

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """The answer."""


@dataclass(frozen=True)
class Runtime:
    """A library that runs files.

    Attributes:
        name: for people; package: as it is installed; module: as it is imported.
        make: of a file, with so many threads.
        side_by_side: whether it is faster by several sessions of one thread than by one session of several.
    """

    name: str
    package: str
    module: str
    make: Callable[[DeviceFile, int], Session]
    side_by_side: bool = True

    def load(self, file: DeviceFile) -> None:
        """Imports it. Raises UserError where it is not installed."""
        try:
            with quiet_stderr():
                importlib.import_module(self.module)
        except ImportError as error:
            raise UserError(
                f"wanted the package {self.package}, to run {file.path}. Received: {first_line(error)}. "
                f"Try: uv pip install {self.package}, where there is one for this system"
            ) from error

    def opened(self, file: DeviceFile, threads: int) -> Session:
        """Raises UserError where it is not installed, or does not take the file."""
        self.load(file)
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
        self.told = (*picture["shape"], np.dtype(picture["dtype"]).name, *answer["shape"])
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
        self.told = (*picture.shape, kind, *answer.shape)
        self._names = picture.name, answer.name

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        given, wanted = self._names
        answer: np.ndarray = self._run.run([wanted], {given: picture})[0][0]
        return answer


class _Keras:
    def __init__(self, file: DeviceFile, _threads: int) -> None:
        from pipeline.networks import devices

        devices.set_up()
        import keras

        self._model = keras.saving.load_model(file.path)
        side = file.contract.side  # it takes pictures of any size
        self.told = (1, side, side, 3, self._model.input.dtype, 1, self._model.output_shape[-1])

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        answer: np.ndarray = self._model.predict_on_batch(picture)[0]
        return answer


_LITERT = Runtime("LiteRT", "ai-edge-litert", "ai_edge_litert.interpreter", _LiteRT)
_ONNX = Runtime("ONNX Runtime", "onnxruntime", "onnxruntime", _Onnx)
_KERAS = Runtime("Keras", "keras", "pipeline.networks.devices", _Keras, side_by_side=False)
