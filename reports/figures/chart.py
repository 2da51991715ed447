"""What every kind of figure consists of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, ParamSpec, TypeVar

import plotly.graph_objects as go

Frames = ParamSpec("Frames")
Info = TypeVar("Info")


@dataclass(frozen=True)
class Chart(Generic[Frames, Info]):
    """Three functions, so that the numbers are tested without drawing.

    Attributes:
        info: frames -> the numbers as a named tuple, or None where there is nothing to show.
        figure: draws them.
        alt: says them in one or two sentences.
    """

    info: Callable[Frames, Info | None]
    figure: Callable[[Info], go.Figure]
    alt: Callable[[Info], str]
