"""Which of two models is better, told from their answers on the same pictures. No TensorFlow.

Only pictures that one model alone has right, the flips, tell two models apart. docs/statistics.md explains what is
computed here, and shows how often the intervals hold and how often a worse model is called enough.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

Right = NDArray[np.bool_]
Groups = NDArray[np.integer]

COLUMNS = (
    *("first", "second", "difference", "low", "high", "only_first", "only_second"),
    *("pictures", "effective", "p", "p_holm"),
)


@dataclass(frozen=True)
class Comparison:
    """Two models on the same pictures.

    Attributes:
        difference: top-1 of the first minus that of the second, from -1 to 1.
        interval: 95 % interval of the difference, (low, high).
        only_first: pictures that only the first model has right.
        only_second: pictures that only the second has right.
        pictures: all that both were tested on.
        effective: independent pictures that would tell as much; fewer than `pictures` where groups answer alike.
        p: of the exact McNemar test; with groups each counts once, for the model that has more of it right.
    """

    difference: float
    interval: tuple[float, float]
    only_first: int
    only_second: int
    pictures: int
    effective: float
    p: float


def compare(first: Right, second: Right, groups: Groups | None = None) -> Comparison:
    """The first model against the second.

    Args:
        first: (n,), whether its answer to each picture is right; second: (n,), the same of the other model.
        groups: (n,), one number for pictures that belong together, such as bursts; None: all are independent.
    """
    _check_answers(first, second, groups)
    pictures = len(first)
    only_first, only_second = int(np.sum(first & ~second)), int(np.sum(second & ~first))
    group_of = np.arange(pictures) if groups is None else np.unique(groups, return_inverse=True)[1]
    signs = first.astype(float) - second
    effective = _effective(signs, group_of)
    scale = effective / pictures
    won = np.sign(np.bincount(group_of, weights=signs))
    return Comparison(
        difference=(only_first - only_second) / pictures,
        interval=tango_interval(scale * only_first, scale * only_second, effective),
        only_first=only_first,
        only_second=only_second,
        pictures=pictures,
        effective=effective,
        p=float(mcnemar([[0, np.sum(won > 0)], [np.sum(won < 0), 0]], exact=True).pvalue),
    )


def tango_interval(
    only_first: float, only_second: float, pictures: float, confidence: float = 0.95
) -> tuple[float, float]:
    """(low, high) of the difference of two fractions of the same pictures, both within [-1, 1].

    The score interval of Tango 1998, "Equivalence test and confidence interval for the difference in proportions for
    the paired-sample design", Statistics in Medicine 17, 891-908: it has a width where there are no flips, too. Counts
    need not be whole.
    """
    if min(only_first, only_second) < 0 or pictures <= 0 or only_first + only_second > pictures * (1 + 1e-9):
        raise ValueError(
            "wanted flips >= 0 among at least one picture. "
            f"Received: {only_first} and {only_second} of {pictures} pictures."
        )
    if not 0 < confidence < 1:
        raise ValueError(f"wanted a confidence between 0 and 1, both excluded. Received: {confidence}.")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    return _low(only_first, only_second, pictures, z), -_low(only_second, only_first, pictures, z)


def holm(p_values: Sequence[float] | NDArray[np.floating]) -> NDArray[np.float64]:
    """Each p enlarged (Holm 1979), so that in at most 5 % of sweeps any p below 0.05 among them is a false alarm."""
    if len(p_values) > 1:  # else nothing changes; and each call collects garbage, a third of a second beside TensorFlow
        p_values = multipletests(p_values, method="holm")[1]
    return np.asarray(p_values, np.float64)


def pairs(right: Mapping[str, Right], groups: Groups | None = None) -> pd.DataFrame:
    """One row for each two cells, in the order of `right`, with COLUMNS; p_holm allows for the number of rows.

    Args:
        right: cell -> (n,), whether each of its answers is right.
        groups: as in `compare`.
    """
    found = [(*names, compare(right[names[0]], right[names[1]], groups)) for names in combinations(right, 2)]
    adjusted = holm([comparison.p for _, _, comparison in found])
    rows = [
        (
            *(first, second, comparison.difference, *comparison.interval, comparison.only_first),
            *(comparison.only_second, comparison.pictures, comparison.effective, comparison.p, p_holm),
        )
        for (first, second, comparison), p_holm in zip(found, adjusted, strict=True)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def is_enough(smaller: Right, best: Right, margin: float, groups: Groups | None = None) -> bool:
    """Whether the smaller model loses less than `margin`, a fraction, of top-1 to the best one: 97.5 %, one-sided.

    Args: as of `compare`.
    """
    if not 0 < margin < 1:
        raise ValueError(f"wanted a margin between 0 and 1, both excluded. Received: {margin}.")
    return compare(smaller, best, groups).interval[0] > -margin


def detectable(share: float, pictures: float) -> float:
    """Least difference of top-1, a fraction, whose 95 % interval excludes zero.

    Args:
        share: flips of both kinds as a fraction of the pictures; where they are too few for any, more are taken.
        pictures: that are independent, `effective` of a comparison.
    """
    if not 0 <= share <= 1 or pictures <= 0:
        raise ValueError(f"wanted a share from 0 to 1 and pictures > 0. Received: {share} of {pictures} pictures.")
    z = NormalDist().inv_cdf(0.975)
    return max(z * math.sqrt(share / pictures), z**2 / pictures)


def _low(only_first: float, only_second: float, pictures: float, z: float) -> float:
    """Where Tango's score is z, below the difference."""
    difference = (only_first - only_second) / pictures
    if difference < -1 + 1e-9:
        return -1.0

    def beyond(low: float) -> float:
        """Above 0 where the score is larger than z. `second` is the likeliest fraction of only_second, given `low`."""
        half = (2 * pictures - only_first + only_second) * low - only_first - only_second
        root = math.sqrt(max(half**2 + 8 * pictures * only_second * low * (1 - low), 0))
        second = (root - half) / (4 * pictures)
        return pictures * (difference - low) - z * math.sqrt(max(pictures * (2 * second + low * (1 - low)), 0))

    return float(brentq(beyond, -1, difference - 1e-12))  # without flips the difference itself is a root, too


def _effective(signs: NDArray[np.float64], group_of: NDArray[np.integer]) -> float:
    """Pictures over the design effect: Rao and Scott 1992, "A simple method for the analysis of clustered binary data".

    The design effect is the variance of the difference by groups over that by pictures, never below 1. Two made-up
    flips that whole groups share are added, since few flips cannot tell it.

    Args:
        signs: (n,), 1 where only the first model is right, -1 where only the second is, else 0.
        group_of: (n,), from 0 to groups - 1.
    """
    pictures, sizes = len(signs), np.bincount(group_of)
    if len(sizes) == 1:
        return 1.0
    residuals = signs - signs.mean()
    between = np.sum(np.bincount(group_of, weights=residuals) ** 2) * len(sizes) / (len(sizes) - 1)
    within = np.sum(residuals**2) * pictures / (pictures - 1)
    return float(pictures / max((between + 2 * np.sum(sizes**2) / pictures) / (within + 2), 1))


def _check_answers(first: Right, second: Right, groups: Groups | None) -> None:
    if first.ndim != 1 or first.shape != second.shape or not len(first):
        raise ValueError(f"wanted answers (n,) of both models, n >= 1. Received: {first.shape} and {second.shape}.")
    if first.dtype != bool or second.dtype != bool:
        raise ValueError(f"wanted right or wrong, bool. Received: {first.dtype} and {second.dtype}.")
    if groups is not None and groups.shape != first.shape:
        raise ValueError(f"wanted groups {first.shape}, one for each picture. Received: {groups.shape}.")
    if groups is not None and not np.issubdtype(groups.dtype, np.integer):
        raise ValueError(f"wanted whole numbers as groups. Received: {groups.dtype}.")
