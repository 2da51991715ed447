"""The table that a sweep ends with."""

from __future__ import annotations

import io

from rich.console import Console

from pipeline.config import Cell
from tuning import summary

MEASURED = {
    "params_total": 1_925_256.0,
    "mult_adds": 324_700_000.0,
    "best_val_top1": 0.837,
    "test_top1": 0.861,
    "test_top1_low": 0.84,
    "test_top1_high": 0.8794,
    "delta_paper": 0.042,
    "delta_replication": 0.142,
    "seconds": 19.4,
}
CELL = Cell(0.75, 224)


def test_a_row_stands_beside_the_published_numbers():
    assert summary.CellResult(CELL, MEASURED).row() == (
        "mobilenet_0.75_224",
        "1.93",
        "324.7",
        "83.7",
        "86.1 [84.0, 87.9]",
        "81.9",
        "71.9",
        "+4.2",
        "19",
    )


def test_what_was_not_published_is_a_dash():
    unpublished = {name: value for name, value in MEASURED.items() if not name.startswith("delta")}
    assert summary.CellResult(CELL, unpublished).row()[5:8] == ("-", "-", "-")


def test_the_table_fits_a_terminal_of_80_columns():
    console = Console(width=80, file=io.StringIO())
    console.print(summary.table("a title", [summary.CellResult(CELL, MEASURED)]))
    text = console.file.getvalue()
    assert "86.1 [84.0, 87.9]" in text
    assert "…" not in text
