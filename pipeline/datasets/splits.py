"""Stratified cuts: every part has each class in the proportion of the whole, and the same seed gives the same cut.

Pictures that belong together, such as copies, are never dealt to both sides."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.datasets.pictures import Split
from pipeline.shell.errors import UserError

# The test pictures of a data set without a test split must not depend on --seed: a model that is searched for with
# one seed and tested with another would else have trained on them.
TEST_SEED = 20170417  # the day of arXiv:1704.04861

# Each kind of draw has a random stream of its own, so that equal seeds do not make them agree.
_HOLD_OUT, _CUT, _DRAW, _FOLDS = range(4)
_SIDES = 2  # train and val
_PARTS = 3  # train, val and test


def cut(split: Split, val_fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Cuts into train and val: two arrays of indices, int64, ascending.

    Where a person has kept pictures for validation it is these. Else val holds val_fraction of the pictures, rounded
    up, and both parts hold at least one of every class; what belongs together (`together`) is in one part.
    Raises UserError where a class has a single picture, or group.
    """
    if split.is_val is not None and split.is_val.any():
        return np.flatnonzero(~split.is_val), np.flatnonzero(split.is_val)
    names = [f"number {label}" for label in range(int(split.labels.max()) + 1)]
    require_pairs(split.labels, names, split.name)
    return _divide(split, names, val_fraction, np.random.default_rng([_CUT, seed]), _SIDES)


def folds(split: Split, count: int, seed: int) -> np.ndarray:
    """The fold of each picture, int32 (n,), from 0: each class, and all pictures, spread evenly over `count` folds.

    What belongs together is in one fold. Raises UserError where all pictures of a class would be.
    """
    names = [f"number {label}" for label in range(int(split.labels.max()) + 1)]
    rng, groups = np.random.default_rng([_FOLDS, seed]), together(split, _SIDES)
    fold_of, held = np.full(len(split), -1, np.int32), np.zeros(count, np.int64)
    order = np.argsort(groups, kind="stable")
    whole_groups = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)  # by number: they have no gaps
    for label in np.unique(split.labels):
        rows = np.flatnonzero(split.labels == label)
        members: dict[int, list[int]] = {}
        for row in rng.permutation(rows).tolist():
            members.setdefault(int(groups[row]), []).append(row)
        of_class = np.bincount(fold_of[rows][fold_of[rows] >= 0], minlength=count)
        # The largest groups first: what is left evens out.
        for group in sorted(members, key=lambda group: -len(members[group])):
            if fold_of[members[group][0]] < 0:  # a group of several classes was dealt with the first of these
                fold = min(range(count), key=lambda fold: (of_class[fold], held[fold]))
                fold_of[whole_groups[group]] = fold
                held[fold] += len(whole_groups[group])
                of_class[fold] += len(members[group])
        _require_apart(len(np.unique(fold_of[rows])) > 1, np.array([label]), names)
    return fold_of


def hold_out(split: Split, class_names: Sequence[str], fraction: float) -> tuple[np.ndarray, np.ndarray]:
    """Keeps a test part back: indices of train and of test, the same for every --seed; none of it from `is_val`.

    Raises UserError where a class is too small for a part each to train on, to validate on and to test on.
    """
    few = np.flatnonzero(np.bincount(split.labels, minlength=len(class_names)) < _PARTS)
    if len(few):
        raise UserError(
            f"wanted at least three pictures of every class: to train on, to validate on, and to test on. Received: "
            f"fewer of {_named(few, class_names)}. Try: add pictures, or remove the class"
        )
    free = np.arange(len(split)) if split.is_val is None else np.flatnonzero(~split.is_val)
    rng = np.random.default_rng([_HOLD_OUT, TEST_SEED])
    _rest, part = _divide(split.subset(free), class_names, fraction, rng, _PARTS)
    return np.setdiff1d(np.arange(len(split)), free[part]), free[part]


def bursts(split: Split, sides: int = _SIDES) -> np.ndarray:
    """The classes, int (c,), that have pictures for so many sides, but not if near copies stayed on one."""
    if split.near_groups is None:
        return np.zeros(0, np.int64)
    members = np.bincount(split.labels)
    apart = np.bincount(np.unique(np.stack([split.labels, split.near_groups]), axis=1)[0], minlength=len(members))
    return np.flatnonzero(apart < np.minimum(sides, members))


def together(split: Split, sides: int = 0) -> np.ndarray:
    """int (n,), a number for each group of pictures that stay together.

    These are of one name in `groups`, or copies, or near copies of another of them. Near copies of a class that would
    lack pictures for one of so many `sides` may go alone.
    """
    count = len(split)
    copies = np.unique(split.hashes, axis=0, return_inverse=True)[1].reshape(-1)
    names = np.arange(count)
    if split.groups is not None:
        numbers = {name: number for number, name in enumerate(dict.fromkeys(split.groups))}
        alone = len(numbers) + np.arange(count)
        names = np.array([numbers[name] if name else alone[at] for at, name in enumerate(split.groups)])
    columns = np.concatenate([count + copies, 2 * count + np.unique(names, return_inverse=True)[1]])
    alike = np.arange(count)
    if split.near_groups is not None:
        burst = np.isin(split.labels, bursts(split, sides))
        near = np.where(burst, split.near_groups.max() + 1 + np.arange(count), split.near_groups)
        alike = np.unique(near, return_inverse=True)[1]
    columns = np.concatenate([columns, 3 * count + alike])
    links = coo_array((np.ones(3 * count, bool), (np.tile(np.arange(count), 3), columns)), (4 * count, 4 * count))
    return np.unique(connected_components(links, directed=False)[1][:count], return_inverse=True)[1]


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
        raise UserError(
            f"wanted at least two pictures of every class in {where}, so that it can be cut. "
            f"Received: one of class {_named(single, class_names)}. Try: add pictures of it, or remove the class"
        )


def _divide(
    split: Split, class_names: Sequence[str], fraction: float, rng: np.random.Generator, sides: int
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the larger part and of the part that holds `fraction`; each has at least one of every class."""
    labels, groups = split.labels, together(split, sides)
    sizes = np.unique(labels, return_counts=True)[1]
    wanted = math.ceil(len(labels) * fraction - 1e-9)  # 100 * 0.07 is a little above 7
    total = min(max(wanted, len(sizes)), len(labels) - len(sizes))
    shares = _apportion(sizes, total, np.ones_like(sizes), sizes - 1, rng)
    if groups.max(initial=-1) + 1 == len(labels):
        part = _pick(labels, shares, rng)
    else:
        part = _pick_groups(labels, groups, shares, rng)
    rest = np.setdiff1d(np.arange(len(labels)), part)
    for side in (part, rest):
        missing = np.setdiff1d(labels, labels[side])
        _require_apart(not len(missing), missing, class_names)
    return rest, part


def _require_apart(possible: bool, classes: np.ndarray, class_names: Sequence[str]) -> None:
    if not possible:
        raise UserError(
            f"wanted pictures of every class that may be dealt to different sides. Received: all of "
            f"{_named(classes, class_names)} are copies of each other, or one group. "
            "Try: other pictures, or another --group_by"
        )


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


def _pick_groups(labels: np.ndarray, groups: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As `_pick`, by whole groups: of each class as many as fit into its share, and one at least."""
    picked = np.zeros(groups.max() + 1, bool)  # of groups
    for label, share in zip(np.unique(labels), shares, strict=True):
        found, counts = np.unique(groups[labels == label], return_counts=True)
        if len(found) == 1:
            continue
        order = rng.permutation(len(found))
        room = share - counts[picked[found]].sum()
        for group, count in zip(found[order].tolist(), counts[order].tolist(), strict=True):
            if count <= room and not picked[group]:
                picked[group] = True
                room -= count
        if not picked[found].any():
            picked[found[counts.argmin()]] = True
    return np.flatnonzero(picked[groups])


def _named(classes: np.ndarray, class_names: Sequence[str]) -> str:
    return ", ".join(repr(class_names[label]) for label in classes[:5]) + (", ..." if len(classes) > 5 else "")
