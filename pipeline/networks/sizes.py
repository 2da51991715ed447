"""How large a cell's convolutions are: in closed form for MobileNet v1, counted from the model for other networks."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from pipeline.config import Cell, Unfreeze
from pipeline.networks import backbones, costs


@dataclass(frozen=True)
class Size:
    """Of the convolutions alone, without a head.

    Attributes:
        params: all of them.
        params_trainable: without the moving averages of batch normalisation.
        mult_adds: of one picture.
        features: that come out.
    """

    params: int
    params_trainable: int
    mult_adds: int
    features: int


@functools.cache
def of(cell: Cell) -> Size:
    """Building a network that must be counted takes a second or two."""
    if cell.backbone == "mobilenet":
        return Size(
            costs.mobilenet_params(cell, 0),
            costs.mobilenet_params_trainable(cell, 0, freeze_conv=False),
            costs.mobilenet_mult_adds(cell, 0),
            costs.layers(cell, 0)[-1].in_channels,
        )
    model = backbones.load(cell, "none").model
    return Size(*costs.count_params(model), costs.count_mult_adds(model), model.output_shape[-1])


def params_trainable(cell: Cell, unfreeze: Unfreeze) -> int:
    """Those of the convolutions that `unfreeze` trains."""
    if unfreeze == "all":
        return of(cell).params_trainable
    return costs.mobilenet_params_trainable(cell, 0, freeze_conv=False, unfreeze=unfreeze)
