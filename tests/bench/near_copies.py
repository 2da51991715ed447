"""What is told of planted near copies: recall of each kind of change, and how many other pictures are taken for copies.

    python -m tests.bench.near_copies

Of the real Stanford Dogs and CIFAR-10 under REAL_DATA_DIR (default ../shared/data) 300 pictures each are changed, and
compared with the first thousands of their training pictures. Beside it: the same by the cached features of MobileNet
0.75-224, cosine as they are, at the threshold that takes as many other pictures for copies.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from rich.console import Console
from rich.table import Table

from pipeline import datasets
from pipeline.config import Cell, DataConfig
from pipeline.datasets import near_copies
from pipeline.networks import backbones
from pipeline.networks.backbones import preprocess
from pipeline.shell import cli
from tests.bench import real_pictures

COUNTS = {"stanford_dogs": 3600, "cifar10": 6000}
CHANGED = 300
BATCH = 64
SHIFT = np.random.default_rng(0)


def main() -> None:
    real_pictures.require()
    for name, count in COUNTS.items():
        show(name, count)


def show(name: str, count: int) -> None:
    train = datasets.load(DataConfig(dataset=name, data_dir=real_pictures.DATA_DIR)).train
    pictures = [picture.numpy() for picture, _label in train.pictures(np.arange(count))]
    chosen = np.random.default_rng(1).choice(count, CHANGED, replace=False)
    changed = {
        change: [np.asarray(make(Image.fromarray(pictures[row])).convert("RGB")) for row in chosen]
        for change, make in CHANGES.items()
    }
    thumbnails = _thumbnails(pictures)
    begun = time.perf_counter()
    found, cosines = near_copies.pairs(thumbnails)
    seconds = time.perf_counter() - begun
    backbone = backbones.load(Cell(0.75, 224), real_pictures.WEIGHTS)
    features = _features(backbone, pictures)
    similar = np.triu(features @ features.T, 1)
    threshold = float(np.sort(similar, axis=None)[-max(1, len(found))])

    table = Table(
        title=f"{name}: {CHANGED} of {count} pictures changed; {len(found)} pairs of others, in {seconds:.1f} s"
    )
    for column in ("change", "told by thumbnails, %", f"by features at {threshold:.3f}, %"):
        table.add_column(column, justify="left" if column == "change" else "right")
    for change, those in changed.items():
        told = near_copies.pairs(_thumbnails(those), thumbnails[chosen])[0]
        recall = len({one for one, other in told.tolist() if one == other}) / CHANGED
        same = (_features(backbone, those) * features[chosen]).sum(axis=1) >= threshold
        table.add_row(change, f"{100 * recall:.1f}", f"{100 * same.mean():.1f}")
    Console().print(table)
    nearest = ", ".join(f"{cosine:.3f}" for cosine in cosines[:20])
    agree = np.mean([train.labels[one] == train.labels[other] for one, other in found.tolist()]) if len(found) else 1
    print(f"the most similar others: {nearest}; of all {100 * agree:.0f} % are of one class\n")


def _cropped(part: float) -> Callable[[Image.Image], Image.Image]:
    def crop(picture: Image.Image) -> Image.Image:
        width, height = (int(side * part) for side in picture.size)
        left, top = SHIFT.integers(picture.width - width + 1), SHIFT.integers(picture.height - height + 1)
        return picture.crop((left, top, left + width, top + height))

    return crop


def _compressed(picture: Image.Image, quality: int = 30) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file)


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG, quality 30": _compressed,
    "half as large": lambda picture: picture.resize((picture.width // 2, picture.height // 2)),
    "mirrored": ImageOps.mirror,
    "brightness x 1.3": lambda picture: ImageEnhance.Brightness(picture).enhance(1.3),
    "brightness x 0.7": lambda picture: ImageEnhance.Brightness(picture).enhance(0.7),
    "95 % of both sides": _cropped(0.95),
    "90 % of both sides": _cropped(0.9),
    "90 %, mirrored": lambda picture: ImageOps.mirror(_cropped(0.9)(picture)),
    "80 % of both sides": _cropped(0.8),
    "70 % of both sides": _cropped(0.7),
}


def _thumbnails(pictures: list[np.ndarray]) -> np.ndarray:
    side = (near_copies.SIDE,) * 2
    return np.stack([np.asarray(Image.fromarray(one).resize(side, Image.Resampling.BOX)) for one in pictures])


def _features(backbone: backbones.Backbone, pictures: list[np.ndarray]) -> np.ndarray:
    """Unit vectors (n, d)."""
    parts = [
        backbone.model.predict_on_batch(
            np.stack([preprocess(one, backbone.cell) for one in pictures[begin : begin + BATCH]])
        )
        for begin in range(0, len(pictures), BATCH)
    ]
    features = np.concatenate(parts)
    return features / np.linalg.norm(features, axis=1, keepdims=True)


if __name__ == "__main__":
    cli.run(main)
