"""`letters`: pictures of letters drawn from the fonts that matplotlib carries.

Anyone can make the same pictures again with no network, which is why the `tiny` weights are trained on them.
Classes follow EMNIST Balanced (Cohen et al. 2017, arXiv:1702.05373, section II): a lower-case letter that looks
like its capital shares its class, so 26 capitals and 11 lower-case letters make 37 classes. There are no digits.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.config import DataConfig
from pipeline.datasets.pictures import Dataset, Split, from_arrays

CLASS_NAMES = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt")
SIDE = 32  # px
SMALLEST_SIDE = 8  # px; letters are seen at 8 to 32 px and shown at 32, as small pictures that were enlarged are
TRAIN_SIZE = 40_000
TEST_SIZE = 4_000

# The text faces; matplotlib's other files hold mathematical symbols at the places of letters.
FONTS = (
    *(f"DejaVuSans{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSansMono{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSerif{style}" for style in ("", "-Bold", "-Italic", "-BoldItalic")),
    *(f"STIXGeneral{style}" for style in ("", "Bol", "Italic", "BolIta")),
    *("cmr10", "cmss10", "cmtt10", "cmb10", "cmmi10"),
)
_MERGED = frozenset("cijklmopsuvwxyz")  # drawn in either case, labelled as the capital
_CANVAS = 96  # px; drawn large, turned, then shrunk to SIDE, so that edges are smooth


def load(_config: DataConfig) -> Dataset:
    """Draws the training pictures; the test pictures are drawn when they are asked for."""
    return Dataset(
        name="letters",
        version="1",
        class_names=CLASS_NAMES,
        train=_split("train"),
        read_test=lambda: _split("test"),
        num_test=TEST_SIZE,
    )


def _split(name: str) -> Split:
    return from_arrays(name, *render(name), source="letters")


def render(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Draws a split: pictures uint8 (n, 32, 32, 3) and labels int32 (n,); the same on every call.

    Args:
        split: "train" (40,000 pictures) or "test" (4,000), from two different random streams.
    """
    size, stream = {"train": (TRAIN_SIZE, 0), "test": (TEST_SIZE, 1)}[split]
    rng = np.random.default_rng([2017, stream])
    fonts = [_font(name) for name in FONTS]
    labels = (np.arange(size) % len(CLASS_NAMES)).astype(np.int32)
    pictures = np.stack([_draw(CLASS_NAMES[label], fonts[rng.integers(len(fonts))], rng) for label in labels])
    return np.repeat(pictures[..., None], 3, axis=-1), labels


def _font(name: str) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", f"{name}.ttf")), 64)


def _draw(name: str, font: ImageFont.FreeTypeFont, rng: np.random.Generator) -> np.ndarray:
    """One letter, uint8 (32, 32): random case, size, place, slant, stroke, sharpness, contrast and ground."""
    letter = name.lower() if name.lower() in _MERGED and rng.random() < 0.5 else name
    left, top, right, bottom = font.getbbox(letter, stroke_width=2)
    glyph = Image.new("L", (int(right - left), int(bottom - top)))
    stroke = int(rng.integers(0, 3))
    ImageDraw.Draw(glyph).text((-left, -top), letter, fill=255, font=font, stroke_width=stroke)
    height = int(_CANVAS * rng.uniform(0.5, 1.0))
    width = int(np.clip(height * glyph.width / glyph.height * rng.uniform(0.75, 1.3), 8, _CANVAS))
    canvas = Image.new("L", (_CANVAS, _CANVAS))
    spare_x, spare_y = _CANVAS - width, _CANVAS - height
    canvas.paste(glyph.resize((width, height)), (int(rng.integers(spare_x + 1)), int(rng.integers(spare_y + 1))))
    angle, shear = rng.uniform(-15, 15), rng.uniform(-0.25, 0.25)
    canvas = canvas.rotate(angle, resample=Image.Resampling.BILINEAR)
    centre = _CANVAS / 2
    canvas = canvas.transform(
        canvas.size, Image.Transform.AFFINE, (1, shear, -shear * centre, 0, 1, 0), resample=Image.Resampling.BILINEAR
    )
    coarse = int(rng.integers(SMALLEST_SIDE, SIDE + 1))
    seen = canvas.resize((coarse, coarse), Image.Resampling.BOX).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    small = np.asarray(seen, dtype=np.float32)
    small *= rng.uniform(0.6, 1.0) * 255 / max(float(small.max()), 1.0)
    small += rng.normal(0, rng.uniform(0, 12), small.shape)
    drawn = np.clip(small, 0, 255)
    return (255 - drawn if rng.random() < 0.25 else drawn).astype(np.uint8)
