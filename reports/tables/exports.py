"""Files for a device, as the runs of their cells tell of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import get_args

from pipeline.config import Format
from pipeline.scoring import phones
from pipeline.tracking.runs import exported
from reports.tables.rows import NUMBER, TEXT, Row

FILES = {
    **dict.fromkeys(("sweep", "cell", "precision", "processor"), TEXT),
    **dict.fromkeys(("bytes", "top1", "top1_low", "top1_high"), NUMBER),
    **dict.fromkeys(("loss_points", "loss_points_low", "loss_points_high"), NUMBER),
    **dict.fromkeys(("p50_ms", "p95_ms", "memory_bytes", "phone_ms"), NUMBER),
}
_IN_ONE_THREAD = ("p50_ms", "p95_ms")


def files_of(label: str, cell: str, metrics: Mapping[str, float], processor: str) -> list[Row]:
    """A row for each file of a cell that is of its present model.

    Args:
        label: what the other frames call the sweep.
        metrics: of the cell's run.
    """
    made = [name for name in get_args(Format) if metrics.get(exported(name))]
    published = {name: phones.load().get((cell, name)) for name in made}
    told = [name for name in FILES if FILES[name] == NUMBER and name not in (*_IN_ONE_THREAD, "phone_ms")]
    return [
        {
            **{"sweep": label, "cell": cell, "precision": name, "processor": processor},
            **{column: metrics.get(f"{name}_{column}", math.nan) for column in told},
            **{column: metrics.get(f"{name}_{column}_1_thread", math.nan) for column in _IN_ONE_THREAD},
            "phone_ms": math.nan if (row := published[name]) is None else row.latency_ms,
        }
        for name in made
    ]
