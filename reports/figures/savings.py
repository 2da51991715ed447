"""What depthwise-separable convolutions save: each block of one cell against standard convolutions of its shape."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import plotly.graph_objects as go

from pipeline.config import Cell
from pipeline.networks import costs
from reports.figures import style
from reports.figures.chart import Chart
from reports.figures.labels import lines, millions, pct

_HEIGHT = 460  # px


class Block(NamedTuple):
    """One of MobileNet's thirteen; mult-adds of one picture."""

    number: int
    channels: tuple[int, int]  # in, out
    side: int  # of the output map, px
    standard: int  # what one standard convolution of the same shape would take
    depthwise: int
    pointwise: int
    ratio: float  # 1 / N + 1 / D_K^2, which is (depthwise + pointwise) / standard


class SavingsInfo(NamedTuple):
    """The totals hold the first convolution and the head, too, which are the same in both."""

    cell: Cell
    blocks: list[Block]
    total_standard: int
    total_separable: int

    @property
    def factor(self) -> float:
        """How many times fewer mult-adds the whole network takes."""
        return self.total_standard / self.total_separable


def savings_info(alpha: float, resolution: float, classes: float) -> SavingsInfo | None:
    """Of a cell with a dense head; None where one of the three is unknown (NaN)."""
    if not all(math.isfinite(value) for value in (alpha, resolution, classes)):
        return None
    cell = Cell(float(alpha), int(resolution))
    table = costs.layers(cell, int(classes))
    middle = table[1:-1]
    blocks = [_block(k + 1, middle[2 * k], middle[2 * k + 1]) for k in range(len(middle) // 2)]
    separable = sum(layer.mult_adds for layer in table)
    saved = sum(block.standard - block.depthwise - block.pointwise for block in blocks)
    return SavingsInfo(cell, blocks, separable + saved, separable)


def savings_figure(info: SavingsInfo) -> go.Figure:
    """Dots rather than stacked bars: on a log axis the lengths of a stack's parts say nothing. Below them the ratio."""
    numbers = [block.number for block in info.blocks]
    hovers = [_hover(block) for block in info.blocks]

    def trace(name: str, counts: list[int], index: int, dash: str = "solid") -> go.Scatter:
        """A line over the blocks, in millions."""
        color, marker = style.mark(index)
        return go.Scatter(
            x=numbers,
            y=[count / 1e6 for count in counts],
            hovertext=hovers,
            hovertemplate="%{hovertext}<extra></extra>",
            line={"color": color, "dash": dash, "width": 1.5},
            marker={"color": color, "size": 8, "symbol": marker},
            mode="lines+markers",
            name=name,
        )

    traces: list[Any] = [
        trace("standard", [block.standard for block in info.blocks], 1),
        trace("separable", [block.depthwise + block.pointwise for block in info.blocks], 0),
        trace("pointwise", [block.pointwise for block in info.blocks], 2, "dot"),
        trace("depthwise", [block.depthwise for block in info.blocks], 3, "dot"),
        go.Scatter(
            x=numbers,
            y=[100 * block.ratio for block in info.blocks],
            hovertext=hovers,
            hovertemplate="%{hovertext}<extra></extra>",
            marker={"color": style.GREY, "size": 7},
            line={"color": style.GREY, "width": 1.5},
            mode="lines+markers",
            showlegend=False,
            yaxis="y2",
        ),
    ]
    return style.figure(
        traces,
        _HEIGHT,
        xaxis={"anchor": "y2", "dtick": 1, "title": {"text": "block"}},
        yaxis={"domain": [0.36, 1], "dtick": 1, "title": {"text": "mult-adds, M"}, "type": "log"},
        yaxis2={"domain": [0, 0.26], "nticks": 4, "rangemode": "tozero", "title": {"text": "ratio, %"}},
    )


def savings_alt(info: SavingsInfo) -> str:
    """What the whole network saves, and the range of the blocks' ratios."""
    ratios = [block.ratio for block in info.blocks]
    return (
        f"Standard convolutions would take {millions(info.total_standard)} mult-adds a picture instead of "
        f"{millions(info.total_separable)}, {info.factor:.1f} times as many; "
        f"block by block the separable ones take {pct(min(ratios))} to {pct(max(ratios))} of them."
    )


SAVINGS = Chart(savings_info, savings_figure, savings_alt)


def _block(number: int, depthwise: costs.Layer, pointwise: costs.Layer) -> Block:
    shape = (costs.KERNEL, depthwise.in_channels, pointwise.out_channels, pointwise.out_side)
    return Block(
        number=number,
        channels=(depthwise.in_channels, pointwise.out_channels),
        side=pointwise.out_side,
        standard=costs.standard_mult_adds(*shape),
        depthwise=depthwise.mult_adds,
        pointwise=pointwise.mult_adds,
        ratio=costs.separable_ratio(costs.KERNEL, pointwise.out_channels),
    )


def _hover(block: Block) -> str:
    shape = f"{block.channels[0]} → {block.channels[1]} channels, {block.side} x {block.side} px"
    return lines(
        f"<b>block {block.number}</b>: {shape}",
        f"standard {millions(block.standard)}",
        f"depthwise {millions(block.depthwise)} + pointwise {millions(block.pointwise)}",
        f"1/{block.channels[1]} + 1/{costs.KERNEL**2} = {pct(block.ratio)}",
    )
