"""Numbers against definitions, against scipy, and through a CSV file."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from pipeline.scoring import metrics

# Names as folders have them: separators, quotes, line breaks, right-to-left letters, look-alikes of numbers.
NAMES = ["a,b", 'say "woof"', "NA", "007", "", "two\nlines", "İşçi-köpek", "كلب", "犬🐕", "<b>&amp;", " padded ", "1e3"]


def test_top_k_counts_the_true_class_among_the_best() -> None:
    probabilities = np.array([[0.5, 0.3, 0.2], [0.1, 0.3, 0.6], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1]])
    labels = np.array([0, 1, 0, 2])
    assert [metrics.top_k(probabilities, labels, k) for k in (1, 2, 3, 5)] == [0.25, 0.75, 1.0, 1.0]


def test_ties_fall_as_argmax_lets_them() -> None:
    assert metrics.top_k(np.full((3, 3), 1 / 3), np.array([0, 1, 2]), 1) == pytest.approx(1 / 3)
    assert metrics.top_k(np.full((3, 3), 1 / 3), np.array([0, 1, 2]), 2) == pytest.approx(2 / 3)
    rng = np.random.default_rng(0)
    coarse, labels = rng.integers(0, 3, (500, 6)) / 3, rng.integers(0, 6, 500)
    assert metrics.top_k(coarse, labels, 1) == np.mean(coarse.argmax(axis=1) == labels)
    order = np.argsort(-coarse, axis=1, kind="stable")
    assert metrics.top_k(coarse, labels, 4) == np.mean((order[:, :4] == labels[:, None]).any(axis=1))


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
@pytest.mark.parametrize(("correct", "total"), [(0, 1), (1, 1), (0, 50), (50, 50), (1, 3), (1012, 1200), (8579, 8580)])
def test_wilson_equals_scipy(correct: int, total: int, confidence: float) -> None:
    expected = binomtest(correct, total).proportion_ci(confidence, method="wilson")
    low, high = metrics.wilson_interval(correct, total, confidence)
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= low <= correct / total <= high <= 1


def test_confusion_rows_are_the_truth() -> None:
    labels, predictions = np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 0, 0, 2])
    counts = metrics.confusion_counts(labels, predictions, 4)
    assert counts.tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [2, 0, 1, 0], [0, 0, 0, 0]]
    assert counts.dtype == np.int64
    big = metrics.confusion_counts(np.array([250], np.uint8), np.array([3], np.uint8), 251)  # no wrap-round at 256
    assert big[250, 3] == big.sum() == 1


def test_accuracy_of_each_class() -> None:
    counts = np.array([[9, 1, 0], [4, 0, 0], [0, 0, 0]])
    table = metrics.per_class_accuracy(counts, ["a", "b", "c"])
    assert table.columns.to_list() == ["class", "test_count", "correct", "top1_pct", "low_pct", "high_pct"]
    assert table["test_count"].to_list() == [10, 4, 0]
    assert table["correct"].to_list() == [9, 0, 0]
    assert table["top1_pct"].to_list()[:2] == [90.0, 0.0]
    low, high = metrics.wilson_interval(9, 10)
    assert table[["low_pct", "high_pct"]].to_numpy()[0].tolist() == [100 * low, 100 * high]
    assert table.iloc[2, 3:].isna().all()


def test_confusion_lists_the_pairs_that_occur() -> None:
    table = metrics.confusion_table(np.array([[3, 0], [1, 2]]), ["a", "b"])
    assert list(table.itertuples(index=False, name=None)) == [("a", "a", 3), ("b", "a", 1), ("b", "b", 2)]
    assert metrics.confusion_table(np.zeros((2, 2), np.int64), ["a", "b"]).empty


def test_csv_keeps_every_name(tmp_path: Path) -> None:
    counts = np.random.default_rng(0).integers(0, 3, (len(NAMES), len(NAMES)))
    counts[3] = 0  # a class with no test picture
    for table in (metrics.per_class_accuracy(counts, NAMES), metrics.confusion_table(counts, NAMES)):
        table.to_csv(tmp_path / "table.csv", index=False)
        pd.testing.assert_frame_equal(metrics.read_table(tmp_path / "table.csv"), table)


def test_coverage_is_of_the_surest_pictures() -> None:
    confidence, right = np.array([0.9, 0.5, 0.7, 0.7]), np.array([True, False, True, False])
    table = metrics.coverage_table(confidence, right)
    assert table.to_dict("list") == {
        "reject_below": [0.5, 0.7, 0.9],
        "coverage_pct": [100.0, 75.0, 25.0],
        "top1_pct": [50.0, pytest.approx(200 / 3), 100.0],
    }


def test_coverage_of_many_pictures_is_told_in_few_rows_with_both_ends() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.random(5000)
    table = metrics.coverage_table(confidence, rng.random(5000) < confidence)
    assert len(table) == 101
    assert table["coverage_pct"].iloc[0] == 100
    assert table["coverage_pct"].iloc[-1] == 100 / 5000
    assert (np.diff(table["reject_below"]) > 0).all()
    for row in table.iloc[::20].itertuples():
        assert row.coverage_pct == pytest.approx(100 * np.mean(confidence >= row.reject_below))


@pytest.mark.parametrize(
    "call",
    [
        lambda: metrics.top_k(np.ones((2, 3)), np.array([0]), 1),
        lambda: metrics.top_k(np.ones((0, 3)), np.array([], int), 1),
        lambda: metrics.top_k(np.ones((1, 3)), np.array([3]), 1),
        lambda: metrics.top_k(np.ones((1, 3)), np.array([-1]), 1),
        lambda: metrics.top_k(np.ones((1, 3)), np.array([0.5]), 1),
        lambda: metrics.top_k(np.ones((1, 3)), np.array([0]), 0),
        lambda: metrics.top_k(np.array([[0.5, np.nan]]), np.array([0]), 1),
        lambda: metrics.wilson_interval(2, 1),
        lambda: metrics.wilson_interval(-1, 1),
        lambda: metrics.wilson_interval(0, 0),
        lambda: metrics.wilson_interval(1, 2, confidence=1.0),
        lambda: metrics.confusion_counts(np.array([0]), np.array([0, 1]), 2),
        lambda: metrics.confusion_counts(np.array([0]), np.array([2]), 2),
        lambda: metrics.per_class_accuracy(np.eye(2, dtype=int), ["a"]),
        lambda: metrics.confusion_table(np.eye(2, dtype=int), ["a"]),
    ],
)
def test_a_programmers_mistake_is_a_value_error(call) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="wanted"):
        call()
