"""Frames -> plain numbers -> figures.

Each kind of figure is a `Chart` of three functions, `info`, `figure` and `alt`. None of them raises on an empty frame
or on NaN. Those about one cell take the rows of that cell alone, as `of_cell` picks them.
"""

from reports.figures.axes import Ranges, ranges
from reports.figures.classes import PER_CLASS
from reports.figures.confusion import CONFUSION, confused_pairs
from reports.figures.coverage import COVERAGE
from reports.figures.curves import CURVES
from reports.figures.device_costs import FILES
from reports.figures.differences import DIFFERENCES
from reports.figures.frames import of_cell
from reports.figures.hyperparameters import HISTORY, IMPORTANCES, SLICE, edge_note
from reports.figures.labels import cell_label
from reports.figures.landscape import CONTOUR, PARALLEL
from reports.figures.savings import SAVINGS
from reports.figures.style import themes
from reports.figures.tradeoff import TRADEOFF

__all__ = [
    "CONFUSION",
    "CONTOUR",
    "COVERAGE",
    "CURVES",
    "DIFFERENCES",
    "FILES",
    "HISTORY",
    "IMPORTANCES",
    "PARALLEL",
    "PER_CLASS",
    "SAVINGS",
    "SLICE",
    "TRADEOFF",
    "Ranges",
    "cell_label",
    "confused_pairs",
    "edge_note",
    "of_cell",
    "ranges",
    "themes",
]
