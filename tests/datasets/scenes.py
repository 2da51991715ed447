"""Pictures that are as different from each other as photographs are."""

from __future__ import annotations

import numpy as np
from PIL import Image


def scene(number: int) -> Image.Image:
    """Smooth blobs of colour, 160 x 120 px."""
    noise = np.random.default_rng(number).uniform(0, 255, (5, 5, 3)).astype(np.uint8)
    return Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC)
