from __future__ import annotations

from pipeline.config import Cell
from pipeline.networks import costs
from pipeline.scoring import phones


def test_every_cell_of_the_paper_was_run_in_both_precisions():
    cells = {Cell(alpha, side) for alpha in (0.25, 0.5, 0.75, 1.0) for side in (128, 160, 192, 224)}
    assert set(phones.load()) == {(cell.name, precision) for cell in cells for precision in ("float32", "int8")}


def test_what_costs_more_took_longer():
    for precision in ("float32", "int8"):
        for alpha in (0.25, 0.5, 0.75, 1.0):
            cells = [Cell(alpha, side) for side in (128, 160, 192, 224)]
            taken = [phones.load()[cell.name, precision].latency_ms for cell in cells]
            assert taken == sorted(taken)
            assert sorted(cells, key=lambda cell: costs.mobilenet_mult_adds(cell, 1000)) == cells
