"""The two multipliers of a backbone, and which weights there are for them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.architectures import ARCHITECTURES, Architecture, BackboneName
from pipeline.shell.errors import require

BASE_RESOLUTION = 224  # px; rho is measured against it (Howard et al. 2017, section 3.4)
TINY_ALPHAS = (0.25, 0.5)  # the two MobileNets that ship with the package
MOBILENET_BLOCKS = 13  # depthwise-separable ones, after the first convolution (Howard et al. 2017, table 1)


@dataclass(frozen=True)
class Cell:
    """One combination of the two multipliers.

    Args:
        alpha: width multiplier, > 0 (Howard et al. 2017, section 3.3); 1.0 where the backbone has none.
        resolution: input side in px, >= 32; rho = resolution / 224 (section 3.4).
        backbone: the network that they are of.
    """

    alpha: float
    resolution: int
    backbone: BackboneName = "mobilenet"

    def __post_init__(self) -> None:
        require(self.backbone in ARCHITECTURES, f"a backbone of {', '.join(ARCHITECTURES)}", self.backbone)
        # int(alpha * 32) channels leave the first layer, so a smaller alpha would leave none.
        require(
            math.isfinite(self.alpha) and 1 / 32 <= self.alpha <= 4,
            "alpha between 0.03125 and 4",
            self.alpha,
            "the paper's are 0.25, 0.5, 0.75 and 1.0",
        )
        known = self.architecture
        require(
            known.has_multiplier or self.alpha == 1,
            f"alpha 1.0 for {self.backbone}, which has no width multiplier",
            self.alpha,
            f"--alphas 1.0 --resolutions {known.resolutions[0]} (train: --alpha, --resolution)",
        )
        require(
            self.resolution >= known.smallest,
            f"a resolution of at least {known.smallest} px",
            self.resolution,
            f"usual are {', '.join(map(str, known.resolutions))}",
        )

    @property
    def architecture(self) -> Architecture:
        """What the backbone is and wants."""
        return ARCHITECTURES[self.backbone]

    @property
    def rho(self) -> float:
        """Resolution multiplier, resolution / 224."""
        return self.resolution / BASE_RESOLUTION

    @property
    def name(self) -> str:
        """Like mobilenet_0.75_192."""
        return f"{self.backbone}_{self.alpha}_{self.resolution}"

    @staticmethod
    def named_in(text: str) -> Cell | None:
        """The cell whose name stands last in `text`, such as the name of its study."""
        found = re.findall(rf"({'|'.join(ARCHITECTURES)})_(\d+\.\d+)_(\d+)", text)
        return Cell(float(found[-1][1]), int(found[-1][2]), found[-1][0]) if found else None


def check_weights(cell: Cell, weights: str) -> None:
    """Raises UserError where `weights` cannot be had for `cell`."""
    known = cell.architecture
    if weights == "imagenet":
        require(
            cell.alpha in known.alphas and cell.resolution in known.resolutions,
            f"for weights imagenet of {cell.backbone} an alpha of {known.alphas} and a resolution of "
            f"{known.resolutions}",
            f"alpha {cell.alpha}, resolution {cell.resolution}",
            f"choose one of these, such as --alphas {known.alphas[-1]} --resolutions {known.resolutions[0]} (train: "
            "--alpha, --resolution), or give a weights file of that alpha: --weights FILE",
        )
    elif weights == "tiny":
        require(
            cell.backbone == "mobilenet" and cell.alpha in TINY_ALPHAS,
            f"for weights tiny the backbone mobilenet and an alpha of {TINY_ALPHAS}",
            f"{cell.backbone}, alpha {cell.alpha}",
            "add --alphas 0.25,0.5 (sweep) or --alpha 0.25 (train)",
        )
    elif weights != "none":
        require(
            Path(weights).is_file(),
            "weights imagenet, tiny, none or a file that exists",
            weights,
            "mind the folder that you are in, or give the whole path",
        )
