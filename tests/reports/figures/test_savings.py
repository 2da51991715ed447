"""What separable convolutions save."""

from __future__ import annotations

import math

import pytest

from pipeline.config import Cell
from pipeline.networks import costs
from reports.figures import savings

INFO = savings.savings_info(1.0, 224, 1000)


def test_the_blocks_are_the_papers():
    assert len(INFO.blocks) == 13
    block = INFO.blocks[7]  # table 3: D_K = 3, M = N = 512, D_F = 14
    assert block.channels == (512, 512)
    assert round(block.standard / 1e6) == 462
    assert round((block.depthwise + block.pointwise) / 1e6, 1) == 52.3


def test_every_ratio_is_the_equations():
    for block in INFO.blocks:
        assert (block.depthwise + block.pointwise) / block.standard == pytest.approx(block.ratio)


def test_the_totals_are_the_papers():
    assert INFO.total_separable == costs.mobilenet_mult_adds(Cell(1.0, 224), 1000)
    assert round(INFO.total_standard / 1e6) == pytest.approx(4866, rel=0.005)  # table 4: "Conv MobileNet"
    assert INFO.factor == pytest.approx(8.5, abs=0.1)


def test_the_figure_shows_both_and_the_ratio():
    drawn = savings.savings_figure(INFO)
    standard, separable, *_, ratio = drawn.data
    assert all(one > other for one, other in zip(standard.y, separable.y, strict=True))
    assert ratio.yaxis == "y2"
    assert drawn.layout.yaxis.type == "log"


def test_nothing_of_an_unknown_cell():
    assert savings.savings_info(math.nan, 224, 10) is None
    assert savings.savings_info(1.0, 224, math.nan) is None


def test_the_alt_text_has_both_totals():
    assert savings.savings_alt(INFO).startswith("Standard convolutions would take 4,8")
    assert "instead of 569 M" in savings.savings_alt(INFO)
