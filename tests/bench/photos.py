"""Generated photographs the size of Stanford Dogs': folders of JPEGs for --dataset folder:PATH.

A class has a colour and a texture of its own, clouds whose grain and direction differ; its pictures are pieces of a few
large ones, each mirrored or not and in a light of its own. So every file is another picture, and any convolutions that
see colours and edges can tell the classes apart to some degree. The same call writes the same pictures.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 500, 375  # px, the commonest size of Stanford Dogs' pictures
LARGE_WIDTH, LARGE_HEIGHT = 600, 480  # px, of which Fourier transforms are quick
LARGE = 3  # such pictures of a class, of which all others are pieces
QUALITY = 80  # of JPEG: about 40 KB a picture


def write(folder: Path, classes: int, **splits: int) -> None:
    """write(folder, 120, train=12000, test=8580) makes folder/train/class000/00000.jpg and so on, in even shares."""
    with ThreadPoolExecutor() as threads:
        for _ in threads.map(partial(_write_class, folder, classes, splits), range(classes)):
            pass


def _write_class(folder: Path, classes: int, splits: dict[str, int], label: int) -> None:
    rng = np.random.default_rng([2011, label])
    colour, angle, grain = rng.uniform(60, 195, 3), rng.uniform(0, np.pi), rng.uniform(1.1, 1.5)
    large = [_clouds(rng, colour, angle + rng.normal(0, 0.1), grain) for _ in range(LARGE)]
    for name, count in splits.items():
        place = folder / name / f"class{label:03}"
        place.mkdir(parents=True)
        for index in range(label, count, classes):
            _piece(rng, large[rng.integers(LARGE)]).save(place / f"{index:05}.jpg", quality=QUALITY)


def _clouds(rng: np.random.Generator, colour: np.ndarray, angle: float, grain: float) -> Image.Image:
    """Noise whose amplitude falls with frequency to the power `grain`, as in photographs, stretched along `angle`.

    Args:
        colour: its mean, (3,), of 255.
    """
    shape = (LARGE_HEIGHT, LARGE_WIDTH)
    down, right = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
    along, across = right * np.cos(angle) + down * np.sin(angle), down * np.cos(angle) - right * np.sin(angle)
    amplitude = ((np.hypot(2 * along, across) + 1 / shape[1]) ** -grain).astype(np.float32)
    layers = [np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape, np.float32)) * amplitude, shape) for _ in range(3)]
    light, *tints = (layer / layer.std() for layer in layers)
    shades = np.stack([light + 0.3 * tints[0], light, light + 0.3 * tints[1]], axis=-1)
    return Image.fromarray(np.clip(colour + 40 * shades, 0, 255).astype(np.uint8))


def _piece(rng: np.random.Generator, large: Image.Image) -> Image.Image:
    """Cut out at random, mirrored or not, in another light."""
    left, top = rng.integers((LARGE_WIDTH - WIDTH, LARGE_HEIGHT - HEIGHT)).tolist()
    piece = large.crop((left, top, left + WIDTH, top + HEIGHT))
    if rng.random() < 0.5:
        piece = piece.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    gain, offset = rng.uniform(0.8, 1.2), rng.uniform(-20, 20)
    return piece.point([int(np.clip(gain * value + offset, 0, 255)) for value in range(256)] * 3)
