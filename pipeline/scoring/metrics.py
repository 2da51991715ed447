"""What a test says and how sure it is: top-k, Wilson intervals, accuracy per class, confusion. No TensorFlow.

Names of classes may hold any characters but a carriage return; `read_table` reads the tables back from CSV
unchanged, where a bare `pandas.read_csv` would take a class called "NA" for a missing value and "007" for a number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from os import PathLike
from statistics import NormalDist
from typing import IO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Labels = NDArray[np.integer]

_NAME_COLUMNS = ("class", "truth", "predicted")


def top_k(probabilities: NDArray[np.floating], labels: Labels, k: int) -> float:
    """Fraction of pictures whose true class is among the k most probable; k above the number of classes is that number.

    Of equally probable classes the one of lower index stands first, as in `argmax`, so top_k(..., 1) is the accuracy of
    argmax.

    Args:
        probabilities: (n, classes), finite; any scores will do.
        labels: (n,), from 0 to classes - 1.
    """
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or not len(labels):
        raise ValueError(
            "wanted probabilities (n, classes) and labels (n,) with n >= 1. "
            f"Received: {probabilities.shape} and {labels.shape}."
        )
    if k < 1:
        raise ValueError(f"wanted k >= 1. Received: {k}.")
    if not np.isfinite(probabilities).all():
        raise ValueError(f"wanted finite probabilities. Received: {np.sum(~np.isfinite(probabilities))} that are not.")
    _check_labels(labels, probabilities.shape[1])
    own = probabilities[np.arange(len(labels)), labels][:, None]
    is_before = np.arange(probabilities.shape[1]) < labels[:, None]
    rank = np.sum((probabilities > own) | ((probabilities == own) & is_before), axis=1)
    return float(np.mean(rank < k))


def wilson_interval(correct: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """(low, high) of a fraction correct / total, both within [0, 1].

    The score interval of Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22,
    209-212: unlike the usual +- it stays inside [0, 1] and is right near both ends.
    """
    if not 0 <= correct <= total or total < 1:
        raise ValueError(f"wanted 0 <= correct <= total and total >= 1. Received: {correct} of {total}.")
    if not 0 < confidence < 1:
        raise ValueError(f"wanted a confidence between 0 and 1, both excluded. Received: {confidence}.")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    fraction = correct / total
    centre = fraction + z**2 / (2 * total)
    spread = z * math.sqrt(fraction * (1 - fraction) / total + z**2 / (4 * total**2))
    scale = 1 + z**2 / total
    low = 0.0 if correct == 0 else (centre - spread) / scale  # exact at the ends, where rounding would leave 1e-17
    high = 1.0 if correct == total else (centre + spread) / scale
    return low, high


def confusion_counts(labels: Labels, predictions: Labels, num_classes: int) -> NDArray[np.int64]:
    """(classes, classes) counts: a row for each true class, a column for each predicted one."""
    if labels.ndim != 1 or labels.shape != predictions.shape:
        raise ValueError(f"wanted labels and predictions (n,). Received: {labels.shape} and {predictions.shape}.")
    _check_labels(labels, num_classes)
    _check_labels(predictions, num_classes)
    pairs = labels.astype(np.int64) * num_classes + predictions.astype(np.int64)
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def coverage_table(confidence: NDArray[np.floating], right: NDArray[np.bool_], rows: int = 101) -> pd.DataFrame:
    """What is right of the pictures that a model is surest of: reject_below, coverage_pct, top1_pct.

    From all pictures to the surest few, in at most `rows` rows; pictures of one confidence are answered together.

    Args:
        confidence: (n,), the probability of each answer; right: (n,), whether it is.
    """
    order = np.argsort(-confidence, kind="stable")
    sorted_confidence, correct = confidence[order], np.cumsum(right[order])
    ends = np.append(np.flatnonzero(np.diff(sorted_confidence)), len(order) - 1)  # the last of each confidence
    ends = ends[np.unique(np.linspace(0, len(ends) - 1, min(rows, len(ends))).round().astype(int))][::-1]
    answered = ends + 1
    return pd.DataFrame(
        {
            "reject_below": sorted_confidence[ends].astype(float),
            "coverage_pct": 100 * answered / len(order),
            "top1_pct": 100 * correct[ends] / answered,
        }
    )


def per_class_accuracy(confusion: NDArray[np.int64], class_names: Sequence[str]) -> pd.DataFrame:
    """One row a class, in the order of `class_names`: class, test_count, correct, top1_pct, low_pct, high_pct.

    low and high bound the 95 % Wilson interval. The last three are NaN for a class with no test picture.
    """
    _check_names(confusion, class_names)
    counts, correct = confusion.sum(axis=1), confusion.diagonal()
    bounds = [
        wilson_interval(int(hits), int(count)) if count else (math.nan, math.nan)
        for hits, count in zip(correct, counts, strict=True)
    ]
    return pd.DataFrame(
        {
            "class": pd.Series(list(class_names), dtype=str),
            "test_count": counts,
            "correct": correct,
            "top1_pct": 100 * np.divide(correct, counts, out=np.full(len(counts), np.nan), where=counts > 0),
            "low_pct": [100 * low for low, _ in bounds],
            "high_pct": [100 * high for _, high in bounds],
        }
    )


def confusion_table(confusion: NDArray[np.int64], class_names: Sequence[str]) -> pd.DataFrame:
    """One row for each pair (truth, predicted) that occurs, with its count, in the order of `class_names`.

    A pair that is not listed occurred 0 times: at 1,000 classes the full matrix would be a million rows.
    """
    _check_names(confusion, class_names)
    truth, predicted = np.nonzero(confusion)
    names = np.asarray(class_names, dtype=object)
    return pd.DataFrame(
        {
            "truth": pd.Series(names[truth], dtype=str),
            "predicted": pd.Series(names[predicted], dtype=str),
            "count": confusion[truth, predicted],
        }
    )


def read_table(file: str | PathLike[str] | IO[str]) -> pd.DataFrame:
    """Reads back a table of this module from CSV, with names such as "NA", "007" and "" as they were written."""
    table = pd.read_csv(file, keep_default_na=False, dtype=str)
    numbers = [column for column in table.columns if column not in _NAME_COLUMNS]
    return table.assign(**{column: pd.to_numeric(table[column]) for column in numbers})


def _check_labels(labels: Labels, num_classes: int) -> None:
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"wanted whole numbers as labels. Received: {labels.dtype}.")
    if len(labels) and not 0 <= labels.min() <= labels.max() < num_classes:
        raise ValueError(f"wanted labels from 0 to {num_classes - 1}. Received: from {labels.min()} to {labels.max()}.")


def _check_names(confusion: NDArray[np.int64], class_names: Sequence[str]) -> None:
    if confusion.shape != (len(class_names), len(class_names)):
        raise ValueError(
            f"wanted a square of counts, one row for each of {len(class_names)} classes. Received: {confusion.shape}."
        )
