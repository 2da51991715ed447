"""The one decoder inside TensorFlow's graphs: the pixels are those of decoding.py, which knows the formats.

TensorFlow decodes plain JPEGs and PNGs, in threads of its own; the header tells which are plain. Pillow decodes all
else: what its EXIF tag turns, what has more than eight bits, a palette or transparent parts, CMYK, and every other
format. On what both decode they agree to the last bit.

Large JPEGs are decoded to a half, a quarter or an eighth of their sides, by the file's own size alone: see
decoding.DRAFT_SIDE.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import tensorflow as tf

from pipeline.datasets import decoding

_RATIOS = (1, 2, 4, 8)  # by which libjpeg scales down while it decodes
_SEARCHED = 2**17  # bytes, in which an EXIF tag or a transparent colour is told, where there is one


def decode(encoded: tf.Tensor) -> tf.Tensor:
    """Encoded bytes -> uint8 (h, w, 3); works inside a graph.

    Raises tf.errors.OpError where they are no whole picture, or of a kind that nothing installed here reads; outside of
    a graph it may be a ValueError.
    """
    # The accurate transform is Pillow's; TensorFlow's default is up to five of 255 away, and no faster.
    jpeg = partial(tf.io.decode_jpeg, encoded, channels=3, dct_method="INTEGER_ACCURATE")
    ways = [partial(_by_pillow, encoded), partial(tf.io.decode_png, encoded, channels=3)]
    picture = tf.switch_case(_way(encoded), [*ways, *(partial(jpeg, ratio=ratio) for ratio in _RATIOS)])
    picture.set_shape((None, None, 3))
    return picture


def is_plain(encoded: tf.Tensor) -> tf.Tensor:
    """Whether TensorFlow's picture is Pillow's, bool (): a JPEG of one or three components, or a PNG of eight bits
    without a palette, neither with an EXIF tag nor with transparent parts.
    """
    return _way(encoded) > 0


def _way(encoded: tf.Tensor) -> tf.Tensor:
    """Which of the ways in `decode` is this picture's, int32 (): 0 is Pillow, 1 a plain PNG, then a plain JPEG in each
    of _RATIOS.

    In TensorFlow's own operations: asked of Python, picture by picture, this would cost a third of the decoding.
    """
    return tf.cond(
        tf.io.is_jpeg(encoded),
        lambda: _jpeg_way(encoded),
        lambda: tf.cond(
            _begins_as_png(encoded), lambda: tf.cast(_is_plain_png(encoded), tf.int32), lambda: tf.constant(0)
        ),
    )


def _jpeg_way(encoded: tf.Tensor) -> tf.Tensor:
    """0, or 2 to 5."""
    shape = tf.io.extract_jpeg_shape(encoded)
    plain = ~_has(encoded, r"Exif\x00") & (shape[2] != 4)
    least = [decoding.DRAFT_SIDE * ratio for ratio in _RATIOS[1:]]  # as Pillow's `draft` has it
    enough = tf.reduce_min(shape[:2]) >= least
    return tf.where(plain, 2 + tf.reduce_sum(tf.cast(enough, tf.int32)), 0)


def _by_pillow(encoded: tf.Tensor) -> tf.Tensor:
    return tf.numpy_function(lambda given: decoding.read(_bytes(given)), [encoded], tf.uint8, stateful=False)


def _bytes(given: bytes | np.ndarray) -> bytes:
    """TensorFlow hands over bytes in a graph, and outside of one an array of them."""
    return given.item() if isinstance(given, np.ndarray) else given


def _begins_as_png(encoded: tf.Tensor) -> tf.Tensor:
    return tf.strings.substr(encoded, 0, 8) == b"\x89PNG\r\n\x1a\n"


def _is_plain_png(encoded: tf.Tensor) -> tf.Tensor:
    """By its header's bit depth and colour type (PNG specification, section 11.2.2)."""
    depth_and_colours = tf.strings.substr(encoded, 24, 2)
    grey_or_rgb = (depth_and_colours == b"\x08\x00") | (depth_and_colours == b"\x08\x02")
    return grey_or_rgb & ~_has(encoded, "tRNS|eXIf")


def _has(encoded: tf.Tensor, pattern: str) -> tf.Tensor:
    """Whether a regular expression is found in the first bytes; \\C is RE2's for any byte."""
    return tf.strings.regex_full_match(tf.strings.substr(encoded, 0, _SEARCHED), rf"\C*(?:{pattern})\C*")
