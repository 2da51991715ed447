"""Small pictures of one known grey each, as files of real image formats."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".bmp": "BMP"}


def encode(number: int, suffix: str = ".png", mode: str = "RGB") -> bytes:
    """An encoded picture of 6 x (5 + number % 3) px, all of grey `number`."""
    buffer = io.BytesIO()
    grey = np.full((6, 5 + number % 3), number, dtype=np.uint8)
    Image.fromarray(grey).convert(mode).save(buffer, FORMATS[suffix.lower()])
    return buffer.getvalue()


def write(folder: Path, **counts: int) -> None:
    """write(folder, cat=3, dog=2) makes PNGs of greys 0, 1, 2 in folder/cat and of 20, 21 in folder/dog."""
    for position, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            (folder / name / f"{number:03}.png").write_bytes(encode(20 * position + number))
