"""Stratified cuts: every part has each class in the proportion of the whole, and the same seed gives the same cut."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pipeline.datasets.pictures import Split
from pipeline.shell.errors import UserError

# The test pictures of a data set without a test split must not depend on --seed: a model that is searched for with
# one seed and tested with another would else have trained on them.
TEST_SEED = 20170417  # the day of arXiv:1704.04861

# Each kind of draw has a random stream of its own, so that equal seeds do not make them agree.
_HOLD_OUT, _CUT, _DRAW = range(3)


def cut(split: Split, val_fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Cuts into train and val: two arrays of indices, int64, ascending.

    val holds val_fraction of the pictures, rounded up, and both parts hold at least one of every class.
    Raises UserError where a class has a single picture.
    """
    names = [f"number {label}" for label in range(int(split.labels.max()) + 1)]
    require_pairs(split.labels, names, split.name)
    return _divide(split.labels, val_fraction, np.random.default_rng([_CUT, seed]))


def hold_out(labels: np.ndarray, class_names: Sequence[str], fraction: float) -> tuple[np.ndarray, np.ndarray]:
    """Keeps a test part back from labels (n,): indices of train and of test, the same for every --seed."""
    require_pairs(labels, class_names, "the data set")
    return _divide(labels, fraction, np.random.default_rng([_HOLD_OUT, TEST_SEED]))


def draw(labels: np.ndarray, limit: int, seed: int) -> np.ndarray:
    """Indices, ascending, of `limit` pictures out of labels (n,), at least two of every class that has two.

    Raises UserError where there are fewer pictures than `limit`, or it is too small for the classes.
    """
    sizes = np.unique(labels, return_counts=True)[1]
    least = np.minimum(sizes, 2)
    if not least.sum() <= limit <= len(labels):
        raise UserError(
            f"wanted a train_limit from {least.sum()} (two pictures of each of {len(sizes)} classes) to {len(labels)} "
            f"(all training pictures). Received: {limit}. Try: --train_limit 0 takes them all"
        )
    rng = np.random.default_rng([_DRAW, seed])
    return _pick(labels, _apportion(sizes, limit, least, sizes, rng), rng)


def require_pairs(labels: np.ndarray, class_names: Sequence[str], where: str) -> None:
    """Raises UserError where a class has one picture, which cannot be cut in two."""
    single = np.flatnonzero(np.bincount(labels) == 1)
    if len(single):
        named = ", ".join(repr(class_names[label]) for label in single[:5]) + (", ..." if len(single) > 5 else "")
        raise UserError(
            f"wanted at least two pictures of every class in {where}, so that it can be cut. "
            f"Received: one of class {named}. Try: add pictures of it, or remove the class"
        )


def _divide(labels: np.ndarray, fraction: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the larger part and of the part that holds `fraction`; each has at least one of every class."""
    sizes = np.unique(labels, return_counts=True)[1]
    wanted = math.ceil(len(labels) * fraction - 1e-9)  # 100 * 0.07 is a little above 7
    total = min(max(wanted, len(sizes)), len(labels) - len(sizes))
    part = _pick(labels, _apportion(sizes, total, np.ones_like(sizes), sizes - 1, rng), rng)
    return np.setdiff1d(np.arange(len(labels)), part), part


def _apportion(
    sizes: np.ndarray, total: int, least: np.ndarray, most: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Shares out `total` over classes in proportion to their sizes, all int (C,), by largest remainders.

    Needs sum(least) <= total <= sum(most). Equal remainders are ordered by chance, not by the alphabet.
    """
    ideal = sizes * total / sizes.sum()
    order = rng.random(len(sizes)) * 1e-6
    shares = np.clip(np.floor(ideal).astype(np.int64), least, most)
    while (missing := total - shares.sum()) != 0:
        step = np.sign(missing)
        movable = shares < most if step > 0 else shares > least
        shares[np.argmax(np.where(movable, step * (ideal - shares) + order, -np.inf))] += step
    return shares


def _pick(labels: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Indices, ascending, of shares[c] random pictures of the c-th class that occurs in labels."""
    classes = np.unique(labels)
    picked = [
        rng.permutation(np.flatnonzero(labels == label))[:share] for label, share in zip(classes, shares, strict=True)
    ]
    return np.sort(np.concatenate(picked))
