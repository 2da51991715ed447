"""One look for every figure, in a light and a dark theme.

Everything that differs between the themes is in the template, so that the page switches by
`Plotly.relayout(figure, themes()[name])`; a figure itself names no colour but those of COLORS and GREY, which read on
both. Nothing has a fixed width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

Theme = Literal["light", "dark"]

# Okabe and Ito's palette for all kinds of colour vision, those first that have a contrast of 3 to both backgrounds.
# Its black and yellow are left out: each vanishes in one theme.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("circle", "square", "diamond", "triangle-up", "cross", "star")
GREY = "#808080"
FAINT = "rgba(128, 128, 128, 0.28)"  # many lines behind one that matters

# Of differences: from COLORS[1] over next to nothing to COLORS[0], faint enough for text of either theme.
DIVERGING = [[0.0, "rgba(213, 94, 0, 0.6)"], [0.5, "rgba(128, 128, 128, 0.06)"], [1.0, "rgba(0, 114, 178, 0.6)"]]

BACKGROUND: dict[Theme, str] = {"light": "#ffffff", "dark": "#15181d"}  # what the page shows behind its figures
_TEXT: dict[Theme, str] = {"light": "#22262b", "dark": "#dfe3e8"}
_GRID: dict[Theme, str] = {"light": "#e7eaee", "dark": "#2b3038"}
_AXIS: dict[Theme, str] = {"light": "#9aa2ac", "dark": "#6b7480"}
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"
_CLEAR = "rgba(0, 0, 0, 0)"


def mark(index: int) -> tuple[str, str]:
    """(colour, marker) of the index-th series; after six the colours return with other markers."""
    lap, color = divmod(index, len(COLORS))
    return COLORS[color], MARKERS[(color + lap) % len(MARKERS)]


def themes() -> dict[Theme, dict[str, Any]]:
    """For each theme what `Plotly.relayout` must be given to bring a figure into it."""
    return {"light": {"template": _template("light")}, "dark": {"template": _template("dark")}}


def figure(traces: Sequence[Any], height: int, **layout: Any) -> go.Figure:
    """A figure in the light theme that is as wide as the page lets it be; `height` in px."""
    return go.Figure(data=list(traces), layout=go.Layout(template=_template("light"), height=height, **layout))


def _template(theme: Theme) -> dict[str, Any]:
    text, surface = _TEXT[theme], BACKGROUND[theme]
    axis = {
        "automargin": True,
        "gridcolor": _GRID[theme],
        "linecolor": _AXIS[theme],
        "showline": True,
        "tickcolor": _AXIS[theme],
        "ticks": "outside",
        "title": {"standoff": 8},
        "zeroline": False,
    }
    return {
        "layout": {
            "annotationdefaults": {"font": {"color": text, "size": 12}, "showarrow": False},
            "coloraxis": {"colorscale": _scale(theme), "colorbar": {"outlinewidth": 0, "thickness": 10}},
            "colorway": list(COLORS),
            "dragmode": False,  # a finger that scrolls over a figure must not zoom it
            "font": {"color": text, "family": _FONT, "size": 13},
            "hoverlabel": {
                "align": "left",
                "bgcolor": surface,
                "bordercolor": _AXIS[theme],
                "font": {"color": text, "family": _FONT, "size": 12},
            },
            "hovermode": "closest",
            "legend": {
                "font": {"size": 12},
                "tracegroupgap": 0,
                "orientation": "h",
                "x": 0,
                "y": 0,
                "yref": "container",
                "yanchor": "bottom",
            },
            "margin": {"b": 10, "l": 10, "r": 14, "t": 14},
            "paper_bgcolor": _CLEAR,
            "plot_bgcolor": _CLEAR,
            "xaxis": axis,
            "yaxis": axis,
        }
    }


def _scale(theme: Theme) -> list[list[Any]]:
    """Viridis with its low end next to the background: light yellow would vanish on white, dark blue on black."""
    ends = (0.9, 0.0) if theme == "light" else (0.2, 1.0)
    stops = np.linspace(0, 1, 9)
    colors = sample_colorscale("Viridis", list(np.linspace(*ends, 9)))
    return [[float(stop), color] for stop, color in zip(stops, colors, strict=True)]
