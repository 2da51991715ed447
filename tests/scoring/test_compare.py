"""Against published examples, scipy, numerical maximisation, closed testing, and simulated answers."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest

from pipeline.scoring import compare
from tests.bench.comparisons import grouped_answers

Z = 1.959963984540054


def answers(only_first: int, only_second: int, pictures: int) -> tuple[np.ndarray, np.ndarray]:
    """Of two models that are both right wherever there is no flip."""
    first, second = np.ones(pictures, bool), np.ones(pictures, bool)
    second[:only_first] = False
    first[only_first : only_first + only_second] = False
    return first, second


def tables(pictures: int, share: float, loss: float, count: int) -> list[tuple[int, int, float]]:
    """(only_first, only_second, weight) of `count` random tables; the first model's true top-1 is lower by `loss`."""
    flips = [(share - loss) / 2, (share + loss) / 2]
    drawn = np.random.default_rng(0).multinomial(pictures, [*flips, 1 - share], count)
    rows, times = np.unique(drawn, axis=0, return_counts=True)
    return [(int(row[0]), int(row[1]), many / count) for row, many in zip(rows, times, strict=True)]


def test_counts_flips_both_ways() -> None:
    first, second = np.array([1, 1, 1, 0, 0], bool), np.array([1, 0, 0, 1, 0], bool)
    found = compare.compare(first, second)
    assert (found.only_first, found.only_second, found.pictures, found.effective) == (2, 1, 5, 5)
    assert found.difference == pytest.approx(0.2)
    assert found.interval == compare.tango_interval(2, 1, 5)


def test_the_published_example() -> None:
    """Fagerland, Lydersen and Laake 2014, Statistics in Medicine 33, 2850-2875, table V."""
    assert compare.tango_interval(1, 7, 21) == pytest.approx((-0.517, -0.026), abs=5e-4)


@pytest.mark.parametrize(("only_first", "only_second", "pictures"), [(4, 9, 60), (0, 5, 100), (40, 20, 160), (1, 0, 2)])
def test_bounds_are_where_the_score_is_z(only_first: int, only_second: int, pictures: int) -> None:
    for bound in compare.tango_interval(only_first, only_second, pictures):

        def unlikely(second: float, bound: float = bound) -> float:
            """Minus the log-likelihood of a table whose true difference is `bound`."""
            chances = np.array([second + bound, second, 1 - 2 * second - bound])
            return -np.array([only_first, only_second, pictures - only_first - only_second]) @ np.log(chances)

        inside = (max(0, -bound) + 1e-12, (1 - bound) / 2 - 1e-12)
        second = minimize_scalar(unlikely, bounds=inside, method="bounded", options={"xatol": 1e-12}).x
        score = (only_first - only_second - pictures * bound) / np.sqrt(pictures * (2 * second + bound - bound**2))
        assert abs(score) == pytest.approx(Z, abs=1e-4)


@pytest.mark.parametrize("pictures", [1, 2, 3, 12])
def test_intervals_hold_the_difference_and_have_a_width(pictures: int) -> None:
    for only_first in range(pictures + 1):
        for only_second in range(pictures - only_first + 1):
            low, high = compare.tango_interval(only_first, only_second, pictures)
            assert -1 <= low <= (only_first - only_second) / pictures <= high <= 1
            assert high - low > 0.1


def test_no_flips() -> None:
    found = compare.compare(*answers(0, 0, 360))
    assert found.p == 1
    assert found.interval == pytest.approx((-(Z**2) / (360 + Z**2), Z**2 / (360 + Z**2)))


def test_nothing_but_flips() -> None:
    found = compare.compare(*answers(0, 50, 50))
    assert found.difference == found.interval[0] == -1
    assert found.interval[1] == pytest.approx((Z**2 - 50) / (Z**2 + 50))


def test_one_picture_says_next_to_nothing() -> None:
    found = compare.compare(*answers(1, 0, 1))
    assert found.p == 1
    assert found.interval[0] < -0.5


def test_swapping_the_models_turns_the_signs() -> None:
    first, second = answers(12, 30, 400)
    low, high = compare.compare(first, second).interval
    assert compare.compare(second, first).interval == (-high, -low)


def test_mcnemar_equals_the_binomial_test() -> None:
    rng = np.random.default_rng(0)
    for only_first, only_second in rng.integers(1, 40, (20, 2)):
        expected = binomtest(only_first, only_first + only_second).pvalue
        assert compare.compare(*answers(only_first, only_second, 100)).p == pytest.approx(expected)


@pytest.mark.parametrize(
    ("pictures", "share", "loss"),
    [(100, 0.1, 0.0), (100, 0.15, 0.05), (360, 0.05, 0.01), (360, 0.1, 0.02), (1200, 0.02, 0.01), (5000, 0.05, 0.02)],
)
def test_95_of_100_intervals_hold_the_true_difference(pictures: int, share: float, loss: float) -> None:
    held = 0.0
    for only_first, only_second, weight in tables(pictures, share, loss, 5000):
        low, high = compare.tango_interval(only_first, only_second, pictures)
        held += weight * (low <= -loss <= high)
    assert 0.94 <= held <= 0.96


@pytest.mark.parametrize("margin", [0.01, 0.02])
@pytest.mark.parametrize(("pictures", "share"), [(360, 0.02), (360, 0.1), (1200, 0.02), (1200, 0.05), (5000, 0.02)])
def test_a_loss_of_the_margin_is_seldom_enough(pictures: int, share: float, margin: float) -> None:
    called = sum(
        weight
        for only_first, only_second, weight in tables(pictures, share, margin, 4000)
        if compare.is_enough(*answers(only_first, only_second, pictures), margin)
    )
    assert called <= 0.025 + 0.005  # two standard errors of 4,000 tables


def test_a_model_without_a_loss_is_enough_once_there_are_pictures_enough() -> None:
    assert compare.is_enough(*answers(0, 0, 400), 0.01)
    assert not compare.is_enough(*answers(0, 0, 360), 0.01)
    assert not compare.is_enough(*answers(20, 20, 400), 0.01)


def test_groups_of_one_change_nothing() -> None:
    first, second = answers(12, 30, 400)
    assert compare.compare(first, second, np.arange(400)[::-1]).effective == pytest.approx(400)


def test_copies_count_about_once() -> None:
    first, second = answers(12, 30, 400)
    once = compare.compare(first, second)
    copied = compare.compare(first.repeat(5), second.repeat(5), np.arange(400).repeat(5))
    assert copied.effective == pytest.approx(400, rel=0.01)
    assert copied.interval == pytest.approx(once.interval, rel=0.01)
    assert copied.p == once.p


def test_one_group_is_worth_one_picture() -> None:
    assert compare.compare(*answers(5, 3, 40), np.zeros(40, int)).effective == 1


def test_groups_that_do_not_matter_cost_little() -> None:
    first, second = answers(30, 60, 1200)
    order = np.random.default_rng(0).permutation(1200)
    assert compare.compare(first[order], second[order], np.arange(1200) // 5).effective > 1000


@pytest.mark.parametrize("alike", [0.3, 0.8])
def test_intervals_allow_for_groups(alike: float) -> None:
    rng = np.random.default_rng(0)
    drawn = [grouped_answers(rng, pictures=1200, share=0.1, loss=0.02, alike=alike) for _ in range(2000)]
    bounds = [compare.compare(first, second, groups).interval for first, second, groups in drawn]
    assert 0.94 <= np.mean([low <= -0.02 <= high for low, high in bounds]) <= 0.96


def test_p_allows_for_groups() -> None:
    rng = np.random.default_rng(0)
    drawn = [grouped_answers(rng, pictures=1200, share=0.1, loss=0, alike=0.8) for _ in range(1000)]
    assert np.mean([compare.compare(first, second, groups).p < 0.05 for first, second, groups in drawn]) <= 0.05


def test_holm_equals_closed_testing() -> None:
    """The p of each is the largest Bonferroni p of all sets that it is in (Marcus, Peritz and Gabriel 1976)."""
    p_values = np.random.default_rng(0).random(7) ** 4
    sets = [list(chosen) for size in range(1, 8) for chosen in combinations(range(7), size)]
    largest = [max(min(1, len(s) * p_values[s].min()) for s in sets if index in s) for index in range(7)]
    assert compare.holm(p_values) == pytest.approx(largest)


def test_pairs_stand_in_the_order_of_the_cells() -> None:
    best, other = answers(30, 10, 200)
    right = {"mobilenet_1.0_224": best, "mobilenet_0.5_96": other, "mobilenet_0.5_128": other}
    table = compare.pairs(right)
    assert tuple(table.columns) == compare.COLUMNS
    assert list(zip(table["first"], table["second"], strict=True)) == list(combinations(right, 2))
    assert table["difference"].to_list() == pytest.approx([0.1, 0.1, 0])
    assert table["p_holm"].to_list() == pytest.approx(compare.holm(table["p"].to_numpy()))


def test_pairs_allow_for_groups() -> None:
    first, second = answers(30, 10, 200)
    alone = compare.pairs({"a": first, "b": second})
    grouped = compare.pairs({"a": first, "b": second}, np.arange(200) // 5)
    assert grouped["low"][0] < alone["low"][0]


def test_a_lone_cell_has_no_pairs() -> None:
    table = compare.pairs({"mobilenet_1.0_224": np.ones(3, bool)})
    assert table.empty
    assert tuple(table.columns) == compare.COLUMNS


@pytest.mark.parametrize(("flips", "pictures"), [(0, 360), (3, 360), (20, 360), (100, 1200), (500, 5000)])
def test_what_is_detectable_excludes_zero_and_no_less_does(flips: int, pictures: int) -> None:
    least = compare.detectable(flips / pictures, pictures) * pictures
    flips = max(flips, int(np.ceil(least)))
    for difference in range(flips + 1):
        low, _ = compare.tango_interval((flips + difference) / 2, (flips - difference) / 2, pictures)
        assert (low > 0) == (difference > least)


@pytest.mark.parametrize(
    "call",
    [
        lambda: compare.compare(np.ones(3, bool), np.ones(4, bool)),
        lambda: compare.compare(np.ones((3, 1), bool), np.ones((3, 1), bool)),
        lambda: compare.compare(np.ones(0, bool), np.ones(0, bool)),
        lambda: compare.compare(np.ones(3, int), np.ones(3, bool)),
        lambda: compare.compare(np.ones(3, bool), np.ones(3)),
        lambda: compare.compare(np.ones(3, bool), np.ones(3, bool), np.zeros(2, int)),
        lambda: compare.compare(np.ones(3, bool), np.ones(3, bool), np.zeros(3)),
        lambda: compare.is_enough(np.ones(3, bool), np.ones(3, bool), 0.0),
        lambda: compare.is_enough(np.ones(3, bool), np.ones(3, bool), 1.0),
        lambda: compare.tango_interval(-1, 0, 3),
        lambda: compare.tango_interval(2, 2, 3),
        lambda: compare.tango_interval(0, 0, 0),
        lambda: compare.tango_interval(1, 1, 3, confidence=1.0),
        lambda: compare.detectable(1.1, 100),
        lambda: compare.detectable(0.1, 0),
    ],
)
def test_a_programmers_mistake_is_a_value_error(call) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="wanted"):
        call()
