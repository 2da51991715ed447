"""The naive way: a frozen Keras model fitted on the pictures themselves, for each trial anew.

As in Keras' guide to transfer learning (https://keras.io/guides/transfer_learning): the base model in inference mode,
pooling, dropout and a dense layer behind it, and `fit` on pictures that tf.data decodes and resizes in every epoch.
"""

from __future__ import annotations

from pathlib import Path

import keras
import tensorflow as tf

from pipeline.datasets import reading
from pipeline.networks import backbones
from pipeline.networks.backbones import Backbone
from tests.bench.heads import CONFIG, Clock

TRAIN, VAL = 320, 64  # pictures of the part that is measured
EPOCHS = 2  # the first one compiles, and is discarded


def seconds_per_picture(folder: Path, backbone: Backbone) -> float:
    """Of an epoch, in which the training pictures are learned from and those of val are scored.

    Args:
        folder: holds train/<class>/*.jpg and test/<class>/*.jpg.
    """
    names = sorted(place.name for place in (folder / "train").iterdir())
    parts = [_spread(folder / name, count) for name, count in (("train", TRAIN), ("test", VAL))]
    train, val = (_pictures(part, names, backbone) for part in parts)
    model = _model(backbone, len(names))
    model.compile(keras.optimizers.Adam(CONFIG.learning_rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    clock = Clock()
    ticking = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: clock.tick())
    # Each pass shuffles the files anew.
    model.fit(train, validation_data=val, epochs=EPOCHS, shuffle=False, verbose=0, callbacks=[ticking])
    return clock.shortest() / sum(map(len, parts))


def _spread(folder: Path, count: int) -> list[Path]:
    """So many pictures of all classes, or all where they are fewer."""
    found = sorted(folder.glob("*/*.jpg"))
    return found[:: max(1, len(found) // count)][:count]


def _pictures(files: list[Path], names: list[str], backbone: Backbone) -> tf.data.Dataset:
    """Batches of (float32 (n, r, r, 3), int32 (n,))."""
    labels = [names.index(file.parent.name) for file in files]
    listed = tf.data.Dataset.from_tensor_slices(([str(file) for file in files], labels)).shuffle(len(files))
    decoded = listed.map(
        lambda path, label: (backbones.preprocess(reading.decode(tf.io.read_file(path)), backbone.cell), label),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    return decoded.batch(CONFIG.batch).prefetch(tf.data.AUTOTUNE)


def _model(backbone: Backbone, classes: int) -> keras.Model:
    base_model = backbone.model  # with its pooling
    base_model.trainable = False
    inputs = keras.Input(base_model.input_shape[1:])
    x = base_model(inputs, training=False)
    x = keras.layers.Dropout(CONFIG.dropout)(x)
    return keras.Model(inputs, keras.layers.Dense(classes, activation="softmax")(x))
