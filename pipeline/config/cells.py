"""The two multipliers, and which weights there are for them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.checks import require

BASE_RESOLUTION = 224  # px; rho is measured against it (Howard et al. 2017, section 3.4)
MIN_RESOLUTION = 32  # px; the smallest input that keras.applications.MobileNet accepts
IMAGENET_ALPHAS = (0.25, 0.5, 0.75, 1.0)  # Keras publishes ImageNet weights for these alone
IMAGENET_RESOLUTIONS = (128, 160, 192, 224)
TINY_ALPHAS = (0.25, 0.5)  # the two backbones that ship with the package
MOBILENET_WIDTH = 1024  # channels of the last layer at alpha = 1 (Howard et al. 2017, table 1)


@dataclass(frozen=True)
class Cell:
    """One combination of the two multipliers.

    Args:
        alpha: width multiplier, > 0 (Howard et al. 2017, section 3.3).
        resolution: input side in px, >= 32; rho = resolution / 224 (section 3.4).
    """

    alpha: float
    resolution: int

    def __post_init__(self) -> None:
        # int(alpha * 32) channels leave the first layer, so a smaller alpha would leave none.
        require(
            math.isfinite(self.alpha) and 1 / 32 <= self.alpha <= 4,
            "alpha between 0.03125 and 4",
            self.alpha,
            "the paper's are 0.25, 0.5, 0.75 and 1.0",
        )
        require(
            self.resolution >= MIN_RESOLUTION,
            f"a resolution of at least {MIN_RESOLUTION} px",
            self.resolution,
            "the paper's are 128, 160, 192 and 224",
        )

    @property
    def rho(self) -> float:
        """Resolution multiplier, resolution / 224."""
        return self.resolution / BASE_RESOLUTION

    @property
    def name(self) -> str:
        return f"mobilenet_{self.alpha}_{self.resolution}"


def check_weights(cell: Cell, weights: str) -> None:
    """Raises UserError where `weights` cannot be had for `cell`."""
    if weights == "imagenet":
        require(
            cell.alpha in IMAGENET_ALPHAS and cell.resolution in IMAGENET_RESOLUTIONS,
            f"for weights imagenet an alpha of {IMAGENET_ALPHAS} and a resolution of {IMAGENET_RESOLUTIONS}",
            f"alpha {cell.alpha}, resolution {cell.resolution}",
            "choose one of these, or give a weights file of that alpha: --weights FILE",
        )
    elif weights == "tiny":
        require(
            cell.alpha in TINY_ALPHAS,
            f"for weights tiny an alpha of {TINY_ALPHAS}",
            f"alpha {cell.alpha}",
            "add --alphas 0.25,0.5 (sweep) or --alpha 0.25 (train)",
        )
    elif weights != "none":
        require(
            Path(weights).is_file(),
            "weights imagenet, tiny, none or a file that exists",
            weights,
            "mind the folder that you are in, or give the whole path",
        )
