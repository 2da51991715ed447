"""The answer at the top of the page."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd

from pipeline.scoring import compare
from reports import answer

CELL = {
    **{"sweep": "dogs", "cell": "mobilenet_0.75_224", "params_total": 1_925_256.0, "mult_adds": 324_700_000.0},
    **{"val_top1": 0.837, "test_top1": 0.861, "test_top1_low": 0.84, "test_top1_high": 0.8794, "test_top5": 0.985},
    **{
        "untrained_top1": 0.844,
        "paper_top1": 0.819,
        "delta_paper": 0.042,
        "replication_top1": 0.719,
        "delta_replication": 0.142,
    },
    **{"test_pictures": 1200.0, "seconds": 61.4, "pictures_per_second": 1234.5},
    **{"trials_complete": 30.0, "trials_pruned": 9.0, "trials_failed": 1.0},
    **{"best_val_balanced_top1": 0.83, "test_balanced_top1": 0.855},
    **{"reject_below": 0.4, "test_answered": 0.95, "test_top1_answered": 0.88},
    **{"gain": 0.017, "gain_low": 0.004, "gain_high": 0.031, "is_best": True, "is_enough": False},
}
SMALL = {
    **CELL,
    **{"cell": "mobilenet_0.5_160", "params_total": 1e6, "mult_adds": 77e6, "delta_paper": math.nan},
    **{"is_best": False, "is_enough": True},
    **{"test_top1": 0.85, "test_top1_low": 0.83, "test_top1_high": 0.869},
}
TINY = {
    **{**SMALL, "cell": "mobilenet_0.25_128", "mult_adds": 14e6, "test_top1": 0.6, "test_top1_high": 0.62},
    "is_enough": False,
}
UNKNOWN = {
    **{**CELL, **dict.fromkeys([name for name, value in CELL.items() if isinstance(value, float)], math.nan)},
    "is_best": False,
}
NO_PAIRS = compare.pairs({}).assign(sweep="", split="")


def frame(*cells: dict) -> pd.DataFrame:
    return pd.DataFrame(cells)


def headline(cells: pd.DataFrame, pairs: pd.DataFrame = NO_PAIRS) -> list[str]:
    return answer.headline(SimpleNamespace(cells=cells, pairs=pairs, margin=1.0))


def pair(first: dict, second: dict, split: str, only_first: int, only_second: int, pictures: int) -> pd.DataFrame:
    """That so many pictures only one of two cells has right."""
    ones = np.arange(pictures) >= only_second
    others = ones ^ (np.arange(pictures) < only_first + only_second)
    return compare.pairs({first["cell"]: ones, second["cell"]: others}).assign(sweep="dogs", split=split)


def test_a_row_shows_every_number_in_its_unit():
    (row,) = answer.table(frame(CELL))
    titles = [column.title for column in answer.columns(frame(CELL))]
    assert dict(zip(titles, [text for _, text in row], strict=True)) == {
        **{"cell": "0.75-224", "params, M": "1.93", "mult-adds, M": "324.7", "val, %": "83.7"},
        **{"val balanced, %": "83.0", "test balanced, %": "85.5"},
        **{"test, % [95 % interval]": "86.1 [84.0, 87.9]", "top-5, %": "98.5", "untrained, %": "84.4"},
        "by training [95 % interval]": "+1.7 [+0.4, +3.1]",
        **{"paper, %": "81.9", "vs. paper": "+4.2", "replication, %": "71.9", "vs. replication": "+14.2"},
        **{"seconds": "61", "pictures/s": "1,234", "trials done": "30", "pruned": "9", "failed": "1"},
    }


def test_a_row_is_sorted_by_the_number_not_by_its_text():
    (row,) = answer.table(frame(CELL))
    assert [value for value, text in row if text == "324.7"] == [324_700_000.0]


def test_cells_are_sorted_by_resolution_though_128_comes_before_48_in_the_alphabet():
    first, second = answer.table(frame({**CELL, "cell": "mobilenet_0.25_48"}, {**CELL, "cell": "mobilenet_0.25_128"}))
    assert first[0] == (0, "0.25-48")
    assert second[0] == (1, "0.25-128")


def test_the_best_cell_has_a_row():
    assert answer.best_cell(frame(TINY, SMALL, CELL)) == 2
    assert answer.best_cell(frame(UNKNOWN)) is None


def test_a_single_cell_is_not_called_the_best():
    assert headline(frame(CELL))[0].startswith("0.75-224 is the one tested cell: 86.1")


def test_what_is_unknown_is_a_dash_and_columns_of_dashes_that_need_not_be_there_are_not():
    (row,) = answer.table(frame(UNKNOWN))
    assert [text for _, text in row] == ["0.75-224", *["-"] * 10]


def test_the_sweep_is_named_where_there_are_several():
    _cell, second, *_ = answer.columns(frame(CELL, {**CELL, "sweep": "dogs 2"}))
    assert second.name == "sweep"


def test_the_csv_has_every_number_and_nothing_where_it_is_unknown():
    found = answer.records(frame(CELL, UNKNOWN))
    assert found["columns"] == [column.name for column in answer.COLUMNS]
    assert found["cells"][0] == {name: CELL[name] for name in found["columns"]}
    assert found["cells"][1] == {
        name: UNKNOWN[name] if name in ("sweep", "cell") else None for name in found["columns"]
    }


def test_the_headline_names_the_best_cell_and_the_cheapest_that_is_enough():
    pairs = [pair(SMALL, CELL, "val", 10, 12, 4000), pair(SMALL, CELL, "test", 20, 33, 1200)]
    best, enough, apart, *published = headline(frame(TINY, SMALL, CELL), pd.concat(pairs))
    assert best == (
        "0.75-224 is the best of 3 tested cells by validation: 86.1 [84.0, 87.9] % of 1,200 test pictures "
        "with 1.93 M parameters and 325 M mult-adds."
    )
    assert enough == (
        "0.5-160 is enough: on 4,000 validation pictures it has -0.1 [-0.3, +0.2] points, so that it loses less than "
        "1 point, with 1 M parameters and 77 M mult-adds, 4.2 times fewer; on the test pictures, -1.1 [-2.3, +0.1]."
    )
    assert apart == "Two cells must differ by about 1.2 points for these test pictures to tell them apart."
    assert published[0].startswith("Against the paper: +4.2 points")


def test_where_none_is_enough_the_nearest_is_named_and_nothing_is_called_as_good():
    small = {**SMALL, "is_enough": False}
    pairs = [pair(small, CELL, "val", 20, 30, 540), pair(TINY, CELL, "val", 5, 90, 540)]
    _best, none = headline(frame(TINY, small, {**CELL, "delta_replication": math.nan}), pd.concat(pairs))[:2]
    assert none == (
        "Of no cheaper cell do the 540 validation pictures show that it loses less than 1 point; "
        "the nearest is 0.5-160: -1.9 [-4.5, +0.7] points."
    )


def test_no_cheaper_cell_is_named_where_answers_were_not_kept():
    assert not any("enough" in sentence or "cheaper" in sentence for sentence in headline(frame(TINY, CELL)))


def test_each_sweep_has_its_headline():
    found = headline(frame(CELL, {**CELL, "sweep": "tiny"}))
    assert [sentence.partition(":")[0] for sentence in found if "is the one tested cell" in sentence] == [
        "dogs",
        "tiny",
    ]


def test_nothing_tested_and_no_cell_are_said():
    assert headline(frame(UNKNOWN)) == ["No cell has been tested yet."]
    assert headline(frame(CELL)[:0]) == ["There are no cells yet."]


def test_right_answers_that_are_withheld_are_told():
    said = "Of its right test answers only 51 % are given: the others lie below a probability of 0.40"
    assert not any("are given" in sentence for sentence in headline(frame(CELL)))
    assert any(sentence.startswith(said) for sentence in headline(frame({**CELL, "test_answered": 0.5})))
    unknown = {**CELL, **dict.fromkeys(("reject_below", "test_answered", "test_top1_answered"), math.nan)}
    assert not any("are given" in sentence for sentence in headline(frame(unknown)))
