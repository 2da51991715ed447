"""Networks without their heads: pictures in, pooled features out; and a head's way back onto them.

Which networks there are stands in pipeline/config/architectures.py. Weights: `imagenet` (Keras' own for that backbone,
alpha and resolution, looked for under $KERAS_HOME/models first), `tiny` (shipped with this package), `none` (random, to
be trained from scratch) or a FILE.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from filelock import FileLock

from pipeline.config import Cell, check_weights
from pipeline.shell.errors import UserError, first_line

# By what preprocess_input makes of 0 and 255; a part of every feature table's key: change it with `preprocess`.
_PREPROCESSING = {(-1.0, 1.0): "resize-bilinear,mobilenet-1", (0.0, 255.0): "resize-bilinear"}

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
        model: float32 (n, resolution, resolution, 3), preprocessed -> float32 (n, d); MobileNet's d = int(1024 alpha).
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
        return Backbone(cell, weights, _without_classifier(cell, whole_model(cell)), None)
    if weights == "imagenet":
        return _split(cell, weights, _imagenet(cell))
    return _from_file(cell, weights, _file(cell, weights))


def require_file(cells: Sequence[Cell], weights: str) -> None:
    """Raises UserError, before any picture is fetched, where a weights FILE is not of the network of these cells."""
    if weights not in ("imagenet", "tiny", "none"):
        for cell in {cell.alpha: cell for cell in cells}.values():  # the resolution changes no weight
            load(cell, weights)


def preprocess(image: tf.Tensor, cell: Cell) -> tf.Tensor:
    """uint8 (..., h, w, 3) -> float32 (..., resolution, resolution, 3), as Keras' preprocess_input of the backbone.

    Resized first, as the replication did it.
    """
    resized = tf.image.resize(image, (cell.resolution, cell.resolution))
    divisor, low = _scaling(cell)
    return resized / divisor + low


def preprocessing(cell: Cell) -> str:
    """What `preprocess` does but for the resolution."""
    return _PREPROCESSING[cell.architecture.pixels]


def with_head(backbone: Backbone, kernel: np.ndarray, bias: np.ndarray) -> keras.Model:
    """Backbone, preprocessing and a dense head as one model: uint8 (n, h, w, 3) of any size -> probabilities (n, C).

    Args:
        kernel: (d, C); bias: (C,).
    """
    resolution = backbone.cell.resolution
    divisor, low = _scaling(backbone.cell)
    pictures = keras.Input((None, None, 3), dtype="uint8", name="pictures")
    # Scaled before it is resized: Keras' Resizing would round a uint8 picture; bilinear weights add up to 1, so the
    # order does not matter to the result.
    scaled = keras.layers.Rescaling(1 / divisor, offset=low, name="scale")(pictures)
    resized = keras.layers.Resizing(resolution, resolution, name="resize")(scaled)
    # Said here, or a call that does not say it would train batch normalisation, and be answered by the batch's own
    # averages: Keras 3.15 hands Resizing's default, training=True, to whatever comes after it.
    features = backbone.model(resized, training=False)
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
    half = in_precision(backbone, "float16")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"part-{path.name}")  # Keras wants the ending
    half.save_weights(beside)
    beside.replace(path)


def in_precision(backbone: keras.Model, policy: str) -> keras.Model:
    """A copy whose layers follow a dtype policy of Keras: float16, or mixed_float16 with weights in float32."""

    def recast(layer: keras.Layer | keras.Operation) -> keras.Layer | keras.Operation:
        """A layer with the policy of its own."""
        # MobileNet V3 adds and multiplies outside of layers, by operations that have no type of their own.
        own = {"dtype": policy} if isinstance(layer, keras.Layer) else {}
        return type(layer).from_config({**layer.get_config(), **own})

    copy = keras.models.clone_model(backbone, clone_function=recast)
    copy.set_weights(backbone.get_weights())
    return copy


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


def _scaling(cell: Cell) -> tuple[float, float]:
    """(divisor, offset) from a pixel's 0 to 255 to what the backbone wants."""
    low, high = cell.architecture.pixels
    return 255 / (high - low), low


def whole_model(cell: Cell, weights: str | None = None, resolution: int = 0) -> keras.Model:
    """Keras' model with its 1000-way head, for the cell's resolution or another."""
    side, known = resolution or cell.resolution, cell.architecture
    width = {"alpha": cell.alpha} if known.has_multiplier else {}
    return getattr(keras.applications, known.constructor)(input_shape=(side, side, 3), weights=weights, **width)


def _without_classifier(cell: Cell, whole: keras.Model) -> keras.Model:
    """Cuts Keras' model where its classifier begins, behind the pooling; its dropout falls away, too."""
    end = whole.layers.index(whole.get_layer(cell.architecture.classifier))
    before = (layer for layer in reversed(whole.layers[:end]) if not isinstance(layer, keras.layers.Dropout))
    features = keras.layers.Flatten(name=_POOLED)(next(before).output)  # some keep the map's sides, 1 x 1
    return keras.Model(whole.input, features, name=cell.name)


def _from_cache(cell: Cell, resolution: int, file: Path) -> keras.Model:
    """Keras' model of `file`, which is downloaded where it is missing."""
    if file.is_file():
        # By its path, and without a lock: Keras would fetch it again where it may not write to the folder.
        with contextlib.suppress(OSError):  # cut off, as while another process downloads it: Keras does so in place
            return whole_model(cell, str(file), resolution)
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{file}.lock"):
        return whole_model(cell, "imagenet", resolution)


def _imagenet(cell: Cell) -> keras.Model:
    """Keras' model with its 1000-way head; one file serves the features and head_init alike."""
    trained_at = cell.architecture.trained_at(cell.resolution)
    file = cell.architecture.file_for(cell.alpha, cell.resolution)
    folder = _keras_home() / "models"
    try:
        whole = _from_cache(cell, trained_at, folder / file)
    # Keras raises a plain Exception where a download fails, and OSError or ValueError where a cached file is damaged.
    except Exception as error:
        raise UserError(
            f"wanted Keras' ImageNet weights {file}. Received: {first_line(error)}. Try: connect to the network, "
            f"or put that file (from keras-applications) into {folder}, removing a damaged one"
        ) from error
    if trained_at == cell.resolution:
        return whole
    resized = whole_model(cell)
    resized.set_weights(whole.get_weights())
    return resized


def _keras_home() -> Path:
    """Keras' own folder, which is below /tmp for who has no home that can be written."""
    home = Path(os.path.expanduser("~"))
    return Path(os.environ.get("KERAS_HOME") or (home if os.access(home, os.W_OK) else Path("/tmp")) / ".keras")


def _from_file(cell: Cell, weights: str, path: Path) -> Backbone:
    reasons = []
    whole = whole_model(cell)
    bare = _without_classifier(cell, whole)
    # The whole model first: Keras would read a .weights.h5 of one into a model without its head, and drop the head.
    for model in (bare,) if weights == "tiny" else (whole, bare):
        try:
            with warnings.catch_warnings(action="ignore"):  # about every layer of a file that does not fit
                model.load_weights(path)
        except (ValueError, OSError, KeyError) as error:
            reasons.append(first_line(error).partition(". ")[0])  # and not an example of the many objects
            continue
        return _split(cell, weights, whole) if model is whole else Backbone(cell, weights, model, None)
    raise UserError(
        f"wanted weights of {cell.backbone}, alpha {cell.alpha}, with or without the 1000-way head, in {path}. "
        f"Received: {'; '.join(dict.fromkeys(reasons))}. Try: the backbone and alpha that the file is of"
    )


def _split(cell: Cell, weights: str, whole: keras.Model) -> Backbone:
    """Features before, ImageNet's classifier after."""
    kernel, bias = whole.get_layer(cell.architecture.classifier).get_weights()  # (d, 1000), or as a 1 x 1 convolution
    classifier = Classifier(kernel.reshape(-1, len(bias)), bias)
    return Backbone(cell, weights, _without_classifier(cell, whole), classifier)
