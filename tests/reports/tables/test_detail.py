"""Which curves are read."""

from __future__ import annotations

import math

from reports.tables import detail


def test_curves_are_read_of_trials_from_all_ranks():
    values = [0.5, math.nan, 0.9, 0.1, 0.7, 0.8, 0.3, math.nan]
    trials = [{"number": number, "val_top1": value} for number, value in enumerate(values)]

    def numbers(best: float, count: int | None) -> list[int]:
        return [row["number"] for row in detail.shown(trials, best, count)]

    assert numbers(2, None) == numbers(2, 8) == list(range(8))
    assert numbers(2, 1) == numbers(math.nan, 1) == [2]
    assert numbers(6, 1) == [6]
    assert numbers(2, 3) == [2, 6, 7]  # of the ranks 2, 5, 4, 0, 6, 3, 1, 7 the first, one in the middle and the last
    assert numbers(2, 0) == []
