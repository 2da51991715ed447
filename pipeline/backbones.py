"""MobileNet v1 without its head: pictures in, pooled features out; and the head's way back onto it.

Weights: `imagenet` (Keras' own for that alpha and resolution, looked for under $KERAS_HOME/models first), `tiny`
(shipped with this package), `none` (random, to be trained from scratch) or a FILE.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from filelock import FileLock

from pipeline.config import IMAGENET_ALPHAS, Cell, check_weights
from pipeline.errors import UserError, first_line

PREPROCESSING = "resize-bilinear,mobilenet-1"  # a part of every feature table's key: change it with `preprocess`
IMAGENET_CLASSES = 1000

_HERE = Path(__file__).parent
_POOLED = "features"


@dataclass(frozen=True)
class Classifier:
    """ImageNet's own head.

    Attributes:
        kernel: float32 (d, 1000).
        bias: float32 (1000,).
    """

    kernel: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True)
class Backbone:
    """Convolutions with weights.

    Attributes:
        model: float32 (n, resolution, resolution, 3) in [-1, 1] -> float32 (n, d), d = int(1024 alpha).
        classifier: ImageNet's head, where the weights come with one.
    """

    cell: Cell
    weights: str
    model: keras.Model
    classifier: Classifier | None

    @property
    def digest(self) -> str:
        """sha256 over every weight, so that a feature table knows which backbone made it."""
        return digest(self.model)


def load(cell: Cell, weights: str) -> Backbone:
    """Builds the backbone of `cell`.

    Raises:
        UserError: the weights do not exist for this cell, cannot be fetched, or do not fit.
    """
    check_weights(cell, weights)
    if weights == "none":
        return Backbone(cell, weights, _without_head(cell), None)
    if weights == "imagenet":
        return _split(cell, weights, _imagenet(cell))
    return _from_file(cell, weights, _file(cell, weights))


def preprocess(image: tf.Tensor, resolution: int) -> tf.Tensor:
    """uint8 (..., h, w, 3) -> float32 (..., resolution, resolution, 3) in [-1, 1], as the report did it."""
    resized = tf.image.resize(image, (resolution, resolution))
    return keras.applications.mobilenet.preprocess_input(resized)


def with_head(backbone: keras.Model, kernel: np.ndarray, bias: np.ndarray) -> keras.Model:
    """Backbone, preprocessing and a dense head as one model: uint8 (n, h, w, 3) of any size -> probabilities (n, C).

    Args:
        kernel: (d, C); bias: (C,).
    """
    resolution = backbone.input_shape[1]
    pictures = keras.Input((None, None, 3), dtype="uint8", name="pictures")
    # Scaled before it is resized: Keras' Resizing would round a uint8 picture; bilinear weights add up to 1, so the
    # order does not matter to the result.
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1, name="scale")(pictures)
    resized = keras.layers.Resizing(resolution, resolution, name="resize")(scaled)
    features = backbone(resized)
    head = keras.layers.Dense(len(bias), activation="softmax", name="head")
    model = keras.Model(pictures, head(features), name="classifier")
    head.set_weights([kernel, bias])
    return model


def parts(model: keras.Model) -> tuple[keras.Model, np.ndarray, np.ndarray]:
    """What `with_head` joined: backbone, kernel (d, C), bias (C,)."""
    kernel, bias = model.get_layer("head").get_weights()
    return next(layer for layer in model.layers if isinstance(layer, keras.Model)), kernel, bias


def imagenet_columns(class_names: tuple[str, ...]) -> np.ndarray:
    """For each class the column of ImageNet's classifier, or -1: int (C,), matched by the leading WordNet id."""
    wnids = (_HERE / "imagenet_wnids.txt").read_text().split()
    column_of = {wnid: column for column, wnid in enumerate(wnids)}
    matches = (re.match(r"n\d{8}", name) for name in class_names)
    return np.array([column_of.get(match.group(), -1) if match else -1 for match in matches])


def export(backbone: keras.Model, path: Path) -> None:
    """Writes the weights as float16 to a .weights.h5 file that `load` reads as weights FILE."""
    half = keras.models.clone_model(
        backbone, clone_function=lambda layer: type(layer).from_config({**layer.get_config(), "dtype": "float16"})
    )
    half.set_weights(backbone.get_weights())
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"part-{path.name}")  # Keras wants the ending
    half.save_weights(beside)
    beside.replace(path)


def weights_identity(cell: Cell, weights: str) -> str:
    """What tells two backbones apart before they are loaded: imagenet, none, or a digest of the file's contents."""
    if weights in ("imagenet", "none"):
        return weights
    with _file(cell, weights).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(model: keras.Model) -> str:
    """sha256 hex over a model's weights and their shapes."""
    whole = hashlib.sha256()
    for weight in model.get_weights():
        whole.update(str(weight.shape).encode())
        whole.update(np.ascontiguousarray(weight).data)
    return whole.hexdigest()


def _file(cell: Cell, weights: str) -> Path:
    return _HERE / "weights" / f"mobilenet_{cell.alpha}.weights.h5" if weights == "tiny" else Path(weights)


def _without_head(cell: Cell) -> keras.Model:
    return keras.applications.MobileNet(
        input_shape=(cell.resolution, cell.resolution, 3),
        alpha=cell.alpha,
        include_top=False,
        pooling="avg",
        weights=None,
        name=cell.name,
    )


def _with_imagenet_head(cell: Cell) -> keras.Model:
    return keras.applications.MobileNet(
        input_shape=(cell.resolution, cell.resolution, 3), alpha=cell.alpha, weights=None, classes=IMAGENET_CLASSES
    )


def _one_download(file: Path) -> contextlib.AbstractContextManager[object]:
    """Keras downloads straight to the final name: another process must not take half of it for the whole."""
    lock = Path(f"{file}.lock")
    if file.exists() and not lock.exists():
        return contextlib.nullcontext()
    file.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(lock)


def _imagenet(cell: Cell) -> keras.Model:
    """Keras' model with its 1000-way head; one file serves the features and head_init alike."""
    alpha = dict(zip(IMAGENET_ALPHAS, ("2_5", "5_0", "7_5", "1_0"), strict=True))[cell.alpha]
    file = f"mobilenet_{alpha}_{cell.resolution}_tf.h5"
    folder = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "models"
    try:
        with _one_download(folder / file):
            return keras.applications.MobileNet(
                input_shape=(cell.resolution, cell.resolution, 3), alpha=cell.alpha, weights="imagenet"
            )
    # Keras raises a plain Exception where a download fails, and OSError or ValueError where a cached file is damaged.
    except Exception as error:
        raise UserError(
            f"wanted Keras' ImageNet weights {file}. Received: {first_line(error)}. Way out: connect to the network, "
            f"or put that file (from keras-applications) into {folder}, removing a damaged one"
        ) from error


def _from_file(cell: Cell, weights: str, path: Path) -> Backbone:
    reasons = []
    # The whole model first: Keras would read a .weights.h5 of one into a model without its head, and drop the head.
    for build in (_with_imagenet_head, _without_head):
        model = build(cell)
        try:
            with warnings.catch_warnings(action="ignore"):  # about every layer of a file that does not fit
                model.load_weights(path)
        except (ValueError, OSError, KeyError) as error:
            reasons.append(first_line(error))
            continue
        return _split(cell, weights, model) if build is _with_imagenet_head else Backbone(cell, weights, model, None)
    raise UserError(
        f"wanted weights of MobileNet v1, alpha {cell.alpha}, with or without the 1000-way head, in {path}. "
        f"Received: {'; '.join(reasons)}"
    )


def _split(cell: Cell, weights: str, model: keras.Model) -> Backbone:
    """Cuts Keras' full model behind its pooling: features before, ImageNet's classifier after."""
    pooled = keras.layers.GlobalAveragePooling2D(name=_POOLED)(model.get_layer("conv_pw_13_relu").output)
    kernel, bias = model.get_layer("conv_preds").get_weights()  # a 1 x 1 convolution: (1, 1, d, 1000), (1000,)
    backbone = keras.Model(model.input, pooled, name=cell.name)
    return Backbone(cell, weights, backbone, Classifier(kernel[0, 0], bias))
