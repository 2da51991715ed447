from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pipeline.datasets import splits
from pipeline.datasets.pictures import Split, from_arrays
from pipeline.shell.errors import UserError


def split_of(*sizes: int) -> Split:
    """Shuffled labels: sizes[c] pictures of class c."""
    labels = np.random.default_rng(5).permutation(np.repeat(np.arange(len(sizes)), sizes))
    pictures = np.arange(len(labels) * 12, dtype="<u4").view(np.uint8).reshape(len(labels), 4, 4, 3)
    return from_arrays("train", pictures, labels, "made")


def test_cut_parts_make_up_the_whole_in_ascending_order() -> None:
    split = split_of(40, 60, 100)
    train, val = splits.cut(split, 0.15, 0)
    assert sorted([*train, *val]) == list(range(200))
    assert (np.diff(train) > 0).all()
    assert (np.diff(val) > 0).all()


@pytest.mark.parametrize(
    ("sizes", "fraction", "per_class"),
    [
        ((40, 60, 100), 0.15, (6, 9, 15)),
        ((2, 2), 0.01, (1, 1)),  # at least one of each in val
        ((2, 2), 0.99, (1, 1)),  # and in train
        ((1000, 2), 0.1, (100, 1)),
        ((1000, 2), 0.9, (901, 1)),
        ((100, 0, 100), 0.07, (7, 0, 7)),  # a class that does not occur
    ],
)
def test_cut_is_stratified(sizes: tuple[int, ...], fraction: float, per_class: tuple[int, ...]) -> None:
    split = split_of(*sizes)
    _, val = splits.cut(split, fraction, 3)
    assert tuple(np.bincount(split.labels[val], minlength=len(sizes))) == per_class


def test_cut_rounds_the_whole_up_and_shares_the_rest_by_chance() -> None:
    split = split_of(*[31] * 10)  # 15 % are 4.65 of each class, 46.5 of all
    _, val = splits.cut(split, 0.15, 0)
    counts = np.bincount(split.labels[val])
    assert sorted(counts) == [4] * 3 + [5] * 7
    _, other = splits.cut(split, 0.15, 1)
    assert list(np.bincount(split.labels[other])) != list(counts)


def test_cut_depends_on_the_seed_alone() -> None:
    first, again, other = (splits.cut(split_of(50, 50), 0.2, seed)[1] for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_cut_that_is_recorded_today_is_the_cut_of_tomorrow() -> None:
    """A finished run is tested with the cut it was trained with: another numpy must not move a picture."""
    assert splits.cut(split_of(9, 9), 0.2, 0)[1].tolist() == [1, 4, 8, 15]
    assert splits.hold_out(split_of(9, 9), "ab", 0.2)[1].tolist() == [2, 3, 5, 14]
    assert splits.draw(split_of(9, 9).labels, 4, 0).tolist() == [1, 3, 6, 9]


def test_cut_names_a_class_of_one_picture() -> None:
    with pytest.raises(UserError, match="one of class 'number 1'"):
        splits.cut(split_of(5, 1), 0.2, 0)


def test_hold_out_names_a_class_that_is_too_small() -> None:
    with pytest.raises(UserError, match=r"at least three pictures .* fewer of 'rare'"):
        splits.hold_out(split_of(3, 2), ("common", "rare"), 0.2)


def copied(*groups: tuple[int, int]) -> Split:
    """Pictures of (label, which picture): those of one number are copies."""
    labels = np.array([label for label, _which in groups], np.int32)
    hashes = np.array([[which % 256] * 32 for _label, which in groups], np.uint8)
    return dataclasses.replace(split_of(len(groups)), labels=labels, hashes=hashes)


def test_copies_are_dealt_to_one_side() -> None:
    split = copied(*((label, label * 100 + number // 3) for label in (0, 1) for number in range(30)))
    for part in (splits.cut(split, 0.2, 0)[1], splits.hold_out(split, "ab", 0.2)[1]):
        inside = {split.hashes[index].tobytes() for index in part}
        outside = {split.hashes[index].tobytes() for index in np.setdiff1d(np.arange(60), part)}
        assert not inside & outside
        assert np.bincount(split.labels[part]).tolist() == [6, 6]


def test_a_class_of_copies_alone_is_refused() -> None:
    with pytest.raises(UserError, match="all of 'b' are copies of each other"):
        splits.hold_out(copied(*((0, number) for number in range(9)), *((1, 200) for _ in range(9))), "ab", 0.2)


def test_what_has_one_name_is_dealt_to_one_side_with_its_copies() -> None:
    split = dataclasses.replace(split_of(8), groups=("a", "a", "", "", "b", "b", "", ""))
    assert len(set(splits.together(split).tolist())) == 6
    hashes = split.hashes.copy()
    hashes[2] = hashes[0]
    assert len(set(splits.together(dataclasses.replace(split, hashes=hashes)).tolist())) == 5


def test_what_a_person_keeps_for_validation_is_val_and_never_test() -> None:
    is_val = np.arange(40) % 4 == 0
    split = dataclasses.replace(split_of(20, 20), is_val=is_val)
    train, val = splits.cut(split, 0.15, 0)
    assert val.tolist() == np.flatnonzero(is_val).tolist()
    assert np.intersect1d(train, val).size == 0
    kept, test = splits.hold_out(split, "ab", 0.2)
    assert not is_val[test].any()
    assert len(kept) + len(test) == 40
    assert splits.cut(split.subset(kept), 0.15, 0)[1].size == 10


@pytest.mark.parametrize("limit", [6, 7, 50, 199, 200])
def test_draw_takes_exactly_the_limit_from_all_classes(limit: int) -> None:
    labels = split_of(3, 97, 100).labels
    kept = splits.draw(labels, limit, 0)
    assert len(set(kept)) == limit
    assert (np.diff(kept) > 0).all()
    assert np.bincount(labels[kept]).min() >= 2


@pytest.mark.parametrize("limit", [1, 5, 201])
def test_draw_says_which_limits_it_can_meet(limit: int) -> None:
    with pytest.raises(UserError, match=rf"from 6 .* to 200 .* Received: {limit}\."):
        splits.draw(split_of(3, 97, 100).labels, limit, 0)


def test_a_validation_part_that_a_small_draw_missed_is_cut_anew() -> None:
    split = dataclasses.replace(split_of(10, 10), is_val=np.zeros(20, bool))
    assert splits.cut(split, 0.2, 0)[1].size == 4


def test_one_copy_among_many_pictures_costs_no_more_than_sorting() -> None:
    """A hundred thousand groups, each of which is looked at once."""
    count = 100_000
    hashes = np.zeros((count, 32), np.uint8)
    hashes[:, :4] = np.arange(count, dtype="<u4").view(np.uint8).reshape(-1, 4)
    hashes[1] = hashes[0]
    split = dataclasses.replace(split_of(2), labels=np.arange(count, dtype=np.int32) % 2, hashes=hashes)
    split = dataclasses.replace(split, ids=range(count))
    _train, val = splits.cut(split, 0.2, 0)
    assert len(val) == pytest.approx(count / 5, abs=2)


def test_folds_are_even_in_every_class_and_in_all() -> None:
    split = split_of(23, 50, 7)
    folds = splits.folds(split, 5, 0)
    for label in range(3):
        counts = np.bincount(folds[split.labels == label], minlength=5)
        assert counts.max() - counts.min() <= 1
    assert np.ptp(np.bincount(folds)) <= 1


def test_folds_depend_on_the_seed_alone() -> None:
    first, again, other = (splits.folds(split_of(50, 50), 5, seed) for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_what_belongs_together_is_in_one_fold() -> None:
    split = split_of(30, 30)
    groups = tuple(f"g{number // 4}" for number in range(60))
    near = np.arange(60)
    near[59], near[30] = 0, 8
    split = dataclasses.replace(split, groups=groups, near_groups=near)
    folds = splits.folds(split, 5, 1)
    for name in set(groups):
        assert len({folds[row] for row in range(60) if groups[row] == name}) == 1
    assert folds[0] == folds[59]
    assert folds[8] == folds[30]
    assert set(folds) == set(range(5))


def test_a_class_that_is_one_group_has_no_folds() -> None:
    split = split_of(4, 10)
    groups = tuple("same" if label == 0 else "" for label in split.labels)
    with pytest.raises(UserError, match="number 0"):
        splits.folds(dataclasses.replace(split, groups=groups), 5, 0)


def test_near_copies_are_dealt_to_one_side() -> None:
    split = split_of(40, 40)
    near = np.arange(80) // 2
    for seed in range(5):
        train, val = splits.cut(dataclasses.replace(split, near_groups=near), 0.3, seed)
        assert not {number // 2 for number in train} & {number // 2 for number in val}


def test_a_part_of_a_split_keeps_together_what_is_left_of_a_group() -> None:
    split = dataclasses.replace(split_of(5, 5), near_groups=np.array([0, 0, 0, 3, 4, 4, 6, 7, 8, 9]))
    together = splits.together(split.subset(np.array([0, 2, 4, 5, 9])))
    assert together[0] == together[1]
    assert together[2] == together[3]
    assert len(np.unique(together)) == 3


def test_a_class_whose_groups_all_fell_into_one_fold_is_refused() -> None:
    labels = np.array([0, 0, 1, 1], np.int32)
    split = dataclasses.replace(split_of(2, 2), labels=labels, groups=("a", "b", "a", "a"))
    with pytest.raises(UserError, match="number 1"):
        splits.folds(split, 2, 0)


def test_a_class_of_one_burst_is_dealt_to_both_sides() -> None:
    labels = np.repeat([0, 1], (6, 4)).astype(np.int32)
    near = np.array([0, 0, 2, 3, 4, 5, 6, 6, 6, 6])
    split = dataclasses.replace(split_of(6, 4), labels=labels, near_groups=near)
    assert splits.bursts(split).tolist() == [1]
    train, val = splits.cut(split, 0.3, 0)
    assert set(split.labels[train]) == set(split.labels[val]) == {0, 1}
    assert {0, 1} <= set(train) or {0, 1} <= set(val)
    assert len(set(splits.folds(split, 2, 0)[6:])) == 2


def test_a_class_of_two_bursts_is_dealt_to_two_sides_whole_and_to_three_apart() -> None:
    labels = np.repeat([0, 1], (9, 6)).astype(np.int32)
    near = np.array([*range(9), 9, 9, 9, 12, 12, 12])
    split = dataclasses.replace(split_of(9, 6), labels=labels, near_groups=near)
    assert splits.bursts(split).tolist() == []
    assert splits.bursts(split, 3).tolist() == [1]
    assert len(np.unique(splits.together(split, 2))) == 11
    assert len(np.unique(splits.together(split, 3))) == 15
