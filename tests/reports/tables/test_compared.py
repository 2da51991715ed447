"""Which cell is the best, which is enough, and what is compared with what."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from pipeline.scoring import compare
from pipeline.tracking.runs import ANSWERS, VALIDATION
from reports.tables import compared

SMALL, MIDDLE, LARGE = "mobilenet_0.25_96", "mobilenet_0.5_96", "mobilenet_1.0_96"
COUNT = 2000


class Store:
    """Stands in for a tracker that holds these frames of runs."""

    def __init__(self, frames: Mapping[tuple[str, str], pd.DataFrame]) -> None:
        self.frames = frames

    def read_frame(self, run_id: str, path: str) -> pd.DataFrame | None:
        return self.frames.get((run_id, path))


def cell(name: str, mult_adds: float, val: float, test: float = 0.5) -> dict:
    return {
        **{"sweep": "dogs", "cell": name, "run_id": name, "mult_adds": mult_adds},
        **{"val_top1": val, "best_val_balanced_top1": 1 - val, "test_top1": test},
    }


CELLS = [cell(SMALL, 1e6, 0.80), cell(MIDDLE, 2e6, 0.90), cell(LARGE, 3e6, 0.905)]


def right(wrong: int, start: int = 0) -> np.ndarray:
    """All but `wrong` pictures from `start` on."""
    found = np.ones(COUNT, bool)
    found[start : start + wrong] = False
    return found


def validation(found: np.ndarray, first: int = 0) -> pd.DataFrame:
    return pd.DataFrame({"picture": [f"{first + index}" for index in range(len(found))], "right": found})


def answers(found: np.ndarray, before: np.ndarray | None = None) -> pd.DataFrame:
    """Of pictures of class 1, some with what the start answers."""
    untrained = np.full(len(found), -1) if before is None else before.astype(int)
    pictures = [f"{index}" for index in range(len(found))]
    group = np.arange(len(found))
    return pd.DataFrame(
        {"picture": pictures, "truth": 1, "answer": found.astype(int), "untrained": untrained, "group": group}
    )


VAL = {
    (SMALL, VALIDATION): validation(right(400)),
    (MIDDLE, VALIDATION): validation(right(200)),
    (LARGE, VALIDATION): validation(right(190)),
}


def test_every_two_cells_are_compared_on_the_pictures_of_each_split():
    test = {(name, ANSWERS): answers(right(wrong)) for name, wrong in ((SMALL, 300), (MIDDLE, 100), (LARGE, 90))}
    found = compared.pairs(Store(VAL | test), CELLS)
    assert found.dtypes.astype(str).to_dict() == compared.PAIRS
    named = found[["split", "first", "second"]].to_records(index=False).tolist()
    both = [(SMALL, MIDDLE), (SMALL, LARGE), (MIDDLE, LARGE)]
    assert named == [(split, *pair) for split in ("val", "test") for pair in both]
    assert found["difference"].to_list() == pytest.approx([-0.1, -0.105, -0.005, -0.1, -0.105, -0.005])
    assert set(found["sweep"]) == {"dogs"}


def test_pairs_are_those_of_the_statistics_with_the_groups_of_the_test_pictures():
    test = {(name, ANSWERS): answers(right(wrong)) for name, wrong in ((SMALL, 300), (MIDDLE, 100))}
    for frame in test.values():
        frame["group"] = np.arange(COUNT) // 10
    (row,) = compared.pairs(Store(test), CELLS[:2]).itertuples()
    expected = compare.compare(right(300), right(100), np.arange(COUNT) // 10)
    assert (row.low, row.high) == pytest.approx(expected.interval)
    assert (row.effective, row.p) == pytest.approx((expected.effective, expected.p))
    assert row.effective < COUNT


def test_a_cell_is_compared_with_what_its_heads_start_from():
    store = Store({(LARGE, ANSWERS): answers(right(90), before=right(150))})
    found = compared.pairs(store, CELLS[2:])
    assert found[["first", "second"]].to_records(index=False).tolist() == [(LARGE, compared.UNTRAINED)]
    (row,) = compared.judged(CELLS[2:], found, "val_top1", 1.0)
    assert row["gain"] == pytest.approx(0.03)
    assert row["gain_low"] < 0.03 < row["gain_high"]


def test_answers_to_other_pictures_are_not_compared():
    other = {(MIDDLE, VALIDATION): validation(right(200), first=1)}
    found = compared.pairs(Store(VAL | other), CELLS)
    assert found[["first", "second"]].to_records(index=False).tolist() == [(SMALL, LARGE)]
    assert compared.pairs(Store({}), CELLS).empty
    assert compared.pairs(Store({}), []).empty


def chosen(cells: list[dict], pairs: pd.DataFrame, margin: float = 1.0, score: str = "val_top1") -> tuple[str, str]:
    """The best, and the one that is enough."""
    rows = compared.judged(cells, pairs, score, margin)
    best, enough = ([row["cell"] for row in rows if row[name]] for name in ("is_best", "is_enough"))
    assert max(len(best), len(enough)) <= 1
    return "".join(best), "".join(enough)


PAIRS = compared.pairs(Store(VAL), CELLS)


def test_the_best_is_so_by_validation_and_enough_loses_less_than_the_margin():
    assert chosen(CELLS, PAIRS) == (LARGE, MIDDLE)
    assert chosen(CELLS, PAIRS, margin=0.6) == (LARGE, "")
    assert chosen(CELLS, PAIRS, margin=20.0) == (LARGE, SMALL)


def test_of_equally_good_cells_the_cheapest_is_the_best():
    assert chosen([CELLS[0], {**CELLS[1], "val_top1": 0.905}, CELLS[2]], PAIRS)[0] == MIDDLE


def test_the_score_that_was_aimed_at_says_which_is_the_best():
    assert chosen(CELLS, PAIRS, score="best_val_balanced_top1") == (SMALL, "")


def test_a_cell_that_was_not_tested_is_neither():
    untested = {**CELLS[2], "test_top1": math.nan}
    assert chosen([*CELLS[:2], untested], PAIRS) == (MIDDLE, "")
    assert chosen([untested], PAIRS) == ("", "")


def test_without_answers_there_is_a_best_but_nothing_is_shown_to_be_enough():
    assert chosen(CELLS, compared.pairs(Store({}), CELLS)) == (LARGE, "")


def test_a_pair_is_found_whichever_way_it_was_compared():
    there, turned = (compared.against(PAIRS, *pair, "val") for pair in ((SMALL, LARGE), (LARGE, SMALL)))
    assert turned["difference"] == -there["difference"]
    assert (turned["low"], turned["high"]) == (-there["high"], -there["low"])
    assert (turned["only_first"], turned["only_second"]) == (there["only_second"], there["only_first"])
    assert (turned["first"], turned["second"]) == (LARGE, SMALL)
    assert compared.against(PAIRS, SMALL, LARGE, "test") is None
