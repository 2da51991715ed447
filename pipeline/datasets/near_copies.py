"""Pictures that are nearly the same: encoded anew, smaller, brighter, mirrored, cropped a little, or one of a burst.

Two pictures are compared as thumbnails of 12 x 12 pixels, whose brightness and contrast are taken out: cosine of all,
or of a part of one (of 90 and of 80 % of its sides, in nine positions) with all of the other, mirrored or not. On
photographs of dogs the pooled features of MobileNet told copies from other pictures less well: they see a half
as large or strongly compressed picture as another one (docs/pictures.md has the figures). And these are the same
whatever network is trained, so that how pictures are dealt hangs on the pictures alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.shell.cores import cores

VERSION = "1"  # of what is told from each other: raise it when that changes
SIDE = 32  # px, of the thumbnails that are looked at
SIMILAR = 0.95  # cosine, from which two pictures are near copies
MOST = 10_000  # pictures, of which all pairs take a quarter of a minute on two cores
OF_ONE_KIND = 0.5  # of all pictures; where more hang together they are of one kind, such as scans, and no copies
FEW = 3  # pictures, of which so many may hang together all the same
LIKE_EACH = 20  # others, at most and on average, that a picture may be like; where it is more they are of one kind

_PAIRS_AT_ONCE = 4096  # that are compared in fine thumbnails, which takes 200 MB
_COARSE, _FINE = 6, 12  # px: all pairs are compared by the one, and what may be similar by the other
_MAYBE = 0.9  # cosine of coarse thumbnails; what is similar in fine ones is above it
_SCALES = (1.0, 0.9, 0.8)  # of both sides
_AT_ONCE = 1024  # pictures, whose cosines with as many others are in memory


class OfOneKindError(ValueError):
    """Too many pictures look alike for copies to be told."""


def pairs(thumbnails: np.ndarray, others: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Near copies among uint8 (n, SIDE, SIDE, 3), or between these and `others` (m, SIDE, SIDE, 3).

    Returns int (p, 2), positions in each of the two, and the cosines (p,), the most similar first. A picture of one
    colour is like nothing.

    Raises OfOneKindError where most pictures are like most others.
    """
    within = others is None
    second = thumbnails if others is None else others
    found = np.concatenate([*_candidates(thumbnails, second, within), np.zeros((0, 2), np.int64)])
    blocks = np.split(found, range(_PAIRS_AT_ONCE, len(found), _PAIRS_AT_ONCE))
    cosines = np.concatenate([_cosines(thumbnails[block[:, 0]], second[block[:, 1]]) for block in blocks])
    order = np.argsort(-cosines, kind="stable")
    order = order[cosines[order] >= SIMILAR]
    return found[order], cosines[order]


def groups(
    thumbnails: np.ndarray, find: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] = pairs
) -> np.ndarray | None:
    """A number for each group of near copies, int (n,): the position of its first picture.

    None where so many look alike that they are of one kind.

    Args:
        thumbnails: uint8 (n, SIDE, SIDE, 3).
        find: `pairs`, or what remembers it.
    """
    count = len(thumbnails)
    _, first, same = np.unique(thumbnails.reshape(count, -1), axis=0, return_index=True, return_inverse=True)
    shows = np.ptp(thumbnails.reshape(count, -1, 3), axis=1).any(axis=1)  # not one colour, as what cannot be decoded
    equal = np.stack([first[same.reshape(-1)], np.arange(count)], axis=1)[shows]
    try:
        similar = first[find(thumbnails[first])[0]]
    except OfOneKindError:
        return None
    links = np.concatenate([similar, equal])
    found = connected_components(
        coo_array((np.ones(len(links), bool), (links[:, 0], links[:, 1])), (count, count)), directed=False
    )[1]
    if np.bincount(found).max(initial=0) > max(OF_ONE_KIND * count, FEW):
        return None
    _numbers, first, group = np.unique(found, return_index=True, return_inverse=True)
    return first[group]


def _candidates(first: np.ndarray, second: np.ndarray, within: bool) -> list[np.ndarray]:
    """Pairs (p, 2) that coarse thumbnails do not tell apart; those of one set once, the smaller position first."""
    one = _Coarse(first)
    other = one if within else _Coarse(second)
    blocks = [
        (slice(begin, begin + _AT_ONCE), slice(end, end + _AT_ONCE))
        for begin in range(0, len(first), _AT_ONCE)
        for end in range(begin if within else 0, len(second), _AT_ONCE)
    ]

    def similar(rows: slice, columns: slice) -> np.ndarray:
        """Pairs of one block, which stays in the processor's cache."""
        best = np.full((len(first[rows]), len(second[columns])), -1, np.float32)
        for part in one.parts:
            for whole in other.wholes:
                np.maximum(best, part[rows] @ whole[columns].T, out=best)
        for part in other.parts[1:]:
            for whole in one.wholes:
                np.maximum(best, whole[rows] @ part[columns].T, out=best)
        found = np.argwhere(best >= _MAYBE) + np.array([rows.start, columns.start])
        return found[found[:, 0] < found[:, 1]] if within else found

    found, total = [], 0
    with ThreadPoolExecutor(cores()) as threads:
        for pairs_of_block in threads.map(similar, *zip(*blocks, strict=True)) if blocks else ():
            found.append(pairs_of_block)
            total += len(pairs_of_block)
            if total > LIKE_EACH * (len(first) + len(second)):
                threads.shutdown(wait=False, cancel_futures=True)
                raise OfOneKindError
    return found


class _Coarse:
    """Coarse descriptions of all pictures: of the whole and of parts of it, and of the whole and its mirror image."""

    def __init__(self, thumbnails: np.ndarray) -> None:
        self.parts = [_described(part, _COARSE) for part in _windows(thumbnails)]
        self.wholes = [self.parts[0], _described(thumbnails[:, :, ::-1], _COARSE)]


def _cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Of each of n pairs, (n,): the largest over parts of either, and mirror images."""
    best = np.full(len(first), -1, np.float32)
    for one, other in ((first, second), (second, first)):
        wholes = [_described(picture, _FINE) for picture in (other, other[:, :, ::-1])]
        for part in _windows(one):
            described = _described(part, _FINE)
            for whole in wholes:
                np.maximum(best, np.einsum("nd,nd->n", described, whole), out=best)
    return best


def _windows(thumbnails: np.ndarray) -> Iterator[np.ndarray]:
    """The whole, and parts of it: float (n, side, side, 3), resampled to SIDE."""
    for part in _SCALES:
        steps = 1 if part == 1 else 3
        size = part * SIDE
        for top in np.linspace(0, SIDE - size, steps):
            for left in np.linspace(0, SIDE - size, steps):
                yield _averages(thumbnails, (top, left), size, _FINE)


def _described(pictures: np.ndarray, side: int) -> np.ndarray:
    """Unit vectors float32 (n, side * side * 3), of which the mean is taken out; zeros for a picture of one colour."""
    flat = _averages(pictures, (0, 0), pictures.shape[1], side).reshape(len(pictures), side * side * 3)
    flat -= flat.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.divide(flat, lengths, out=np.zeros_like(flat), where=lengths > side)  # a grey level, on average


def _averages(pictures: np.ndarray, corner: tuple[float, float], size: float, side: int) -> np.ndarray:
    """The square of `size` at `corner` of (n, s, s, 3), averaged over the pixels of float32 (n, side, side, 3)."""
    down, across = (_overlaps(pictures.shape[1], begin, size, side) for begin in corner)
    rows = np.tensordot(down, pictures.astype(np.float32), (1, 1))  # (side, n, s, 3)
    return np.ascontiguousarray(np.moveaxis(np.tensordot(across, rows, (1, 2)), (0, 1, 2), (2, 1, 0)))


def _overlaps(length: int, begin: float, size: float, side: int) -> np.ndarray:
    """float32 (side, length): which part of each of `side` averages is each of `length` pixels."""
    edges = begin + np.linspace(0, size, side + 1)
    pixels = np.arange(length)
    upper = np.minimum(edges[1:, None], pixels + 1)
    lower = np.maximum(edges[:-1, None], pixels)
    return (np.maximum(0, upper - lower) * side / size).astype(np.float32)
