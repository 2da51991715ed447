"""The networks that a cell can be of: one row each, with what Keras' constructor, weights and top want.

Plain values, so that a configuration is checked without TensorFlow; pipeline/networks/backbones.py builds what stands
here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

BackboneName = Literal[
    "mobilenet", "inception_v3", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "efficientnetv2_b0"
]

IMAGENET_CLASSES = 1000

_SIGNED = (-1.0, 1.0)
_RAW = (0.0, 255.0)  # Keras has put the scaling into these models


@dataclass(frozen=True)
class Architecture:
    """One network of keras.applications.

    Attributes:
        constructor: its name there.
        alphas: width multipliers with ImageNet weights; a single 1.0 where the network has no multiplier.
        resolutions: input sides in px at which the ImageNet weights are used, the usual one first.
        smallest: px, the least input side that Keras builds it for.
        pixels: what preprocess_input makes of the pixel values 0 and 255.
        classifier: the layer that makes ImageNet's 1000 logits, linear; what it is given, pooled, are the features.
        weights_file: as Keras names it, with `{alpha}` (or `{tenths}`: 7_5 for 0.75, but 1_0) and `{resolution}` where
            there is one for each.
    """

    constructor: str
    alphas: tuple[float, ...]
    resolutions: tuple[int, ...]
    smallest: int
    pixels: tuple[float, float]
    classifier: str
    weights_file: str

    @property
    def has_multiplier(self) -> bool:
        """Whether the network comes in widths."""
        return len(self.alphas) > 1

    def trained_at(self, resolution: int) -> int:
        """The resolution of the ImageNet weights that serve `resolution`: Keras loads them at no other."""
        return resolution if "{resolution}" in self.weights_file else self.resolutions[0]

    def file_for(self, alpha: float, resolution: int) -> str:
        """The name of the ImageNet weights, whole model, under $KERAS_HOME/models."""
        tenths = f"{alpha if alpha == 1 else 10 * alpha:.1f}".replace(".", "_")
        return self.weights_file.format(alpha=float(alpha), tenths=tenths, resolution=resolution)


# From keras/src/applications of Keras 3.15. Inception V3 was trained at 299 px; at 224 px it stands beside the others.
# MobileNet V3's features are what conv_2 makes of the pooled maps, so that its logits are linear in them, as always.
ARCHITECTURES: dict[str, Architecture] = {
    "mobilenet": Architecture(
        constructor="MobileNet",
        alphas=(0.25, 0.5, 0.75, 1.0),
        resolutions=(224, 192, 160, 128),
        smallest=32,
        pixels=_SIGNED,
        classifier="conv_preds",
        weights_file="mobilenet_{tenths}_{resolution}_tf.h5",
    ),
    "inception_v3": Architecture(
        constructor="InceptionV3",
        alphas=(1.0,),
        resolutions=(299, 224),
        smallest=75,
        pixels=_SIGNED,
        classifier="predictions",
        weights_file="inception_v3_weights_tf_dim_ordering_tf_kernels.h5",
    ),
    "mobilenet_v2": Architecture(
        constructor="MobileNetV2",
        alphas=(0.35, 0.5, 0.75, 1.0, 1.3, 1.4),
        resolutions=(224, 192, 160, 128, 96),
        smallest=32,
        pixels=_SIGNED,
        classifier="predictions",
        weights_file="mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{alpha}_{resolution}.h5",
    ),
    "mobilenet_v3_small": Architecture(
        constructor="MobileNetV3Small",
        alphas=(0.75, 1.0),
        resolutions=(224,),
        smallest=32,
        pixels=_RAW,
        classifier="logits",
        weights_file="weights_mobilenet_v3_small_224_{alpha}_float.h5",
    ),
    "mobilenet_v3_large": Architecture(
        constructor="MobileNetV3Large",
        alphas=(0.75, 1.0),
        resolutions=(224,),
        smallest=32,
        pixels=_RAW,
        classifier="logits",
        weights_file="weights_mobilenet_v3_large_224_{alpha}_float.h5",
    ),
    "efficientnetv2_b0": Architecture(
        constructor="EfficientNetV2B0",
        alphas=(1.0,),
        resolutions=(224,),
        smallest=32,
        pixels=_RAW,
        classifier="predictions",
        weights_file="efficientnetv2-b0.h5",
    ),
}
