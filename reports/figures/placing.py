"""Label placement: no label overlaps another, or seems to belong to another point."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

# The plot area on a phone, px. Where it is larger the points move apart, so what is free here is free there.
WIDTH, HEIGHT = 300.0, 260.0
_LETTER, _LINE = 6.6, 14.0  # of 12 px type, px
_GAP = 7.0  # from a point to its label, px
_BESIDE, _OVER = 9.0, 7.0  # what a point keeps free of the labels of others, px to each side, above and below
_ORDERS = 100

# Plotly's names, the preferred first, with the label's side: -1 left or below, 0 centred, 1 right or above.
_SIDES = {
    "top left": (-1, 1),
    "bottom right": (1, -1),
    "middle left": (-1, 0),
    "middle right": (1, 0),
    "top right": (1, 1),
    "bottom left": (-1, -1),
    "top center": (0, 1),
    "bottom center": (0, -1),
}

Position = tuple[float, float]  # (x, y), fractions of the plot area from its lower left corner


class Box(NamedTuple):
    """A rectangle, px from the lower left corner of the plot area."""

    left: float
    right: float
    bottom: float
    top: float

    def overlaps(self, other: Box) -> bool:
        beside = self.right <= other.left or other.right <= self.left
        return not (beside or self.top <= other.bottom or other.top <= self.bottom)


def stroke(start: Position, end: Position) -> Box:
    """What a horizontal or vertical line covers."""
    xs, ys = zip(start, end, strict=True)
    return Box(min(xs) * WIDTH - 1, max(xs) * WIDTH + 1, min(ys) * HEIGHT - 1, max(ys) * HEIGHT + 1)


def place(
    points: Sequence[Position], texts: Sequence[str], others: Sequence[Position], strokes: Sequence[Box]
) -> list[str]:
    """Plotly's textposition for each text, "" for one that finds no room.

    A label overlaps no other point or label. Each in turn takes the side, of those still free, on which it crosses the
    fewest strokes; of many orders, drawn by seed, the one that leaves the fewest texts out wins.

    Args:
        points: the point of each text.
        others: points without a text.
    """
    around = [_around(point) for point in [*points, *others]]
    options: list[dict[str, tuple[Box, int]]] = []
    for index, (point, text) in enumerate(zip(points, texts, strict=True)):
        boxes = {name: label_box(point, text, name) for name in _SIDES}
        near = [*around[:index], *around[index + 1 :]]
        free = {name: box for name, box in boxes.items() if _is_inside(box) and not any(map(box.overlaps, near))}
        options.append({name: (box, sum(map(box.overlaps, strokes))) for name, box in free.items()})
    draw = random.Random(0)
    tries = (_in_turn(options, draw.sample(range(len(options)), len(options))) for _ in range(_ORDERS))
    return min(tries, key=lambda names: names.count(""))


def _in_turn(options: Sequence[dict[str, tuple[Box, int]]], order: Sequence[int]) -> list[str]:
    """A name or "" for each text; `options` holds its boxes with the strokes that each of them crosses."""
    labels: list[Box] = []
    names = [""] * len(options)
    for index in order:
        free = {name: crossed for name, (box, crossed) in options[index].items() if not any(map(box.overlaps, labels))}
        if free:
            names[index] = min(free, key=free.__getitem__)
            labels.append(options[index][names[index]][0])
    return names


def _around(point: Position) -> Box:
    x, y = point[0] * WIDTH, point[1] * HEIGHT
    return Box(x - _BESIDE, x + _BESIDE, y - _OVER, y + _OVER)


def label_box(point: Position, text: str, name: str) -> Box:
    """The box of a label on one side of its point."""
    width, (across, up) = _LETTER * len(text), _SIDES[name]
    left = point[0] * WIDTH + across * _GAP - width * (1 - across) / 2
    bottom = point[1] * HEIGHT + up * _GAP - _LINE * (1 - up) / 2
    return Box(left, left + width, bottom, bottom + _LINE)


def _is_inside(box: Box) -> bool:
    return box.left >= 0 and box.right <= WIDTH and box.bottom >= 0 and box.top <= HEIGHT
